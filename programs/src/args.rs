//! The arguments and the environment of this program.

use core::ffi::{CStr, c_char};

/// Arguments and environment, as the kernel laid them out.
pub struct Args {
    arguments: &'static [*const c_char],
    environment: &'static [*const c_char],
}

impl Args {
    /// Reads the initial stack.
    ///
    /// # Safety
    /// `stack` must be the stack pointer at the program's entry, and nothing above it may have been changed.
    pub(crate) unsafe fn from_initial_stack(stack: *const usize) -> Args {
        // SAFETY: argc lies at the stack pointer.
        let argc = unsafe { *stack };
        // SAFETY: argv begins in the next word.
        let argv = unsafe { stack.add(1) }.cast::<*const c_char>();
        // SAFETY: argv has argc entries and a zero; the environment follows.
        let envp = unsafe { argv.add(argc + 1) };
        let mut envc = 0;
        // SAFETY: the environment ends with a null pointer, so every entry up to it may be read.
        while !unsafe { *envp.wrapping_add(envc) }.is_null() {
            envc += 1;
        }
        // SAFETY: both arrays live as long as the program.
        let arguments = unsafe { core::slice::from_raw_parts(argv, argc) };
        // SAFETY: as above.
        let environment = unsafe { core::slice::from_raw_parts(envp, envc) };
        Args {
            arguments,
            environment,
        }
    }

    /// How many arguments there are, the program's name included.
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// No argument at all, not even a name.
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Argument number `index`; 0 is the program's name.
    pub fn get(&self, index: usize) -> Option<&'static [u8]> {
        self.arguments.get(index).map(|&pointer| string(pointer))
    }

    /// The program's name, without directories.
    pub fn program(&self) -> &'static str {
        let name = self.get(0).unwrap_or(b"?");
        let start = name
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |slash| slash + 1);
        core::str::from_utf8(&name[start..]).unwrap_or("?")
    }

    /// All arguments after the program's name.
    pub fn rest(&self) -> impl Iterator<Item = &'static [u8]> + Clone + use<> {
        self.arguments.iter().skip(1).map(|&pointer| string(pointer))
    }

    /// All `NAME=value` strings.
    pub fn environment(&self) -> impl Iterator<Item = &'static [u8]> + use<> {
        self.environment.iter().map(|&pointer| string(pointer))
    }
}

fn string(pointer: *const c_char) -> &'static [u8] {
    // SAFETY: the kernel ends every argument with a zero byte and the strings are never freed.
    unsafe { CStr::from_ptr(pointer) }.to_bytes()
}

/// A decimal number, if `text` is nothing else and it fits.
pub fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}
