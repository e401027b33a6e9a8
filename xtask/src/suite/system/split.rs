//! Disks of other domains: one disk of the machine, made and checked by the host's tools, with a partition for each of two domains.

use super::disks::{SECTOR, host, table};
use super::launched;
use super::session::{PROMPT, prepare};
use crate::check;
use crate::suite::command_line::Finished;
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::tools::Tool;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sectors of the disk, and its partitions: first sector and sectors. The third one nobody may touch.
const DISK: u64 = 100_000;
const PARTS: [(u64, u64); 3] = [(2048, 40_000), (42_048, 40_000), (82_048, 1000)];
/// What the host writes to a volume.
pub(super) const FROM_HOST: &str = "a line from the host";
/// What is in the partition that nobody may touch.
const UNTOUCHED: u8 = 0xA5;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    let other = Arc::clone(&launcher);
    vec![
        Test::new("system::two_domains_share_a_disk", move || two_domains(&launcher)),
        Test::new("system::fifty_kills_of_a_backend", move || kills(&other)),
    ]
}

/// What a domain does with its volume in the first boot.
pub(super) fn writer(device: &str) -> String {
    format!(
        "mkdir /mnt\nmount /dev/{device} /mnt\ncat '/mnt/from the host.txt'\ncp /bin/sh /mnt/a-long-name.bin\n\
         mkdir /mnt/Directory\necho written by {device} >/mnt/Directory/line\nls -l /mnt\ncat /mnt/Directory/line\n\
         wc -c /dev/{device}\necho done-$?\nexec sleep 1000\n"
    )
}

/// What it does in the second.
fn reader(device: &str) -> String {
    format!(
        "mkdir /mnt\nmount -r /dev/{device} /mnt\ncat /mnt/directory/line\necho done-$?\nexec sleep 1000\n"
    )
}

/// The scripts of these tests.
fn scripts() -> [(&'static str, String); 5] {
    [
        ("write-one", writer("xvda")),
        ("write-two", writer("xvdb")),
        ("read-one", reader("xvda")),
        ("read-two", reader("xvdb")),
        ("log", "disklog write /dev/xvda\n".into()),
    ]
}

/// The initial file system of the domains, with these scripts.
pub(super) fn archive(dir: &Path, scripts: &[(&str, String)]) -> Result<PathBuf, Stop> {
    launched::archive(dir, "split.cpio", scripts)
}

fn make_disk(dir: &Path) -> Result<PathBuf, Stop> {
    let (path, volume, text) = (dir.join("disk"), dir.join("volume"), dir.join("text"));
    std::fs::write(&text, format!("{FROM_HOST}\n"))?;
    let mut disk = File::create(&path)?;
    disk.set_len(DISK * SECTOR)?;
    disk.write_all(&table(&PARTS))?;
    for (first, sectors) in &PARTS[..2] {
        File::create(&volume)?.set_len(sectors * SECTOR)?;
        host("mkfs.vfat", &["-F".as_ref(), "16".as_ref(), volume.as_os_str()])?;
        let arguments = [
            "-i".as_ref(),
            volume.as_os_str(),
            text.as_os_str(),
            "::From the host.txt".as_ref(),
        ];
        host("mcopy", &arguments)?;
        disk.seek(SeekFrom::Start(first * SECTOR))?;
        disk.write_all(&std::fs::read(&volume)?)?;
    }
    let (first, sectors) = PARTS[2];
    disk.seek(SeekFrom::Start(first * SECTOR))?;
    disk.write_all(&vec![UNTOUCHED; (sectors * SECTOR) as usize])?;
    Ok(path)
}

/// The bytes of a partition.
pub(super) fn part(disk: &Path, (first, sectors): (u64, u64)) -> Result<Vec<u8>, Stop> {
    let mut file = File::open(disk)?;
    file.seek(SeekFrom::Start(first * SECTOR))?;
    let mut bytes = vec![0; (sectors * SECTOR) as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn create(name: &str, disk: &str, script: &str) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd split.cpio --memory 24M --show --disk {disk} \
         --append \"-- /bin/sh /etc/{script}\"\n"
    )
}

pub(super) fn boot(
    name: &str,
    launcher: &Path,
    disk: &Path,
    modules: &[&Path],
    steps: &[(&str, &[u8])],
) -> Result<Finished, Stop> {
    let disk = disk.display().to_string();
    launched::boot(name, launcher, &["--disk", &disk], modules, steps)
}

/// The backends have moved bytes, and by their own count copied none: the disk reaches the domains' frames by itself.
fn nothing_is_copied(output: &str) -> Outcome {
    let counts = output.lines().filter_map(|line| {
        let (before, rest) = line.split_once(" bytes (")?;
        Some((before.rsplit(' ').next()?, rest.split_once(" copied)")?.0))
    });
    let counts: Vec<_> = counts.collect();
    let is_so =
        |(moved, copied): &(&str, &str)| moved.parse::<u64>().is_ok_and(|moved| moved > 0) && *copied == "0";
    check!(
        counts.len() == 2 && counts.iter().all(is_so),
        "bytes moved and copied: {counts:?}"
    );
    Ok(())
}

/// Each domain mounts its partition, reads what the host wrote and writes; what Domain0 and others may not have at the same time is refused;
/// the host checks and reads the volumes; in a second boot the domains read what they wrote.
fn two_domains(launcher: &Path) -> Outcome {
    let name = "system::two_domains_share_a_disk";
    prepare()?;
    fixture::need(&[Tool::Dosfstools, Tool::Mtools])?;
    let dir = tempfile::tempdir()?;
    let (disk, archive) = (make_disk(dir.path())?, archive(dir.path(), &scripts())?);
    let (one, two) = (
        create("one", "vda1", "write-one"),
        create("two", "vda2,xvdb", "write-two"),
    );
    let refused = format!(
        "mkdir /mnt\nmount /dev/vda1 /mnt\nhexdump /dev/vda2\nblock-attach two vda\nblock-attach two vda1\n{}\
         sleep 1000 </dev/vda3 &\nblock-attach two vda3\nblock-list --counters\nshutdown --wait one two; echo ended-$?\n",
        create("three", "vda2", "write-one")
    );
    let after = "mount -r /dev/vda1 /mnt; cat /mnt/directory/line; umount /mnt\npoweroff\n";
    let steps: [(&str, &[u8]); 5] = [
        (PROMPT, one.as_bytes()),
        ("one: done-0", two.as_bytes()),
        ("two: done-0", refused.as_bytes()),
        ("ended-0", after.as_bytes()),
        ("written by xvda", b""),
    ];
    let bytes_of = |device: &str, (_, sectors): (u64, u64)| format!("{} /dev/{device}", sectors * SECTOR);
    let (size_one, size_two) = (bytes_of("xvda", PARTS[0]), bytes_of("xvdb", PARTS[1]));
    let finished = boot(name, launcher, &disk, &[&archive], &steps)?;
    nothing_is_copied(&finished.output)?;
    finished.expect_output(&[
        &format!("one: {FROM_HOST}"),
        "one: written by xvda",
        &size_one,
        &format!("two: {FROM_HOST}"),
        "two: written by xvdb",
        &size_two,
        "mount: /dev/vda1: ",
        "hexdump: /dev/vda2: ",
        "vda: another device of a domain is on it already",
        "vda1: another device of a domain is on it already",
        "vda2: another device of a domain is on it already",
        "vda3: this domain has it mounted or open",
    ])?;
    let tree = fixture::copied_program_tree()?;
    let program = std::fs::read(tree.path().join("bin/sh"))?;
    for (device, extent) in [("xvda", PARTS[0]), ("xvdb", PARTS[1])] {
        let (volume, copy) = (dir.path().join("after"), dir.path().join("copy"));
        std::fs::write(&volume, part(&disk, extent)?)?;
        let arguments: [&OsStr; 3] = ["-n".as_ref(), "-v".as_ref(), volume.as_os_str()];
        host("fsck.vfat", &arguments)?;
        let arguments: [&OsStr; 3] = ["-i".as_ref(), volume.as_os_str(), "::Directory/line".as_ref()];
        let line = host("mtype", &arguments)?;
        check!(line == format!("written by {device}\n"), "{device}: {line:?}");
        let arguments = [
            "-n".as_ref(),
            "-i".as_ref(),
            volume.as_os_str(),
            "::a-long-name.bin".as_ref(),
            copy.as_os_str(),
        ];
        host("mcopy", &arguments)?;
        check!(
            std::fs::read(&copy)? == program,
            "{device}: the copied program differs"
        );
        std::fs::remove_file(&copy)?;
    }
    let untouched = part(&disk, PARTS[2])?.iter().all(|byte| *byte == UNTOUCHED);
    check!(untouched, "somebody wrote beyond its partition");
    let (one, two) = (
        create("one", "vda1,xvda,r", "read-one"),
        create("two", "vda2,xvdb", "read-two"),
    );
    let steps: [(&str, &[u8]); 5] = [
        (PROMPT, one.as_bytes()),
        ("one: written by xvda", b""),
        ("one: done-0", two.as_bytes()),
        ("two: written by xvdb", b""),
        ("two: done-0", b"destroy one two\npoweroff\n"),
    ];
    boot(name, launcher, &disk, &[&archive], &steps).map(drop)
}

/// Kills, and records of the program `disklog`: how many, and how many pages of the disk one takes.
const KILLS: u64 = 50;
const RECORDS: u32 = 48;
const PAGE: usize = 4096;

/// A disk whose first partition has its number in every page, and whose third one is not touched; gives what is in the first one.
pub(super) fn log_disk(disk: &Path) -> Result<Vec<u8>, Stop> {
    let pages = (0..PARTS[0].1 as usize * SECTOR as usize / PAGE).map(|page| page as u32);
    let content: Vec<u8> = pages
        .flat_map(|page| page.to_le_bytes().repeat(PAGE / 4))
        .collect();
    let mut file = File::create(disk)?;
    file.set_len(DISK * SECTOR)?;
    file.write_all(&table(&PARTS))?;
    file.seek(SeekFrom::Start(PARTS[0].0 * SECTOR))?;
    file.write_all(&content)?;
    let (first, sectors) = PARTS[2];
    file.seek(SeekFrom::Start(first * SECTOR))?;
    file.write_all(&vec![UNTOUCHED; (sectors * SECTOR) as usize])?;
    Ok(content)
}

/// The backend is killed after the first step of each kind, after the second, and so on, while a domain keeps a log on its disk; a second disk comes and goes
/// meanwhile. The log's records are judged here: none is damaged, or older than what the domain was told to be on the disk.
fn kills(launcher: &Path) -> Outcome {
    let name = "system::fifty_kills_of_a_backend";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let (disk, archive) = (dir.path().join("disk"), archive(dir.path(), &scripts())?);
    let content = log_disk(&disk)?;
    let logger = create("logger", "vda1", "log");
    let orders = format!(
        "block-restart logger; echo restart-$?\nblock-attach logger ram0:4\nblock-restart --kills {KILLS} logger xvda; echo kills-$?\n\
         block-detach logger xvdb; echo detach-$?\n"
    );
    let steps: [(&str, &[u8]); 4] = [
        (PROMPT, logger.as_bytes()),
        ("logger: disklog: 1 passes are on the disk", orders.as_bytes()),
        ("detach-0", b""),
        // It goes on.
        (
            "passes are on the disk",
            b"shutdown --wait logger\ndisklog check /dev/vda1; echo check-$?\npoweroff\n",
        ),
    ];
    let finished = boot(name, launcher, &disk, &[&archive], &steps)?.expect_output(&[
        "restart-0",
        "kills-0",
        "detach-0",
        "check-0",
    ])?;
    let output = &finished.output;
    let killed = output
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("killed "));
    let counts: Vec<u64> = killed
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let seen = fixture::tail(output);
    check!(counts == [KILLS, 17, 17, 16], "killed {killed:?}\n{seen}");
    is_log_whole(&disk, &content, output)
}

/// Judges the log on the first partition by what the domain `logger` said; nothing else of the disk has changed.
pub(super) fn is_log_whole(disk: &Path, content: &[u8], output: &str) -> Outcome {
    let told = output.lines().filter_map(|line| {
        let (_, rest) = line.split_once("logger: disklog: ")?;
        rest.split_once(" passes")?.0.parse::<u32>().ok()
    });
    let told = told.max().unwrap_or(0);
    let seen = fixture::tail(output);
    check!(told > 8, "it did not go on: {told} passes\n{seen}");
    let bytes = part(disk, PARTS[0])?;
    for number in 0..RECORDS {
        let at = 2 * number as usize * PAGE;
        let words: Vec<u32> = bytes[at..at + PAGE]
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        let pass = words[1];
        let sum = number.wrapping_mul(0x9E37_79B1) ^ pass.wrapping_mul(0x85EB_CA6B).rotate_left(13);
        let expected = [number, pass, sum];
        check!(
            words.iter().eq(expected.iter().cycle().take(words.len())),
            "record {number} is damaged: {:x?}",
            &words[..6]
        );
        check!(
            pass >= told,
            "record {number} is of pass {pass}; {told} had been acknowledged"
        );
    }
    let others = 2 * RECORDS as usize * PAGE;
    check!(
        bytes[others..] == content[others..],
        "what nobody wrote has changed"
    );
    let untouched = part(disk, PARTS[2])?.iter().all(|byte| *byte == UNTOUCHED);
    check!(untouched, "somebody wrote beyond its partition");
    Ok(())
}
