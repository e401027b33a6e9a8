//! Devices that Domain0 leaves alone and gives to others: a disk, a network card and the second serial line, each driven by the kernel of the
//! domain that has it.

use super::disks::host;
use super::launched;
use super::session::{PROMPT, prepare};
use super::split::FROM_HOST;
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where QEMU's q35 puts the second disk and the card.
const DISK: &str = "00:03.0";
const CARD: &str = "00:04.0";
/// Size of the disk.
const SIZE: u64 = 20 << 20;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new(
        "system::domains_drive_what_they_are_given",
        move || drive(&launcher),
    )]
}

/// What the domains do.
fn scripts() -> [(&'static str, &'static str); 4] {
    [
        (
            "files",
            "mkdir /mnt\nmount /dev/vda /mnt\ncat '/mnt/from the host.txt'\ncp /bin/sh /mnt/a-long-name.bin\n\
             echo written by its holder >/mnt/line\ncat /proc/pci\numount /mnt; echo files-$?\nexec sleep 100000\n",
        ),
        ("net", "ping -c 3 10.0.2.2; echo net-$?\nexec sleep 100000\n"),
        (
            "line",
            "cat /etc/long >/dev/ttyS0; echo line-$?\ncat /proc/interrupts\n",
        ),
        ("weak", "ls /dev/vda; echo weak-$?\n"),
    ]
}

fn create(name: &str, devices: &str, words: &str) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd given.cpio --memory 24M --show {devices} \
         --append \"{words} -- /bin/sh /etc/{name}\"; echo {name}-made-$?\n"
    )
}

fn make_disk(dir: &Path, name: &str) -> Result<PathBuf, Stop> {
    let (path, text) = (dir.join(name), dir.join("text"));
    File::create(&path)?.set_len(SIZE)?;
    std::fs::write(&text, format!("{FROM_HOST}\n"))?;
    host("mkfs.vfat", &["-F".as_ref(), "16".as_ref(), path.as_os_str()])?;
    let arguments = [
        "-i".as_ref(),
        path.as_os_str(),
        text.as_os_str(),
        "::From the host.txt".as_ref(),
    ];
    host("mcopy", &arguments)?;
    Ok(path)
}

fn drive(launcher: &Path) -> Outcome {
    let name = "system::domains_drive_what_they_are_given";
    prepare()?;
    let dir = tempfile::tempdir()?;
    // More than the kernel keeps for the line, so that the rest waits for its interrupts.
    let long: String = (0..1000)
        .map(|n| format!("line {n} of what goes out\n"))
        .collect();
    let scripts = scripts().into_iter().chain([("long", long.as_str())]);
    let archive = launched::archive(dir.path(), "given.cpio", &scripts.collect::<Vec<_>>())?;
    let (own, given) = (make_disk(dir.path(), "own")?, make_disk(dir.path(), "given")?);
    let line = dir.path().join("line");
    let paths = [&own, &given, &line].map(|path| path.display().to_string());
    let more = [
        "--disk", &paths[0], "--disk", &paths[1], "--net", "", "--serial", &paths[2],
    ];
    let pci = |at: &str| format!("--pci {at} --unsafe-dma");
    let (files, net) = (create("files", &pci(DISK), ""), create("net", &pci(CARD), ""));
    let serial = create("line", "--ioport 2f8-2ff --irq 3", "serial=2f8,3");
    // Who has it keeps it; when its holder is gone another one may have it, and without leave to reach memory it is of no use.
    let again = files
        .replace("create files", "create weak")
        .replace("files-", "second-");
    let weak = create("weak", &format!("--pci {DISK}"), "");
    let steps: [(&str, &[u8]); 8] = [
        (PROMPT, b"lspci; pci-list; ls /dev/vdb; echo vdb-$?\n"),
        ("vdb-1", files.as_bytes()),
        ("files: files-0", net.as_bytes()),
        ("net: net-0", serial.as_bytes()),
        ("line: mini-guest: poweroff", again.as_bytes()),
        (
            "second-made-1",
            b"pci-list; echo list-$?\nshutdown --wait files net; echo gone-$?\n",
        ),
        ("gone-0", weak.as_bytes()),
        ("weak: weak-1", b"poweroff\n"),
    ];
    let words = format!("pci-hide={DISK},{CARD}");
    let finished =
        launched::boot_with(name, launcher, &words, &more, &[&archive], &steps)?.expect_output(&[
            "device at 00:03.0: left for other domains",
            "device at 00:04.0: left for other domains",
            "files: mini-guest: vda: 20480 KiB",
            &format!("files: {FROM_HOST}"),
            "driver virtio-blk",
            "net: mini-guest: net0: 52:54:00:12:34:56",
            "net: mini-guest: net0: 10.0.2.15/24, gateway 10.0.2.2",
            "3 packets transmitted, 3 packets received",
            "line: mini-guest: ttyS0: port 0x2f8, line 3, 115200 baud",
            "line: line-0",
            "device at 00:03.0: its driver has it reach memory, which needs --unsafe-dma where it is given",
        ])?;
    let seen = fixture::tail(&finished.output);
    for (at, holder) in [(DISK, "files"), (CARD, "net")] {
        let held = finished
            .output
            .lines()
            .any(|line| line.starts_with(holder) && line.contains(&format!(" yes {at}")));
        check!(held, "{holder} is not shown to have {at}\n{seen}");
    }
    let sent = std::fs::read_to_string(&line)?;
    check!(
        sent == long,
        "{} bytes came out of the line, not {}",
        sent.len(),
        long.len()
    );
    host("fsck.vfat", &["-n".as_ref(), given.as_os_str()])?;
    let text = host("mtype", &["-i".as_ref(), given.as_os_str(), "::line".as_ref()])?;
    check!(text == "written by its holder\n", "the file holds {text:?}");
    let text = host("mdir", &["-b".as_ref(), "-i".as_ref(), own.as_os_str()])?;
    check!(
        text.lines().count() == 1,
        "Domain0's own disk was written to: {text}"
    );
    Ok(())
}
