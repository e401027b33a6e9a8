//! Who may do what with a node.
//!
//! A list of entries, each a letter and a domain's number, as in `n0`, `r5`. The first entry's domain owns the
//! node and may do everything; its letter is what domains may do that no later entry names. Domain0 may do everything.
//!
//! Source: Xen 4.x, `public/io/xs_wire.h` and the interface of its store.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::Error;

/// Most entries of a node.
pub const MAX_ENTRIES: usize = 8;

/// What a domain wants to do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Look at value and children.
    Read,
    /// Change them, or remove the node.
    Write,
}

/// What one entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    read: bool,
    write: bool,
}

impl Access {
    const NONE: Self = Self {
        read: false,
        write: false,
    };

    fn letter(self) -> char {
        match (self.read, self.write) {
            (false, false) => 'n',
            (true, false) => 'r',
            (false, true) => 'w',
            (true, true) => 'b',
        }
    }

    fn parse(letter: u8) -> Option<Self> {
        let (read, write) = match letter {
            b'n' => (false, false),
            b'r' => (true, false),
            b'w' => (false, true),
            b'b' => (true, true),
            _ => return None,
        };
        Some(Self { read, write })
    }
}

/// A node's list, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Perms(Rc<[(u16, Access)]>);

impl Perms {
    /// Nobody but `owner`.
    #[must_use]
    pub fn private(owner: u16) -> Self {
        Self(Rc::new([(owner, Access::NONE)]))
    }

    /// A list as it is sent: each entry behind the other, each with a NUL.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, Error> {
        let mut list = Vec::new();
        for entry in entries {
            let (letter, number) = entry.split_at_checked(1).ok_or(Error::Invalid)?;
            let access = Access::parse(letter.as_bytes()[0]).ok_or(Error::Invalid)?;
            if list.len() == MAX_ENTRIES {
                return Err(Error::NoSpace);
            }
            list.push((super::request::number(number)?, access));
        }
        if list.is_empty() {
            return Err(Error::Invalid);
        }
        Ok(Self(list.into()))
    }

    /// Whose the node is.
    #[must_use]
    pub fn owner(&self) -> u16 {
        self.0[0].0
    }

    /// The same list with another owner.
    #[must_use]
    pub fn owned_by(&self, owner: u16) -> Self {
        let mut list = self.0.to_vec();
        list[0].0 = owner;
        Self(list.into())
    }

    /// The same list without the entries of a domain that is gone; `None` where it has none behind the first.
    #[must_use]
    pub fn without(&self, domain: u16) -> Option<Self> {
        let rest = self.0[1..].iter().filter(|entry| entry.0 != domain);
        let list: Vec<_> = core::iter::once(&self.0[0]).chain(rest).copied().collect();
        (list.len() < self.0.len()).then(|| Self(list.into()))
    }

    /// Whether `domain` may do that.
    #[must_use]
    pub fn allow(&self, domain: u16, wish: Wish) -> bool {
        if domain == 0 || domain == self.owner() {
            return true;
        }
        let named = self.0[1..].iter().find(|entry| entry.0 == domain);
        let (_, access) = named.unwrap_or(&self.0[0]);
        match wish {
            Wish::Read => access.read,
            Wish::Write => access.write,
        }
    }

    /// The list as it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.0.iter();
        entries
            .map(|(domain, access)| format!("{}{domain}\0", access.letter()))
            .collect::<String>()
            .into_bytes()
    }
}
