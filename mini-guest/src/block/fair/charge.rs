//! What a request takes of a shared disk's window, inside the request: no driver has to know of it.

use alloc::rc::Rc;
use core::fmt;

use super::{Place, add, subtract};

/// What a request takes of the window. Dropped, it gives that back.
pub struct Charge {
    pub(super) place: Rc<Place>,
    pub(super) room: u64,
    pub(super) sectors: u64,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({})", self.room)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let (place, disk) = (&*self.place, &*self.place.disk);
        subtract(&place.under_way, self.room);
        subtract(&disk.under_way, self.room);
        add(&place.done, self.sectors);
        add(&disk.done, self.sectors);
        if disk.is_giving.get() {
            add(&disk.spent, self.room);
        }
    }
}
