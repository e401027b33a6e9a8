//! Domain ids. Xen 2.0: `domid_t`, `DOMID_*`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A domain's number as it travels: an ordinary id, or one of the special ids below.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct DomId(u16);

impl DomId {
    /// The initial domain, built by the hypervisor.
    pub const DOM0: Self = Self(0);
    /// First id that names no ordinary domain (`DOMID_FIRST_RESERVED`).
    pub const FIRST_RESERVED: u16 = 0x7FF0;
    /// The caller, in the calls that accept it (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7FF0);
    /// Pseudo-owner of I/O frames (`DOMID_IO`).
    pub const IO: Self = Self(0x7FF1);
    /// Pseudo-owner of the hypervisor's pages that privileged domains may map: the machine-to-phys table
    /// (`DOMID_XEN`).
    pub const XEN: Self = Self(0x7FF2);

    /// Id `n`, ordinary, special or meaningless.
    #[must_use]
    pub const fn new(n: u16) -> Self {
        Self(n)
    }

    /// The id as a number.
    #[must_use]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Whether this is the id of a domain that can exist, not a special or meaningless one.
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        self.0 < Self::FIRST_RESERVED
    }

    /// The id in a register whose upper half must be 0, or `None`.
    #[must_use]
    pub fn from_register(register: u32) -> Option<Self> {
        u16::try_from(register).ok().map(Self)
    }
}

impl core::fmt::Display for DomId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::SELF => f.write_str("self"),
            Self::IO => f.write_str("io"),
            Self::XEN => f.write_str("xen"),
            Self(n) => write!(f, "d{n}"),
        }
    }
}

layout!(DomId, size 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ids_are_not_ordinary() {
        assert!(DomId::DOM0.is_ordinary());
        assert!(DomId::new(0x7FEF).is_ordinary());
        for id in [
            DomId::SELF,
            DomId::IO,
            DomId::XEN,
            DomId::new(0x8000),
            DomId::new(0xFFFF),
        ] {
            assert!(!id.is_ordinary());
        }
    }

    #[test]
    fn register_with_a_dirty_upper_half_is_no_domain() {
        assert_eq!(DomId::from_register(7), Some(DomId::new(7)));
        assert_eq!(DomId::from_register(0x1_0007), None);
    }
}
