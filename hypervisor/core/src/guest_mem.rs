//! Guest pointers: a register's claim to be an address, turned into a type only after the range is proven.
//!
//! [`GuestPtr`] and [`GuestSlice`] are built from registers. What they name lies wholly below
//! [`HV_START`], does not wrap, and may still be unmapped: the access itself is
//! the last check ([`Fault`]). Alignment is not required, as on the processor.
//!
//! The range is checked twice, here and in every [`GuestMemory`] implementation. Here, because a refusal must
//! come before anything has changed; there, because an address that reaches the machine by any other way
//! (a stack pointer, a frame half written) has to be harmless as well.
//!
//! Nothing here, or below it, yields a reference to guest memory, and a value that was judged is never read a
//! second time.

use crate::platform::{Fault, GuestMemory, GuestPod};
use core::marker::PhantomData;
use guest_abi::addr::{GuestVirt, HV_START};

/// Whether `len` bytes at `at` lie wholly below [`HV_START`].
#[inline(always)]
#[must_use]
pub const fn in_guest_range(at: u32, len: u32) -> bool {
    (len <= HV_START && at <= HV_START - len) || cfg!(feature = "mutant-pointer-range")
}

/// The address of one `T` in the guest's memory.
#[derive(Debug)]
pub struct GuestPtr<T> {
    at: u32,
    target: PhantomData<fn() -> T>,
}

impl<T> Clone for GuestPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestPtr<T> {}

impl<T: GuestPod> GuestPtr<T> {
    const SIZE: u32 = {
        assert!(size_of::<T>() <= 4096, "guest structures fit a page");
        size_of::<T>() as u32
    };

    /// The pointer that `register` holds.
    ///
    /// # Errors
    /// [`Fault`] where the value would reach into the hypervisor's range or wrap.
    #[inline(always)]
    pub const fn new(register: u32) -> Result<Self, Fault> {
        if in_guest_range(register, Self::SIZE) {
            Ok(Self::trusted(register))
        } else {
            Err(Fault)
        }
    }

    const fn trusted(at: u32) -> Self {
        Self {
            at,
            target: PhantomData,
        }
    }

    /// The address.
    #[must_use]
    pub const fn addr(self) -> GuestVirt {
        GuestVirt::new(self.at)
    }

    /// A pointer to the `U` that begins `offset` bytes into this `T`.
    ///
    /// # Panics
    /// Where it would not lie inside the `T`, which is a mistake of ours.
    #[inline(always)]
    #[must_use]
    pub const fn field<U: GuestPod>(self, offset: usize) -> GuestPtr<U> {
        assert!(offset + size_of::<U>() <= size_of::<T>());
        GuestPtr::trusted(self.at + offset as u32)
    }

    /// Copies the value in.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be read.
    #[inline(always)]
    pub fn read<M: GuestMemory>(self, memory: &M) -> Result<T, Fault> {
        memory.read(self.addr())
    }

    /// Copies `value` out.
    ///
    /// # Errors
    /// [`Fault`] where any byte cannot be written; a part may be.
    #[inline(always)]
    pub fn write<M: GuestMemory>(self, memory: &M, value: &T) -> Result<(), Fault> {
        memory.write(self.addr(), value)
    }
}

/// The address of `len` values of type `T`, one after the other.
#[derive(Debug)]
pub struct GuestSlice<T> {
    at: u32,
    len: u32,
    target: PhantomData<fn() -> T>,
}

impl<T> Clone for GuestSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestSlice<T> {}

impl<T: GuestPod> GuestSlice<T> {
    /// The array of `len` elements that begins where `register` says. An empty array may begin anywhere.
    ///
    /// # Errors
    /// [`Fault`] where it would reach into the hypervisor's range or wrap.
    #[inline(always)]
    pub const fn new(register: u32, len: u32) -> Result<Self, Fault> {
        let bytes = len as u64 * GuestPtr::<T>::SIZE as u64;
        let is_outside = bytes > HV_START as u64 || register > HV_START - bytes as u32;
        if len != 0 && is_outside && !cfg!(feature = "mutant-pointer-range") {
            return Err(Fault);
        }
        Ok(Self {
            at: register,
            len,
            target: PhantomData,
        })
    }

    /// How many elements it has.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Whether it has no element.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The element `index`, or `None` beyond the end.
    #[inline(always)]
    #[must_use]
    pub const fn get(self, index: u32) -> Option<GuestPtr<T>> {
        if index < self.len {
            // Cannot overflow: the whole array was proven to end at or below HV_START.
            Some(GuestPtr::trusted(
                self.at.wrapping_add(index.wrapping_mul(GuestPtr::<T>::SIZE)),
            ))
        } else {
            None
        }
    }

    /// The first element and the rest, or `None` where there is none.
    #[inline(always)]
    #[must_use]
    pub const fn split_first(self) -> Option<(GuestPtr<T>, Self)> {
        if self.len == 0 {
            return None;
        }
        let rest = Self {
            at: self.at.wrapping_add(GuestPtr::<T>::SIZE),
            len: self.len.wrapping_sub(1),
            target: PhantomData,
        };
        Some((GuestPtr::trusted(self.at), rest))
    }

    /// The address where the element `index` begins (or would), for a call that goes on later.
    #[must_use]
    pub const fn addr_of(self, index: u32) -> u32 {
        self.at.wrapping_add(index.wrapping_mul(GuestPtr::<T>::SIZE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pointer_may_end_at_the_hypervisor_and_not_beyond() {
        assert!(GuestPtr::<u64>::new(HV_START - 8).is_ok());
        assert_eq!(GuestPtr::<u64>::new(HV_START - 7).err(), Some(Fault));
        assert_eq!(GuestPtr::<u64>::new(HV_START).err(), Some(Fault));
        assert_eq!(GuestPtr::<u64>::new(u32::MAX).err(), Some(Fault));
        assert_eq!(GuestPtr::<u64>::new(u32::MAX - 7).err(), Some(Fault));
    }

    #[test]
    fn unaligned_is_accepted() {
        assert_eq!(GuestPtr::<u64>::new(3).map(|p| p.addr().raw()), Ok(3));
    }

    #[test]
    fn a_length_that_overflows_is_refused() {
        // 0x2000_0000 · 8 is 2^32, 0 in 32 bits.
        assert!(GuestSlice::<u64>::new(0, 0x2000_0000).is_err());
        assert!(GuestSlice::<u64>::new(0, u32::MAX).is_err());
        assert!(GuestSlice::<u64>::new(0, HV_START / 8).is_ok());
        assert!(GuestSlice::<u64>::new(1, HV_START / 8).is_err());
    }

    #[test]
    fn an_empty_array_may_begin_anywhere() {
        let empty = GuestSlice::<u64>::new(u32::MAX, 0).expect("no byte of it is touched");
        assert!(empty.is_empty());
        assert!(empty.get(0).is_none());
    }

    proptest! {
        #[test]
        fn every_element_of_every_accepted_array_is_below_the_hypervisor(at: u32, len: u32, pick: u32) {
            if let Ok(slice) = GuestSlice::<[u32; 3]>::new(at, len)
                && len != 0
            {
                let index = pick % len;
                let element = slice.get(index).expect("inside");
                prop_assert_eq!(u64::from(element.addr().raw()), u64::from(at) + 12 * u64::from(index));
                prop_assert!(in_guest_range(element.addr().raw(), 12));
                prop_assert_eq!(slice.addr_of(index), element.addr().raw());
                let (first, rest) = slice.split_first().expect("not empty");
                prop_assert_eq!((first.addr().raw(), rest.len()), (at, len - 1));
                prop_assert_eq!(rest.get(index).is_some(), index < len - 1);
            }
        }

        #[test]
        fn range_check_is_exact(at: u32, len: u32) {
            prop_assert_eq!(in_guest_range(at, len), u64::from(at) + u64::from(len) <= u64::from(HV_START));
        }
    }
}
