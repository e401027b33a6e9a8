//! `/dev/xen/xenbus`: the store's messages by read and write, a connection for each open file.

use alloc::rc::Rc;

use crate::fs::OpenFile;
use crate::kernel::{Kernel, SysResult};
use crate::process::WaitFor;
use crate::store::ConnectionId;

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
        self.write_all(file, (from, len), WaitFor::STORE, |kernel, bytes| {
            kernel.write_to_store(connection, bytes)
        })
    }
}
