//! The two declarations that every module of this crate is made of: an open number and a checked layout.
//!
//! A number that arrives from the other side can be anything, so it is a newtype over the integer with a
//! constant per known value, never a Rust enum. A structure has the same bytes on a 64-bit hypervisor
//! (where `u64` is aligned to 8) and in a 32-bit guest (where it is aligned to 4); `layout!` makes the
//! compiler prove that for the target at hand.

/// Declares a newtype over an integer with named values: constants, a table of names, `TryFrom` that refuses
/// unknown values, and `Display`/`Debug` that print the name.
macro_rules! open_number {
    (
        $(#[$meta:meta])*
        $Name:ident: $repr:ty {
            $( $(#[$value_meta:meta])* $CONST:ident = $value:expr, $text:literal; )+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        )]
        #[repr(transparent)]
        pub struct $Name($repr);

        impl $Name {
            $( $(#[$value_meta])* pub const $CONST: Self = Self($value); )+

            /// Every value that has a name, beside that name.
            pub const ALL: &'static [(Self, &'static str)] = &[ $( (Self::$CONST, $text) ),+ ];

            /// The value `raw`, known or not.
            #[must_use]
            pub const fn new(raw: $repr) -> Self {
                Self(raw)
            }

            /// The number as it travels.
            #[must_use]
            pub const fn raw(self) -> $repr {
                self.0
            }

            /// The value's name, or `None` for a value that this interface does not define.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Self::ALL.iter().find(|(value, _)| *value == self).map(|(_, name)| *name)
            }
        }

        impl TryFrom<$repr> for $Name {
            type Error = $crate::UnknownNumber;

            fn try_from(raw: $repr) -> Result<Self, Self::Error> {
                let value = Self(raw);
                value.name().map(|_| value).ok_or($crate::UnknownNumber(i64::from(raw)))
            }
        }

        impl core::fmt::Display for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($Name), "({})"), self)
            }
        }
    };
}

/// Asserts at compile time the size of a structure and the offset of each field named, and lets a generator for
/// other languages see them (feature `describe`).
macro_rules! layout {
    ($Type:ty, size $size:expr $(, $field:ident @ $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$Type>() == $size);
            $( assert!(core::mem::offset_of!($Type, $field) == $offset); )*
        };

        #[cfg(feature = "describe")]
        impl $crate::describe::Layout for $Type {
            const NAME: &'static str = stringify!($Type);
            const SIZE: usize = $size;
            fn fields() -> &'static [$crate::describe::Field] {
                &[$( $crate::describe::Field {
                    name: stringify!($field),
                    offset: $offset,
                    kind: || $crate::describe::kind_of(|value: &$Type| &value.$field),
                } ),*]
            }
        }
    };
}

/// `Default` as all bytes zero, for structures with arrays too long for the derive.
macro_rules! default_is_zero {
    ($($Type:ty),+ $(,)?) => {
        $(
            impl Default for $Type {
                fn default() -> Self {
                    <$Type as zerocopy::FromZeros>::new_zeroed()
                }
            }
        )+
    };
}

/// Makes `$Block` (a command `cmd` and an untyped argument area `u`) packable and readable by argument type:
/// declares the trait `$Args` that ties a type to its command, and `new`, `args`, `set_args` on the block.
macro_rules! command_block {
    ($Block:ident, $Args:ident, $Cmd:ident $(, version $field:ident = $version:expr)?) => {
        /// The arguments of one command, a plain structure at the start of the block's argument area.
        pub trait $Args:
            zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout + Copy
        {
            /// The command whose arguments these are.
            const CMD: $Cmd;
        }

        impl $Block {
            /// The block for the command that `args` belongs to, everything else 0.
            #[must_use]
            pub fn new<A: $Args>(args: &A) -> Self {
                let mut block = <Self as zerocopy::FromZeros>::new_zeroed();
                block.cmd = A::CMD;
                $( block.$field = $version; )?
                block.set_args(args);
                block
            }

            /// The argument area read as `A`, whatever the command is.
            #[must_use]
            pub fn args<A: $Args>(&self) -> A {
                let mut args = A::new_zeroed();
                args.as_mut_bytes().copy_from_slice(&self.u[..size_of::<A>()]);
                args
            }

            /// Writes `args` to the argument area; the bytes after them stay.
            pub fn set_args<A: $Args>(&mut self, args: &A) {
                self.u[..size_of::<A>()].copy_from_slice(args.as_bytes());
            }
        }
    };
}

/// Ties argument types to the commands of a block, and asserts that each fits.
macro_rules! command_args {
    ($Args:ident, $Cmd:ident, $Block:ident: $( $Type:ident = $CONST:ident ),+ $(,)?) => {
        $(
            impl $Args for $Type {
                const CMD: $Cmd = $Cmd::$CONST;
            }

            const _: () =
                assert!(size_of::<$Type>() <= size_of::<$Block>() - core::mem::offset_of!($Block, u));
        )+
    };
}
