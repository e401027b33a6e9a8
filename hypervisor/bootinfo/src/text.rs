//! Copies of the loader's texts in one bounded pool.

use crate::error::BootError;
use arrayvec::ArrayVec;

/// Bytes that all texts together may have.
pub const TEXT_LIMIT: usize = 4096;

/// A text in a [`TextPool`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    start: u16,
    len: u16,
}

/// All texts, end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextPool(ArrayVec<u8, TEXT_LIMIT>);

impl Text {
    /// No text.
    pub const EMPTY: Self = Self { start: 0, len: 0 };
}

impl TextPool {
    /// A pool without texts.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Forgets all texts.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Copies `bytes`, up to a NUL where there is one.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Text, BootError> {
        let bytes = bytes.split(|&b| b == 0).next().unwrap_or(bytes);
        let text = Text {
            start: self.0.len() as u16,
            len: bytes.len() as u16,
        };
        self.0
            .try_extend_from_slice(bytes)
            .map_err(|_| BootError::TextTooLong)?;
        Ok(text)
    }

    /// Copies `bytes` as [`TextPool::add`] does, with a question mark for all that is not printable ASCII.
    pub fn add_printable(&mut self, bytes: &[u8]) -> Result<Text, BootError> {
        let text = self.add(bytes)?;
        for byte in &mut self.0[usize::from(text.start)..] {
            *byte = match *byte {
                b' '..=b'~' => *byte,
                b'\t' | b'\n' | b'\r' => b' ',
                _ => b'?',
            };
        }
        Ok(text)
    }

    /// The bytes of `text`.
    pub fn get(&self, text: Text) -> &[u8] {
        let start = usize::from(text.start);
        self.0
            .get(start..start + usize::from(text.len))
            .unwrap_or_default()
    }
}
