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
    arguments.push("::".as_ref());
    mtool("mcopy", &volume, &arguments)?;
    let gone: Vec<String> = names.iter().step_by(2).map(|name| format!("::{name}")).collect();
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
cp /bin/xl /mnt/from-dom0.bin; rm /mnt/f003; rm /mnt/f101; cp /bin/sh /mnt/second.bin; echo wrote-$?\n\
block-restart one; echo restart-$?\n\
umount /mnt; echo x >/mnt/one.img; cat /mnt/two.img; rm /mnt/one.img; mv /mnt/two.img /mnt/three.img; mv /mnt/odd /mnt/one.img\n\
hexdump /dev/vda1; block-attach one vda1\n\
block-attach one file:/mnt/two.img xvdc r; block-attach two file:/mnt/One.img\n\
block-attach one file:/mnt/odd; block-attach one file:/mnt/none; block-attach one file:/mnt\n\
block-attach one file:/bin/xl; block-attach one file:one.img\n\
sleep 1000 </mnt/f005 &\n\
block-attach one file:/mnt/f005 xvdd; block-attach one file:/mnt/f005 xvdd r; echo shared-$?; kill $!\n\
rm /mnt/f005; block-list\nsync\n";

/// Two domains write to images on one volume, in whose gaps Domain0 writes too; then the host judges all of it. In a second boot both domains
/// have one of the images to read, by configuration files, and the machine is switched off as it is.
fn files(launcher: &Path) -> Outcome {
    let name = "system::files_are_disks";
    prepare()?;
    fixture::need(&[Tool::Dosfstools, Tool::Mtools])?;
    let dir = tempfile::tempdir()?;
    let scripts = [
        ("write-one", writer("xvda")),
        ("write-two", writer("xvdb")),
        ("read", reader()),
    ];
    let (disk, archive) = (make_disk(dir.path())?, archive(dir.path(), &scripts)?);
    let begin = format!(
        "mkdir /mnt\nmount /dev/vda1 /mnt\n{}",
        create("one", "file:/mnt/one.img,xvda,w", "write-one")
    );
    let two = create("two", "file:/mnt/two.img,xvdb", "write-two");
    let end = "shutdown --wait one two; echo ended-$?\ncp /mnt/one.img /mnt/copy.img; umount /mnt; echo umount-$?\npoweroff\n";
    let steps: [(&str, &[u8]); 5] = [
        (PROMPT, begin.as_bytes()),
        ("one: a line from the host", two.as_bytes()),
        ("two: a line from the host", MEANWHILE.as_bytes()),
        ("two: done-0", b""),
        ("Sectors  Disk", end.as_bytes()),
    ];
    let finished = boot(name, launcher, &disk, &[&archive], &steps)?;
    finished.expect_output(&["wrote-0", "restart-0", "ended-0", "umount-0"])?;
    judge(dir.path(), &disk)
}

fn reader() -> String {
    "mkdir /mnt\nmount -r /dev/xvdc /mnt\ncat /mnt/directory/line\necho done-$?\nexec sleep 1000\n".into()
}

/// The volume and its images are in order, and have what everybody wrote.
fn judge(dir: &Path, disk: &Path) -> Outcome {
    let tree = fixture::copied_program_tree()?;
    let program = |name: &str| std::fs::read(tree.path().join("bin").join(name));
    let (volume, copy) = (dir.join("after"), dir.join("copy"));
    std::fs::write(&volume, part(disk, PART)?)?;
    let check_volume = |path: &Path| {
        let arguments: [&OsStr; 3] = ["-n".as_ref(), "-v".as_ref(), path.as_os_str()];
        host("fsck.vfat", &arguments)
    };
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
    check_volume(&volume)?;
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
        .filter(|number| ![3, 101].contains(number))
    {
        let same = get(&volume, &format!("f{number:03}"))? == filler(number);
        check!(same, "f{number:03} has changed");
    }
    check!(
        get(&volume, "copy.img")? == get(&volume, "one.img")?,
        "Domain0 has read something else"
    );
    for (name, domain, device) in IMAGES {
        let image = dir.join("image");
        std::fs::write(&image, get(&volume, name)?)?;
        check_volume(&image)?;
        let line = mtool("mtype", &image, &["::Directory/line".as_ref()])?;
        check!(line == format!("written by {device}\n"), "{domain}: {line:?}");
        check!(
            get(&image, "a-long-name.bin")? == program("sh")?,
            "{domain}: the copied program differs"
        );
    }
    Ok(())
}
