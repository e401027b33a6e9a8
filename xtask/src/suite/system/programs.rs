//! Programs on the whole system: ours, a C program, busybox, and what an initial file system of the user's does to them.

use super::{has_lines, packed, session};
use crate::check;
use crate::suite::{Outcome, fixture};
use crate::tools::{self, Tool};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Programs that check promises of the kernel by themselves; each ends with status 0 only if all were kept.
pub const CHECKERS: [&str; 11] = [
    "fault", "cow", "spin", "tls", "fpu", "pipe", "sockets", "signal", "stress", "privcmd", "backend",
];

/// One of [`CHECKERS`].
pub fn checker(test: &str, program: &str) -> Outcome {
    let keys = format!("{program}; echo status $?\npoweroff\n");
    let record = session(test, &fixture::programs()?, &keys)?;
    has_lines(&record, &["status 0"])
}

/// Compiles `source` to a static 32-bit program.
fn compile_c(source: &str, to: &Path) -> Outcome {
    fixture::need(&[Tool::Gcc32])?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("program.c");
    std::fs::write(&file, source)?;
    let output = Command::new("gcc")
        .args(["-m32", "-static", "-O1", "-o"])
        .args([to, &file])
        .output()?;
    check!(
        output.status.success(),
        "gcc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A program that the repository does not contain, with the C library of the host: its system calls are Linux's.
pub fn c_program() -> Outcome {
    const SOURCE: &str = r#"
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static __thread int per_thread = 40;

        int main(int argc, char **argv) {
            char text[64] = "";
            char *large = malloc(3 << 20);
            FILE *file = fopen("/data/text", "r");
            int status = 0;
            if (!large || !file || !fgets(text, sizeof text, file)) return 1;
            memset(large, argc, 3 << 20);
            pid_t child = fork();
            if (child == 0) { large[0] = 9; _exit(large[0] + per_thread); }
            if (waitpid(child, &status, 0) != child) return 2;
            per_thread += large[3 << 19];
            printf("%s %s %d %d %s\n", argv[1], strtok(text, "\n"), WEXITSTATUS(status), per_thread, getenv("HOME"));
            errno = 0;
            if (fopen("/nowhere", "r") || errno != ENOENT) return 3;
            printf("%.3f\n", 1.0 / argc + strtod("0.25", 0));
            return 5;
        }
    "#;
    let tree = fixture::copied_program_tree()?;
    std::fs::create_dir(tree.path().join("data"))?;
    std::fs::write(tree.path().join("data/text"), "from the initrd\n")?;
    compile_c(SOURCE, &tree.path().join("bin/foreign"))?;
    let archive = packed(tree.path())?;
    let keys = "foreign word; echo status $?\npoweroff\n";
    let record = session("system::c_program_from_a_users_initrd", archive.path(), keys)?;
    has_lines(&record, &["word from the initrd 49 42 /", "0.750", "status 5"])
}

/// Debian's busybox for i386, as it is: its shell is process 1, its applets do the rest.
pub fn busybox() -> Outcome {
    fixture::need(&[Tool::Busybox])?;
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    for dir in ["bin", "dev", "etc", "proc", "tmp"] {
        std::fs::create_dir(root.join(dir))?;
    }
    std::fs::copy(tools::busybox(), root.join("bin/busybox"))?;
    std::fs::set_permissions(root.join("bin/busybox"), std::fs::Permissions::from_mode(0o755))?;
    for applet in ["sh", "ls", "cat", "ps", "echo", "wc", "poweroff", "sort", "grep"] {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    std::fs::write(root.join("etc/motd"), "zebra\nant\nbee\n")?;
    let archive = packed(root)?;
    let keys = "ls /\ncat /etc/motd\nps\nsort /etc/motd | grep -v bee | wc -l\nx=$((6*7)); echo answer-$x\npoweroff -f\n";
    let record = session("system::busybox_unmodified", archive.path(), keys)?;
    has_lines(&record, &["zebra", "2", "answer-42"])?;
    for text in ["bin", "PID", "ps"] {
        check!(
            record.text.contains(text),
            "no {text:?} in\n{}",
            fixture::tail(&record.text)
        );
    }
    Ok(())
}

/// The user's tree is all there is: modes and links are its own, and nothing of the default tree remains.
pub fn replaced_initrd() -> Outcome {
    let defaults = fixture::copied_program_tree()?;
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    std::fs::create_dir(root.join("bin"))?;
    for program in ["sh", "init", "echo", "cat", "poweroff"] {
        std::fs::copy(
            defaults.path().join("bin").join(program),
            root.join("bin").join(program),
        )?;
    }
    std::fs::write(root.join("only-this"), "mine alone\n")?;
    symlink("only-this", root.join("alias"))?;
    std::fs::write(root.join("closed"), "not a program\n")?;
    std::fs::set_permissions(root.join("closed"), std::fs::Permissions::from_mode(0o644))?;
    let archive = packed(root)?;
    let keys =
        "cat /alias\n/closed; echo closed $?\ncow; echo cow $?\ncat /etc/motd; echo motd $?\npoweroff\n";
    let record = session("system::initrd_replaces_everything", archive.path(), keys)?;
    has_lines(&record, &["mine alone", "closed 126", "cow 127", "motd 1"])
}
