//! A socket as an open file has it.

use alloc::rc::Rc;
use core::cell::RefCell;

use super::{SocketId, Stack};

/// A socket that ends when nobody has it any more.
#[derive(Debug)]
pub struct SocketFile {
    stack: Rc<RefCell<Stack>>,
    id: SocketId,
}

impl SocketFile {
    /// Takes over socket `id` of `stack`.
    #[must_use]
    pub fn new(stack: Rc<RefCell<Stack>>, id: SocketId) -> Self {
        Self { stack, id }
    }

    /// The socket.
    #[must_use]
    pub fn id(&self) -> SocketId {
        self.id
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.stack.borrow_mut().close(self.id);
    }
}
