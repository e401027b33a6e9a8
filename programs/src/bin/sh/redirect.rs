//! Redirections: opening their files, and undoing them after a builtin.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use programs::abi::{F_DUPFD_CLOEXEC, O_APPEND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY};
use programs::errno::Errno;
use programs::io::Text;
use programs::{args, sys};
use shell_lang::expand;
use shell_lang::parse::Redirect;
use shell_lang::token::Redirection;

use crate::shell::Shell;

/// The shell's own files are copied to this descriptor or a higher one while a builtin is redirected.
const SAVED_FROM: u32 = 10;

/// Redirects in this process, for good.
///
/// # Errors
/// What to tell the user; redirections before the failing one stay.
pub fn apply(shell: &Shell, redirects: &[Redirect]) -> Result<(), String> {
    redirects.iter().try_for_each(|redirect| one(shell, redirect))
}

fn one(shell: &Shell, redirect: &Redirect) -> Result<(), String> {
    let target = expand::text(&redirect.target, shell);
    let failed = |error: Errno| format!("{}: {error}", Text(&target));
    let flags = match redirect.kind {
        Redirection::Duplicate => {
            let from = args::number(&target).and_then(|fd| i32::try_from(fd).ok());
            let from = from.ok_or_else(|| format!("{}: not a descriptor", Text(&target)))?;
            return sys::dup2(from, redirect.fd).map_err(failed);
        }
        Redirection::Read => O_RDONLY,
        Redirection::Write => O_WRONLY | O_CREAT | O_TRUNC,
        Redirection::Append => O_WRONLY | O_CREAT | O_APPEND,
    };
    let opened = sys::open(&target, flags, 0o666).map_err(failed)?;
    move_to(opened, redirect.fd).map_err(failed)
}

/// Renumbers a descriptor.
///
/// # Errors
/// What `dup2` answers.
pub fn move_to(from: i32, to: i32) -> Result<(), Errno> {
    if from == to {
        return Ok(());
    }
    let result = sys::dup2(from, to);
    let _ = sys::close(from);
    result
}

/// Redirections of a builtin: they end when this is dropped.
pub struct Temporary(Vec<(i32, Option<u32>)>);

impl Temporary {
    /// Redirects.
    ///
    /// # Errors
    /// What to tell the user; nothing is redirected then.
    pub fn apply(shell: &Shell, redirects: &[Redirect]) -> Result<Temporary, String> {
        let mut temporary = Temporary(Vec::new());
        for redirect in redirects {
            let copy = sys::fcntl(redirect.fd, F_DUPFD_CLOEXEC, SAVED_FROM).ok();
            temporary.0.push((redirect.fd, copy));
            one(shell, redirect)?;
        }
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        for (fd, copy) in self.0.drain(..).rev() {
            match copy {
                Some(copy) => {
                    let _ = move_to(copy.cast_signed(), fd);
                }
                None => {
                    let _ = sys::close(fd);
                }
            }
        }
    }
}
