//! The structures as data, for generators of other languages' declarations (feature `describe`).
//!
//! Every structure whose layout this crate asserts implements [`Layout`]; what it says is what was asserted.

/// A structure that travels.
pub trait Layout {
    /// Its name.
    const NAME: &'static str;
    /// Its size in bytes.
    const SIZE: usize;
    /// Its fields in the order of their offsets; padding may be left out.
    fn fields() -> &'static [Field];
}

/// A field of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its type.
    pub kind: fn() -> Kind,
}

/// A field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The type's full name in Rust.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
}

/// The type of the field that `_field` selects.
#[must_use]
pub fn kind_of<T, F>(_field: fn(&T) -> &F) -> Kind {
    Kind {
        name: core::any::type_name::<F>(),
        size: size_of::<F>(),
    }
}
