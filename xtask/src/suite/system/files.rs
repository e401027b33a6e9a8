//! Files as disks of other domains: images in pieces on a volume of the machine's disk, which Domain0 goes on to use; made and checked by the host's tools.

use super::disks::{SECTOR, host, table};
use super::session::{PROMPT, prepare};
use super::split::{FROM_HOST, archive, boot, create, part, writer};
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::tools::Tool;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sectors of the disk, and the partition with the volume: it begins in the middle of a block of Domain0's cache, and has clusters of one sector.
const DISK: u64 = 70_000;
const PART: (u64, u64) = (2051, 60_000);
/// Sectors of an image.
const IMAGE: u64 = 6000;
/// The images, the domains that have them, and what these call them.
const IMAGES: [(&str, &str, &str); 2] = [("one.img", "one", "xvda"), ("two.img", "two", "xvdb")];
/// Files that the images lie between, and bytes of each.
const FILLERS: usize = 600;
const FILLER: usize = 19 * 1024 + 512;
/// Least pieces of an image.
const PIECES: usize = 50;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    vec![Test::new("system::files_are_disks", move || files(&launcher))]
}

/// Calls one of mtools with `-i IMAGE`.
fn mtool(tool: &str, image: &Path, arguments: &[&OsStr]) -> Result<String, Stop> {
    let first: [&OsStr; 2] = ["-i".as_ref(), image.as_os_str()];
    host(tool, &[&first[..], arguments].concat())
}

fn format(path: &Path, sectors: u64) -> Outcome {
    File::create(path)?.set_len(sectors * SECTOR)?;
    let options: [&OsStr; 5] = [
        "-F".as_ref(),
        "16".as_ref(),
        "-s".as_ref(),
        "1".as_ref(),
        path.as_os_str(),
    ];
    host("mkfs.vfat", &options).map(drop)
}

fn filler(number: usize) -> Vec<u8> {
    (0..FILLER).map(|at| (at / 512 * 7 + number) as u8).collect()
}

/// The disk: on its volume a few hundred files, and the images in the gaps that others have left, each a volume with one file.
fn make_disk(dir: &Path) -> Result<PathBuf, Stop> {
    let (disk, volume) = (dir.join("disk"), dir.join("volume"));
    format(&volume, PART.1)?;
    let names: Vec<String> = (0..FILLERS).map(|number| format!("f{number:03}")).collect();
    let mut paths = Vec::new();
    for (number, name) in names.iter().enumerate() {
        paths.push(dir.join(name));
        std::fs::write(&paths[number], filler(number))?;
    }
    let mut arguments: Vec<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
    arguments.push("::fill".as_ref());
    mtool("mmd", &volume, &["::fill".as_ref()])?;
    mtool("mcopy", &volume, &arguments)?;
    let gone: Vec<String> = names
        .iter()
        .step_by(2)
        .map(|name| format!("::fill/{name}"))
        .collect();
    mtool("mdel", &volume, &gone.iter().map(OsStr::new).collect::<Vec<_>>())?;
    let text = dir.join("text");
    std::fs::write(&text, format!("{FROM_HOST}\n"))?;
    for (name, ..) in IMAGES {
        let image = dir.join(name);
        format(&image, IMAGE)?;
        mtool(
            "mcopy",
            &image,
            &[text.as_os_str(), "::From the host.txt".as_ref()],
        )?;
        mtool("mcopy", &volume, &[image.as_os_str(), "::".as_ref()])?;
        let pieces = mtool("mshowfat", &volume, &[format!("::{name}").as_ref()])?;
        let count = pieces.matches('<').count();
        check!(count >= PIECES, "{name} is not in pieces: {pieces}");
    }
    let log = dir.join("log.img");
    let pages = (0..LOG_PAGES).map(|page| page.to_le_bytes().repeat(1024));
    std::fs::write(&log, pages.flatten().collect::<Vec<_>>())?;
    mtool("mcopy", &volume, &[log.as_os_str(), "::".as_ref()])?;
    std::fs::write(&text, [1; 700])?;
    mtool("mcopy", &volume, &[text.as_os_str(), "::odd".as_ref()])?;
    let mut file = File::create(&disk)?;
    file.set_len(DISK * SECTOR)?;
    file.write_all(&table(&[PART]))?;
    file.seek(SeekFrom::Start(PART.0 * SECTOR))?;
    file.write_all(&std::fs::read(&volume)?)?;
    Ok(disk)
}

/// What Domain0 does while both domains have their images: it goes on to use the volume, but not these files.
const MEANWHILE: &str = "\
cp /bin/xl /mnt/from-dom0.bin; rm /mnt/fill/f003; rm /mnt/fill/f101; cp /bin/sh /mnt/second.bin; echo wrote-$?\n\
block-restart one; echo restart-$?\n\
umount /mnt; echo x >/mnt/one.img; cat /mnt/two.img; rm /mnt/one.img; mv /mnt/two.img /mnt/three.img; mv /mnt/odd /mnt/one.img\n\
hexdump /dev/vda1; block-attach one vda1\n\
block-attach one file:/mnt/two.img xvdc r; block-attach two file:/mnt/One.img\n\
block-attach one file:/mnt/odd; block-attach one file:/mnt/none; block-attach one file:/mnt\n\
block-attach one file:/bin/xl; block-attach one file:one.img\n\
sleep 1000 </mnt/fill/f005 &\n\
block-attach one file:/mnt/fill/f005 xvdd; block-attach one file:/mnt/fill/f005 xvdd r; echo shared-$?; kill $!\n\
rm /mnt/fill/f005\n";

/// What Domain0 is told then, in this order.
const REFUSED: [&str; 19] = [
    "wrote-0",
    "restart-0",
    "umount: /mnt: Device or resource busy",
    "sh: /mnt/one.img: Device or resource busy",
    "cat: /mnt/two.img: Device or resource busy",
    "rm: /mnt/one.img: Device or resource busy",
    "mv: /mnt/two.img: Device or resource busy",
    "mv: /mnt/odd: Device or resource busy",
    "hexdump: /dev/vda1: Device or resource busy",
    "vda1: this domain has it mounted or open",
    "file:/mnt/two.img: another device of a domain is on it already",
    "file:/mnt/One.img: another device of a domain is on it already",
    "file:/mnt/odd: the file's length is no multiple of 512 bytes, or nothing",
    "file:/mnt/none: there is no such file",
    "file:/mnt: it is a directory",
    "file:/bin/xl: files in memory are no disks",
    "file:/mnt/fill/f005: this domain has it open",
    "shared-0",
    "rm: /mnt/fill/f005: Device or resource busy",
];

/// Pages of the log's image, and how often the backend is killed below it.
const LOG_PAGES: u32 = 1300;
const KILLS: u32 = 12;

/// Two domains write to images on one volume, in whose gaps Domain0 writes too; then the host judges all of it.
fn files(launcher: &Path) -> Outcome {
    let name = "system::files_are_disks";
    prepare()?;
    fixture::need(&[Tool::Dosfstools, Tool::Mtools])?;
    let dir = tempfile::tempdir()?;
    let scripts = [
        ("write-one", writer("xvda")),
        ("write-two", writer("xvdb")),
        ("read", reader()),
        ("sync", syncer()),
        ("log", "disklog write /dev/xvda\n".into()),
    ];
    let (disk, archive) = (make_disk(dir.path())?, archive(dir.path(), &scripts)?);
    let begin = format!(
        "mkdir /mnt\nmount /dev/vda1 /mnt\n{}",
        create("one", "file:/mnt/one.img,xvda,w", "write-one")
    );
    let two = create("two", "file:/mnt/two.img,xvdb", "write-two");
    let end = "block-list; shutdown --wait one two; echo ended-$?\n\
               cp /mnt/one.img /mnt/copy.img; umount /mnt; echo umount-$?\npoweroff\n";
    let steps: [(&str, &[u8]); 5] = [
        (PROMPT, begin.as_bytes()),
        ("one: a line from the host", two.as_bytes()),
        ("two: a line from the host", MEANWHILE.as_bytes()),
        ("two: done-0", end.as_bytes()),
        ("umount-0", b""),
    ];
    let finished = boot(name, launcher, &disk, &[&archive], &steps)?.expect_output(&REFUSED)?;
    finished.expect_output(&["39  file:/mnt/fill/f005", "6000  file:/mnt/two.img", "ended-0"])?;
    judge(dir.path(), &disk)?;
    again(launcher, dir.path(), (&disk, &archive))
}

/// In a second boot two domains have one of the images to read, by configuration files, a third one keeps a log on a file while its backend is killed, and a fourth one
/// has written when the machine is switched off with everything as it is.
fn again(launcher: &Path, dir: &Path, (disk, archive): (&Path, &Path)) -> Outcome {
    let name = "system::files_are_disks_again";
    let mut begin = String::from("mkdir /mnt\nmount /dev/vda1 /mnt\n");
    for line in [
        "kernel = \"mini-guest\"",
        "ramdisk = \"/boot/split.cpio\"",
        "memory = 24",
        "console_show = 1",
        "extra = \"-- /bin/sh /etc/read\"",
        "disk = [ \"file:/mnt/one.img,xvdc,r\" ]",
    ] {
        begin += &format!("echo '{line}' >>/tmp/left.cfg\n");
    }
    begin += "cp /tmp/left.cfg /tmp/right.cfg; create /tmp/left.cfg\n";
    let logger = create("logger", "file:/mnt/log.img", "log");
    let kill = format!(
        "echo x >/mnt/one.img; wc -c /mnt/one.img\nblock-restart --kills {KILLS} logger; echo kills-$?\n\
         shutdown --wait logger; disklog check /mnt/log.img; echo check-$?\n"
    );
    let writer = create("writer", "file:/mnt/two.img,xvdb", "sync");
    let steps: [(&str, &[u8]); 7] = [
        (PROMPT, begin.as_bytes()),
        ("left: written by xvda", b"create /tmp/right.cfg\n"),
        ("right: written by xvda", logger.as_bytes()),
        ("logger: disklog: 1 passes are on the disk", kill.as_bytes()),
        ("check-0", writer.as_bytes()),
        ("writer: synced-0", b"poweroff\n"),
        ("turning off", b""),
    ];
    let finished = boot(name, launcher, disk, &[archive], &steps)?;
    let bytes = format!("{} /mnt/one.img", IMAGE * SECTOR);
    finished.expect_output(&[
        "sh: /mnt/one.img: Device or resource busy",
        &bytes,
        "kills-0",
        "check-0",
    ])?;
    let (volume, image) = (dir.join("after"), dir.join("image"));
    std::fs::write(&volume, part(disk, PART)?)?;
    is_in_order(&volume)?;
    let _ = std::fs::remove_file(&image);
    mtool("mcopy", &volume, &["::two.img".as_ref(), image.as_os_str()])?;
    let line = mtool("mtype", &image, &["::last".as_ref()])?;
    check!(line == "it is on the disk\n", "what was synced: {line:?}");
    Ok(())
}

/// What a domain does with an image that it has to read.
fn reader() -> String {
    "mkdir /mnt\nmount -r /dev/xvdc /mnt\ncat /mnt/directory/line\nexec sleep 1000\n".into()
}

/// What one does that writes and stays.
fn syncer() -> String {
    "mkdir /mnt\nmount /dev/xvdb /mnt\necho it is on the disk >/mnt/last\nsync\necho synced-$?\nexec sleep 1000\n".into()
}

fn is_in_order(volume: &Path) -> Outcome {
    let arguments: [&OsStr; 3] = ["-n".as_ref(), "-v".as_ref(), volume.as_os_str()];
    host("fsck.vfat", &arguments).map(drop)
}

/// The volume and its images are in order, and have what everybody wrote.
fn judge(dir: &Path, disk: &Path) -> Outcome {
    let tree = fixture::copied_program_tree()?;
    let program = |name: &str| std::fs::read(tree.path().join("bin").join(name));
    let (volume, copy) = (dir.join("after"), dir.join("copy"));
    std::fs::write(&volume, part(disk, PART)?)?;
    let get = |image: &Path, name: &str| -> Result<Vec<u8>, Stop> {
        let arguments =
            ["-n".as_ref(), format!("::{name}").as_ref(), copy.as_os_str()].map(OsStr::to_os_string);
        let _ = std::fs::remove_file(&copy);
        mtool(
            "mcopy",
            image,
            &arguments.iter().map(|text| &**text).collect::<Vec<_>>(),
        )?;
        Ok(std::fs::read(&copy)?)
    };
    is_in_order(&volume)?;
    check!(
        get(&volume, "from-dom0.bin")? == program("xl")?,
        "Domain0's copy differs"
    );
    check!(
        get(&volume, "second.bin")? == program("sh")?,
        "Domain0's second copy differs"
    );
    for number in (1..FILLERS)
        .step_by(2)
        .filter(|number| ![3, 5, 101].contains(number))
    {
        let same = get(&volume, &format!("fill/f{number:03}"))? == filler(number);
        check!(same, "f{number:03} has changed");
    }
    check!(
        get(&volume, "copy.img")? == get(&volume, "one.img")?,
        "Domain0 has read something else"
    );
    for (name, domain, device) in IMAGES {
        let image = dir.join("image");
        std::fs::write(&image, get(&volume, name)?)?;
        is_in_order(&image)?;
        let line = mtool("mtype", &image, &["::Directory/line".as_ref()])?;
        check!(line == format!("written by {device}\n"), "{domain}: {line:?}");
        check!(
            get(&image, "a-long-name.bin")? == program("sh")?,
            "{domain}: the copied program differs"
        );
    }
    Ok(())
}
