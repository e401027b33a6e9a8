//! What domains share with each other: rings in granted pages. Layouts of Xen 4.x.

pub mod console;
pub mod xenstore;
