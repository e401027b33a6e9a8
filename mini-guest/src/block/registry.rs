//! The disks by name.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;

use super::Device;

/// All disks and partitions of this domain: `vda`, `vda1`, `sda`, `ram0`, in the order of their names.
#[derive(Default)]
pub struct Disks {
    by_name: BTreeMap<String, Rc<dyn Device>>,
}

impl Disks {
    /// Adds a disk; `false` where the name is taken.
    pub fn add(&mut self, name: &str, device: Rc<dyn Device>) -> bool {
        let is_new = !self.by_name.contains_key(name);
        if is_new {
            self.by_name.insert(name.into(), device);
        }
        is_new
    }

    /// The disk with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Rc<dyn Device>> {
        self.by_name.get(name).cloned()
    }

    /// Takes a disk away. Who has it still has it.
    pub fn remove(&mut self, name: &str) -> Option<Rc<dyn Device>> {
        self.by_name.remove(name)
    }

    /// Names and disks, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Rc<dyn Device>)> {
        self.by_name.iter().map(|(name, device)| (name.as_str(), device))
    }
}
