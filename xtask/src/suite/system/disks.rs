//! Disks: a volume that the host's tools make, the guest writes to, and the host's tools check and read.

use super::{image, powered_off};
use crate::check;
use crate::cli::{Bus, Chipset, Disk};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::{Outcome, Stop, Test, fixture};
use crate::tools::{self, Tool};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;
/// Sectors of the disk; first sector and sectors of its second partition, which holds the volume.
const DISK: u64 = 131_072;
const PART: (u64, u64) = (40_000, 80_000);
/// What the host writes.
const FROM_HOST: &str = "a line from the host\n";

/// The tests.
pub fn tests() -> Vec<Test> {
    let on = |name: &'static str, chipset, bus, width: &'static str| {
        let machine = move |path: &Path| Machine {
            chipset,
            disks: vec![Disk {
                path: path.into(),
                bus,
            }],
            ..Machine::default()
        };
        Test::new(name, move || volume(name, &machine, bus, width))
    };
    vec![
        on("system::disk_virtio_fat32_q35", Chipset::Q35, Bus::Virtio, "32"),
        on("system::disk_virtio_fat16_pc", Chipset::Pc, Bus::Virtio, "16"),
        on("system::disk_ahci_fat32_q35", Chipset::Q35, Bus::Ahci, "32"),
    ]
}

/// Runs a program of the host and gives what it prints.
pub(super) fn host<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Result<String, Stop> {
    let program = tools::find_program(&[name]).unwrap_or_else(|| PathBuf::from(name));
    let output = Command::new(program).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    check!(
        output.status.success(),
        "{name}: {}\n{text}{errors}",
        output.status
    );
    Ok(text)
}

/// An MBR with these partitions: first sector and sectors.
pub(super) fn table(parts: &[(u64, u64)]) -> [u8; SECTOR as usize] {
    let mut table = [0; SECTOR as usize];
    for (index, (first, count)) in parts.iter().enumerate() {
        let at = 446 + 16 * index;
        table[at + 4] = 0x0C;
        table[at + 8..at + 12].copy_from_slice(&(*first as u32).to_le_bytes());
        table[at + 12..at + 16].copy_from_slice(&(*count as u32).to_le_bytes());
    }
    table[510..].copy_from_slice(&[0x55, 0xAA]);
    table
}

/// A disk with an MBR whose second partition is a volume with one file.
fn make(dir: &Path, width: &str) -> Result<PathBuf, Stop> {
    let (disk, volume, text) = (dir.join("disk"), dir.join("volume"), dir.join("text"));
    File::create(&volume)?.set_len(PART.1 * SECTOR)?;
    // FAT16 counts to 65,524 clusters.
    let cluster = if width == "32" { "1" } else { "2" };
    host(
        "mkfs.vfat",
        &[
            "-F".as_ref(),
            width.as_ref(),
            "-s".as_ref(),
            cluster.as_ref(),
            volume.as_os_str(),
        ],
    )?;
    std::fs::write(&text, FROM_HOST)?;
    host(
        "mcopy",
        &[
            "-i".as_ref(),
            volume.as_os_str(),
            text.as_os_str(),
            "::From the host.txt".as_ref(),
        ],
    )?;
    let mut file = File::create(&disk)?;
    file.set_len(DISK * SECTOR)?;
    file.write_all(&table(&[(2048, 30_000), PART]))?;
    file.seek(SeekFrom::Start(PART.0 * SECTOR))?;
    file.write_all(&std::fs::read(&volume)?)?;
    Ok(disk)
}

/// The volume's bytes, as a file of their own.
fn extract(disk: &Path, to: &Path) -> Outcome {
    let mut file = File::open(disk)?;
    file.seek(SeekFrom::Start(PART.0 * SECTOR))?;
    let mut bytes = vec![0; (PART.1 * SECTOR) as usize];
    file.read_exact(&mut bytes)?;
    std::fs::write(to, bytes)?;
    Ok(())
}

fn session(name: &str, machine: &Machine, keys: &str) -> Result<String, Stop> {
    let image = image(&fixture::programs()?, "")?;
    let record = fixture::boot(name, machine, &image, Keyboard::of_text(keys), fixture::LIMIT * 2)?;
    powered_off(&record)?;
    Ok(record.text)
}

/// The guest mounts, reads, writes, makes and removes; the host checks the volume and reads it; a second boot reads what the first wrote.
fn volume(name: &str, machine: &dyn Fn(&Path) -> Machine, bus: Bus, width: &str) -> Outcome {
    fixture::need(&[Tool::Dosfstools, Tool::Mtools])?;
    let dir = tempfile::tempdir()?;
    let disk = make(dir.path(), width)?;
    let machine = machine(&disk);
    let device = if bus == Bus::Ahci { "sda" } else { "vda" };
    let keys = format!(
        "mkdir /mnt\nmount /dev/{device}2 /mnt\ncat '/mnt/from the host.txt'\nmkdir /mnt/Directory\n\
         cp /bin/xl /mnt/Directory/a-long-name.bin\necho one line >/mnt/Directory/line\necho gone >/mnt/gone\n\
         rm /mnt/gone\nmv /mnt/Directory/line '/mnt/Directory/Renamed Line.txt'\nls -l /mnt/Directory\nlspci\n\
         umount /mnt; echo umount-$?\nmount /dev/{device}2 /mnt\necho more >>/mnt/unsynced\npoweroff\n"
    );
    let text = session(name, &machine, &keys)?;
    for line in [
        FROM_HOST.trim_end(),
        "umount-0",
        &format!(", driver {}", driver(bus)),
    ] {
        check!(text.contains(line), "no {line:?} in\n{}", fixture::tail(&text));
    }
    let volume = dir.path().join("after");
    extract(&disk, &volume)?;
    host("fsck.vfat", &["-n".as_ref(), "-v".as_ref(), volume.as_os_str()])?;
    let read = |path: &str| host("mtype", &["-i".as_ref(), volume.as_os_str(), path.as_ref()]);
    check!(
        read("::Directory/Renamed Line.txt")? == "one line\n",
        "the file is not what was written"
    );
    check!(read("::unsynced")? == "more\n", "power-off has lost a file");
    check!(read("::gone").is_err(), "a file that was removed is there");
    let (copy, program) = (dir.path().join("copy"), dir.path().join("program"));
    let arguments = [
        "-i".as_ref(),
        volume.as_os_str(),
        "::Directory/a-long-name.bin".as_ref(),
        copy.as_os_str(),
    ];
    host("mcopy", &arguments)?;
    let tree = fixture::copied_program_tree()?;
    std::fs::copy(tree.path().join("bin/xl"), &program)?;
    check!(
        std::fs::read(copy)? == std::fs::read(program)?,
        "the copied program differs"
    );
    // What the first boot wrote the second one reads.
    let keys = format!(
        "mkdir /mnt\nmount -r /dev/{device}2 /mnt\ncat '/mnt/Directory/renamed line.txt'\npoweroff\n"
    );
    let text = session(name, &machine, &keys)?;
    check!(
        text.contains("one line"),
        "the second boot\n{}",
        fixture::tail(&text)
    );
    Ok(())
}

fn driver(bus: Bus) -> &'static str {
    match bus {
        Bus::Virtio => "virtio-blk",
        Bus::Ahci => "ahci",
    }
}
