//! Call 18, `console_io`: the privileged domain's way to the machine's console.
//!
//! EBX command, ECX count in bytes, EDX buffer. Returns how many bytes were taken or given, which may be
//! fewer. −EPERM for an unprivileged domain, −EFAULT, −ENOSYS. Input is announced by the console VIRQ
//! ([`Virq::CONSOLE`](crate::event_channel::Virq::CONSOLE)). Other domains use the
//! [ring](crate::io::console).

open_number! {
    /// Command of `console_io` (`CONSOLEIO_*`).
    ConsoleCmd: u32 {
        /// Write text; at most [`MAX_WRITE`] bytes are taken.
        WRITE = 0, "write";
        /// Read buffered input; 0 if there is none.
        READ = 1, "read";
    }
}

/// Most bytes that one write takes; a longer count is cut to it.
pub const MAX_WRITE: u32 = 4095;
