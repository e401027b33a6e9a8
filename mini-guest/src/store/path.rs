//! Paths in the store.
//!
//! An absolute path begins with `/` and is at most 3072 bytes; a relative one is at most 2048 and stands below
//! the asker's home, `/local/domain/ID`. Components are letters, digits and `-`, `_`, `@`, none of them empty.
//!
//! Source: Xen 4.x, `public/io/xs_wire.h`, the lengths and characters.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::Error;

/// Longest absolute path.
pub const MAX_ABSOLUTE: usize = 3072;
/// Longest relative path.
pub const MAX_RELATIVE: usize = 2048;

/// An absolute path, checked. The root's is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// Judges `text`, which `domain` sent.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(text: &str, domain: u16) -> Result<Self, Error> {
        let path = if let Some(rest) = text.strip_prefix('/') {
            if text.len() > MAX_ABSOLUTE {
                return Err(Error::Invalid);
            }
            if rest.is_empty() {
                return Ok(Self(String::new()));
            }
            String::from(text)
        } else {
            if text.len() > MAX_RELATIVE {
                return Err(Error::Invalid);
            }
            format!("/local/domain/{domain}/{text}")
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@');
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_plain);
        if path[1..].split('/').all(is_name) {
            Ok(Self(path))
        } else {
            Err(Error::Invalid)
        }
    }

    /// The root.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// The home of a domain.
    #[must_use]
    pub fn home(domain: u16) -> Self {
        Self(format!("/local/domain/{domain}"))
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// The path above and the last component; the root has neither.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, &str)> {
        let (parent, name) = self.0.rsplit_once('/')?;
        Some((Self(parent.into()), name))
    }

    /// The path of a child.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// Whether this is `above` or below it.
    #[must_use]
    pub fn is_within(&self, above: &Self) -> bool {
        self.0
            .strip_prefix(above.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the root's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as a domain sees it that named it relative to its home, or the whole.
    #[must_use]
    pub fn as_seen(&self, relative_to: Option<&Self>) -> &str {
        relative_to
            .and_then(|home| self.0.strip_prefix(home.0.as_str()))
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_seen(None))
    }
}
