//! `/dev/xen/xenbus`: the store's messages by read and write, a connection for each open file.

use alloc::rc::Rc;

use crate::fs::OpenFile;
use crate::kernel::{Kernel, Stop, SysResult};
use crate::linux::Errno;
use crate::linux::file::OpenFlags;
use crate::process::WaitFor;
use crate::store::ConnectionId;

/// Bytes that are written at a time.
const CHUNK: usize = 1024;

impl Kernel {
    pub(super) fn read_store(
        &mut self,
        file: &Rc<OpenFile>,
        connection: ConnectionId,
        (to, len): (u32, u32),
        is_first: bool,
    ) -> SysResult {
        // The address is judged before anything is taken.
        self.process().memory().borrow_mut().prepare_out(to, len)?;
        let bytes = self.read_from_store(connection, len as usize);
        if bytes.is_empty() && len > 0 {
            return self.wait_unless_nonblocking(file, WaitFor::STORE, is_first);
        }
        self.copy_out(to, &bytes)?;
        Ok(bytes.len() as u32)
    }

    /// Writes all of it, sleeping while replies are not read; the call remembers how far it has come.
    pub(super) fn write_store(
        &mut self,
        file: &OpenFile,
        connection: ConnectionId,
        from: u32,
        len: u32,
    ) -> SysResult {
        loop {
            let done = self.process().call.done;
            if done >= len {
                return Ok(len);
            }
            let mut buffer = [0; CHUNK];
            let bytes = &mut buffer[..(len - done).min(CHUNK as u32) as usize];
            let at = from.wrapping_add(done);
            let copied = self.process().memory().borrow_mut().copy_in(at, bytes);
            let written = copied.and_then(|()| self.write_to_store(connection, bytes));
            match written {
                Ok(0) if !file.flags.get().contains(OpenFlags::NONBLOCK) => {
                    return Err(Stop::Wait(WaitFor::STORE));
                }
                Ok(0) if done == 0 => return Err(Errno::EAGAIN.into()),
                Err(errno) if done == 0 => return Err(errno.into()),
                Ok(0) | Err(_) => return Ok(done),
                Ok(count) => self.process().call.done = done + count as u32,
            }
        }
    }
}
