//! Port I/O as typed values: a [`Port`] is made once, where the argument about what lies behind its number can be
//! made, and is then read and written without `unsafe`.
//!
//! The instructions themselves are those of the `x86` crate (Intel SDM vol. 1, chapter 19).

use core::marker::PhantomData;

/// A width that `in` and `out` know.
pub trait PortWidth: Copy {
    /// Reads the port.
    ///
    /// # Safety
    /// As for [`Port::new`].
    unsafe fn read(port: u16) -> Self;
    /// Writes the port.
    ///
    /// # Safety
    /// As for [`Port::new`].
    unsafe fn write(port: u16, value: Self);
}

macro_rules! port_width {
    ($type:ty, $input:ident, $output:ident) => {
        impl PortWidth for $type {
            unsafe fn read(port: u16) -> Self {
                // SAFETY: the hypervisor runs in ring 0; what the read does to the device is the caller's promise.
                unsafe { x86::io::$input(port) }
            }
            unsafe fn write(port: u16, value: Self) {
                // SAFETY: the hypervisor runs in ring 0; what the write does to the device is the caller's promise.
                unsafe { x86::io::$output(port, value) }
            }
        }
    };
}
port_width!(u8, inb, outb);
port_width!(u16, inw, outw);
port_width!(u32, inl, outl);

/// One I/O port of one device.
#[derive(Clone, Copy, Debug)]
pub struct Port<T> {
    number: u16,
    width: PhantomData<T>,
}

impl<T: PortWidth> Port<T> {
    /// The port of this number.
    ///
    /// # Safety
    /// Reading the port, and writing any value to it, must not break memory safety: whatever device decodes it
    /// can neither write to memory that Rust owns nor stop the processor in a state that others rely on. The
    /// owner of the value is the device's driver.
    #[must_use]
    pub const unsafe fn new(number: u16) -> Self {
        Self {
            number,
            width: PhantomData,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }

    /// Reads it.
    #[must_use]
    #[inline]
    pub fn read(self) -> T {
        // SAFETY: promised when the value was made.
        unsafe { T::read(self.number) }
    }

    /// Writes it.
    #[inline]
    pub fn write(self, value: T) {
        // SAFETY: promised when the value was made.
        unsafe { T::write(self.number, value) }
    }
}
