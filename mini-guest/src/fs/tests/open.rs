//! Open files, descriptors, and trees made from archives.

use alloc::rc::Rc;

use super::*;
use crate::linux::file::{OpenFlags, poll};
use crate::linux::word;

#[test]
fn readers_of_a_directory_keep_their_place() {
    let fs = sample();
    let open = OpenFile::new(What::Directory(find(&fs, "/etc").unwrap()), OpenFlags::empty());
    for name in ["a", "b", "c", "d"] {
        fs.make_directory(&place(&fs, &format!("/etc/{name}")).unwrap(), 0o755)
            .unwrap();
    }
    let mut names = Vec::new();
    loop {
        let records = open.read_directory(&fs, 24, &NoProcesses).unwrap();
        if records.is_empty() {
            break;
        }
        let len = usize::from(records[16]);
        assert_eq!(records.len(), len);
        assert_ne!(word(&records, 0), 0);
        let name = records[19..].split(|byte| *byte == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        if name == b"b" {
            fs.remove_directory(&place(&fs, "/etc/a").unwrap()).unwrap();
            fs.remove_directory(&place(&fs, "/etc/b").unwrap()).unwrap();
        }
    }
    assert_eq!(names, [".", "..", "motd", "a", "b", "c", "d"]);
    open.position.set(0);
    assert_eq!(open.read_directory(&fs, 20, &NoProcesses), Err(Errno::EINVAL));
}

#[test]
fn proc_is_listed() {
    let fs = sample();
    let open = OpenFile::new(What::Directory(find(&fs, "/proc").unwrap()), OpenFlags::empty());
    let records = open.read_directory(&fs, 4096, &TwoProcesses).unwrap();
    let text = String::from_utf8_lossy(&records).into_owned();
    for name in ["self", "meminfo", "uptime"] {
        assert!(text.contains(name), "{name}");
    }
    assert_eq!(open.read_directory(&fs, 4096, &TwoProcesses), Ok(Vec::new()));
}

#[test]
fn descriptors_are_the_lowest_free() {
    let fs = sample();
    let file = || OpenFile::new(What::Directory(fs.root()), OpenFlags::empty());
    let mut table = FileTable::default();
    assert_eq!(table.add(file(), 0, false), Ok(0));
    assert_eq!(table.add(file(), 0, true), Ok(1));
    assert_eq!(table.add(file(), 10, false), Ok(10));
    table.close(0).unwrap();
    assert_eq!(table.close(0), Err(Errno::EBADF));
    assert_eq!(table.add(file(), 0, false), Ok(0));
    table.exec();
    assert_eq!(table.get(1).map(drop), Err(Errno::EBADF));
    assert_eq!(table.set(256, file(), false), Err(Errno::EBADF));
    assert_eq!(table.add(file(), 256, false), Err(Errno::EINVAL));
    while table.add(file(), 0, false).is_ok() {}
    assert_eq!(table.add(file(), 0, false), Err(Errno::EMFILE));
}

#[test]
fn inherited_pipe_ends_count_once() {
    let (read, write) = crate::pipe::PipeEnd::pair();
    let mut parent = FileTable::default();
    parent
        .add(OpenFile::new(What::Pipe(write), OpenFlags::WRONLY), 0, false)
        .unwrap();
    let mut child = parent.clone();
    parent.close(0).unwrap();
    assert_eq!(read.poll(), 0);
    child.close(0).unwrap();
    assert_eq!(read.poll(), poll::HUP);
}

#[test]
fn damaged_archives_keep_what_came_before() {
    let mut bytes = archive(&[("a", 0o100_644, b"1"), ("b/c", 0o100_644, b"2")]);
    let at = 110 + 2 + 4;
    bytes[at] = b'x';
    let fs = Fs::default();
    let report = fs.add_archive(Box::leak(bytes.into_boxed_slice()));
    assert_eq!((report.added, report.error.is_some()), (1, true));
    assert!(find(&fs, "/a").is_ok());
}

#[test]
fn hard_links_of_an_archive_share_one_file() {
    let mut bytes = archive(&[("a", 0o100_644, b""), ("b", 0o100_644, b"data")]);
    let second = 110 + 2;
    for header in [0, second] {
        bytes[header + 6..header + 14].copy_from_slice(b"00000009");
        bytes[header + 38..header + 46].copy_from_slice(b"00000002");
    }
    let fs = Fs::default();
    fs.add_archive(Box::leak(bytes.into_boxed_slice()));
    let (Ok(Node::Inode(a)), Ok(Node::Inode(b))) = (find(&fs, "/a"), find(&fs, "/b")) else {
        panic!("both")
    };
    assert!(Rc::ptr_eq(&a, &b));
    assert_eq!((a.nlink.get(), a.size()), (2, 4));
    let Body::File(file) = &a.body else {
        panic!("a file")
    };
    assert!(matches!(&*file.data.borrow(), FileData::Borrowed(b"data")));
}

#[test]
fn a_running_program_is_not_written_to() {
    let fs = sample();
    let Ok(Node::Inode(inode)) = find(&fs, "/bin/sh") else {
        panic!("it is there")
    };
    let Body::File(file) = &inode.body else {
        panic!("a file")
    };
    let running = inode::Running::new(inode.clone());
    let child = running.clone();
    drop(running);
    assert_eq!(file.may_write(), Err(Errno::ETXTBSY));
    drop(child);
    assert_eq!(file.may_write(), Ok(()));
}
