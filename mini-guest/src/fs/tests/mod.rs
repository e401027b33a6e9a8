//! The tree as a whole, seen through paths.

use alloc::boxed::Box;

use super::cpio::tests::archive;
use super::data::FileData;
use super::proc::{NetFile, NoProcesses, ProcNode, ProcSource, ProcessFile, SystemFile, XenFile};
use super::tree::{Follow, Place};
use super::*;
use crate::linux::Errno;
use crate::linux::file::mode;

mod open;

/// Processes 1 and 7, of which 7 asks.
struct TwoProcesses;

impl ProcSource for TwoProcesses {
    fn pids(&self) -> Vec<u32> {
        vec![1, 7]
    }

    fn current(&self) -> u32 {
        7
    }

    fn system(&self, _: SystemFile) -> Vec<u8> {
        b"text".to_vec()
    }

    fn net(&self, _: NetFile) -> Vec<u8> {
        Vec::new()
    }

    fn xen(&self, _: XenFile) -> Vec<u8> {
        b"size".to_vec()
    }

    fn process(&self, pid: u32, file: ProcessFile) -> Option<Vec<u8>> {
        (file == ProcessFile::Exe && pid == 7).then(|| b"/bin/sh".to_vec())
    }
}

fn sample() -> Fs {
    let members: [(&str, u32, &[u8]); 7] = [
        ("bin/sh", 0o100_755, b"shell"),
        ("bin/ls", 0o120_777, b"sh"),
        ("abs", 0o120_777, b"/bin"),
        ("loop", 0o120_777, b"loop"),
        ("etc", 0o040_755, b""),
        ("etc/motd", 0o100_644, b"welcome\n"),
        ("up", 0o120_777, b"bin/../etc"),
    ];
    let bytes: &'static [u8] = Box::leak(archive(&members).into_boxed_slice());
    let fs = Fs::default();
    assert_eq!(
        fs.add_archive(bytes),
        populate::Report {
            added: 7,
            skipped: 0,
            error: None
        }
    );
    fs.add_standard().unwrap();
    fs
}

fn find(fs: &Fs, path: &str) -> Result<Node, Errno> {
    fs.resolve(&fs.root(), path.as_bytes(), Follow::Yes, &TwoProcesses)
}

fn place(fs: &Fs, path: &str) -> Result<Place, Errno> {
    fs.place(&fs.root(), path.as_bytes(), &TwoProcesses)
}

fn content(node: &Node) -> Vec<u8> {
    let Node::Inode(inode) = node else {
        panic!("a file")
    };
    let Body::File(file) = &inode.body else {
        panic!("a regular file")
    };
    let mut bytes = vec![0; 100];
    let count = file.data.borrow().read_at(0, &mut bytes);
    bytes.truncate(count);
    bytes
}

#[test]
fn paths_lead_through_links() {
    let fs = sample();
    for path in ["/bin/sh", "bin//./sh", "/abs/ls", "up/../bin/ls", "/../../bin/sh"] {
        assert_eq!(content(&find(&fs, path).unwrap()), b"shell", "{path}");
    }
    assert_eq!(content(&find(&fs, "up/motd").unwrap()), b"welcome\n");
}

#[test]
fn wrong_paths_say_why() {
    let fs = sample();
    for (path, errno) in [
        ("/nothing", Errno::ENOENT),
        ("", Errno::ENOENT),
        ("/bin/sh/x", Errno::ENOTDIR),
        ("/bin/sh/", Errno::ENOTDIR),
        ("/loop", Errno::ELOOP),
        ("/nothing/x", Errno::ENOENT),
    ] {
        assert_eq!(find(&fs, path).map(drop), Err(errno), "{path}");
    }
    assert_eq!(find(&fs, &"x".repeat(256)).map(drop), Err(Errno::ENAMETOOLONG));
    assert_eq!(find(&fs, &"x/".repeat(2048)).map(drop), Err(Errno::ENAMETOOLONG));
}

#[test]
fn a_last_link_may_be_wanted_itself() {
    let fs = sample();
    let link = fs
        .resolve(&fs.root(), b"/bin/ls", Follow::No, &NoProcesses)
        .unwrap();
    assert_eq!(link.link(&NoProcesses), Some(b"sh".to_vec()));
    let behind = fs
        .resolve(&fs.root(), b"/abs/", Follow::No, &NoProcesses)
        .unwrap();
    assert!(behind.is_directory());
}

#[test]
fn directories_know_their_path() {
    let fs = sample();
    for (path, absolute) in [
        ("/", "/"),
        ("abs", "/bin"),
        ("/proc/7", "/proc/7"),
        ("/proc", "/proc"),
        ("/proc/xen/../xen", "/proc/xen"),
    ] {
        assert_eq!(
            fs.path_of(&find(&fs, path).unwrap()),
            Ok(absolute.as_bytes().to_vec())
        );
    }
    assert_eq!(
        fs.path_of(&find(&fs, "/proc/7/..").unwrap()),
        Ok(b"/proc".to_vec())
    );
    assert_eq!(fs.path_of(&find(&fs, "/proc/..").unwrap()), Ok(b"/".to_vec()));
}

#[test]
fn proc_follows_the_processes() {
    let fs = sample();
    assert!(matches!(
        find(&fs, "/proc/self").unwrap(),
        Node::Proc(ProcNode::Process(7))
    ));
    assert_eq!(content(&find(&fs, "/proc/self/exe").unwrap()), b"shell");
    assert_eq!(find(&fs, "/proc/8").map(drop), Err(Errno::ENOENT));
    assert!(find(&fs, "/proc/1/").is_ok());
    assert_eq!(place(&fs, "/proc/new").map(drop), Err(Errno::EROFS));
}

#[test]
fn files_are_made_and_removed() {
    let fs = sample();
    let new = place(&fs, "/etc/new").unwrap();
    let inode = fs
        .create(&new, mode::REGULAR | 0o644, Body::File(inode::File::default()))
        .unwrap();
    assert_eq!(inode.nlink.get(), 1);
    assert_eq!(
        fs.create(&new, mode::REGULAR, Body::File(inode::File::default()))
            .map(drop),
        Err(Errno::EEXIST)
    );
    fs.link(&place(&fs, "/other").unwrap(), &inode).unwrap();
    assert_eq!(inode.nlink.get(), 2);
    fs.unlink(&new).unwrap();
    assert_eq!(fs.unlink(&new), Err(Errno::ENOENT));
    assert!(find(&fs, "/other").is_ok());
    assert_eq!(fs.unlink(&place(&fs, "/bin").unwrap()), Err(Errno::EISDIR));
    assert_eq!(
        fs.remove_directory(&place(&fs, "/bin").unwrap()),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        fs.remove_directory(&place(&fs, "/other").unwrap()),
        Err(Errno::ENOTDIR)
    );
    assert_eq!(
        fs.remove_directory(&place(&fs, "/proc").unwrap()),
        Err(Errno::EBUSY)
    );
}

#[test]
fn nothing_is_made_in_a_removed_directory() {
    let fs = sample();
    fs.make_directory(&place(&fs, "/d").unwrap(), 0o755).unwrap();
    let inside = place(&fs, "/d/x").unwrap();
    fs.remove_directory(&place(&fs, "/d").unwrap()).unwrap();
    assert_eq!(fs.make_directory(&inside, 0o755).map(drop), Err(Errno::ENOENT));
    assert_eq!(
        fs.path_of(&Node::Inode(inside.directory.clone())),
        Err(Errno::ENOENT)
    );
}

#[test]
fn renames_replace_and_refuse() {
    let fs = sample();
    let to = |path| place(&fs, path).unwrap();
    fs.rename(&to("/etc/motd"), &to("/bin/sh")).unwrap();
    assert_eq!(content(&find(&fs, "/bin/sh").unwrap()), b"welcome\n");
    assert_eq!(fs.rename(&to("/bin"), &to("/bin/x")), Err(Errno::EINVAL));
    assert_eq!(fs.rename(&to("/bin/sh"), &to("/etc")), Err(Errno::EISDIR));
    assert_eq!(fs.rename(&to("/etc"), &to("/bin/sh")), Err(Errno::ENOTDIR));
    fs.rename(&to("/bin"), &to("/etc")).unwrap();
    assert_eq!(content(&find(&fs, "/etc/sh").unwrap()), b"welcome\n");
    assert_eq!(fs.path_of(&find(&fs, "/etc").unwrap()), Ok(b"/etc".to_vec()));
    assert_eq!(find(&fs, "/bin").map(drop), Err(Errno::ENOENT));
}
