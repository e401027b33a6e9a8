//! Which parts of a program's address space may be used, and what is in them before they are touched.
//!
//! Areas do not overlap; pages appear in them on demand. Everything is private: what a program writes nobody else sees.
//! The exception is an area of foreign frames: its pages are put there one by one, are never this kernel's to count,
//! and are not inherited.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::fs::Inode;
use crate::linux::Errno;
use crate::mm::layout::{USER_END, USER_START};

/// Bytes in a page.
const PAGE: u32 = 4096;
/// Most areas of one address space.
const MAX_AREAS: usize = 512;

/// What a program may do in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Any access at all. (The processor knows no page that can only be written or executed.)
    pub readable: bool,
    /// Writes.
    pub writable: bool,
}

/// A file behind an area.
#[derive(Clone, Debug)]
pub struct Backing {
    /// The file.
    pub inode: Rc<Inode>,
    /// Place in the file of the area's first byte.
    pub offset: u64,
    /// Bytes from the area's start on that come from the file; what follows is zero.
    pub len: u32,
}

/// What is in an area's pages before they are touched.
#[derive(Clone, Debug)]
pub enum Source {
    /// Zeroes.
    Zeroes,
    /// A file, and zeroes after its end.
    File(Backing),
    /// Nothing, until frames of other domains are mapped there.
    Foreign,
}

/// One area.
#[derive(Clone, Debug)]
pub struct Area {
    /// Page-aligned addresses.
    pub range: Range<u32>,
    /// What is allowed.
    pub protection: Protection,
    /// What is there.
    pub source: Source,
}

/// All areas, by address.
#[derive(Clone, Debug, Default)]
pub struct Areas {
    list: Vec<Area>,
}

impl Area {
    /// Whether its pages are frames of other domains.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.source, Source::Foreign)
    }

    /// The part of the area from `at` on.
    fn tail(&self, at: u32) -> Self {
        let skipped = at - self.range.start;
        let source = match &self.source {
            Source::File(backing) => Source::File(Backing {
                inode: backing.inode.clone(),
                offset: backing.offset + u64::from(skipped),
                len: backing.len.saturating_sub(skipped),
            }),
            other => other.clone(),
        };
        Self {
            range: at..self.range.end,
            protection: self.protection,
            source,
        }
    }

    fn head(&self, at: u32) -> Self {
        let len = at - self.range.start;
        let source = match self.source.clone() {
            Source::File(backing) => Source::File(Backing {
                len: backing.len.min(len),
                ..backing
            }),
            other => other,
        };
        Self {
            range: self.range.start..at,
            protection: self.protection,
            source,
        }
    }
}

impl Areas {
    /// The area that holds `address`.
    #[must_use]
    pub fn find(&self, address: u32) -> Option<&Area> {
        let index = self.list.partition_point(|area| area.range.end <= address);
        self.list.get(index).filter(|area| area.range.contains(&address))
    }

    /// All areas.
    pub fn iter(&self) -> core::slice::Iter<'_, Area> {
        self.list.iter()
    }

    /// Bytes in all areas.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.list
            .iter()
            .map(|area| u64::from(area.range.end - area.range.start))
            .sum()
    }

    /// Adds an area in place of whatever was there. (The pages there are the caller's to remove.)
    ///
    /// # Errors
    /// EINVAL: outside of user space, or not whole pages. ENOMEM: too many areas.
    pub fn insert(&mut self, area: Area) -> Result<(), Errno> {
        check(&area.range)?;
        self.reserve(3)?;
        self.remove(area.range.clone())?;
        let index = self
            .list
            .partition_point(|other| other.range.end <= area.range.start);
        self.list.insert(index, area);
        self.merge(index);
        Ok(())
    }

    /// Removes a range, cutting areas where it begins and ends.
    ///
    /// # Errors
    /// EINVAL, ENOMEM as for [`Areas::insert`]; nothing is changed.
    pub fn remove(&mut self, range: Range<u32>) -> Result<(), Errno> {
        check(&range)?;
        let indices = self.split(&range)?;
        self.list.drain(indices);
        Ok(())
    }

    /// Changes what is allowed in a range.
    ///
    /// # Errors
    /// EINVAL; ENOMEM: a part of the range is in no area, or there are too many areas; EACCES: a part is of foreign
    /// frames, whose protection is fixed. Nothing is changed.
    pub fn protect(&mut self, range: Range<u32>, protection: Protection) -> Result<(), Errno> {
        check(&range)?;
        if !self.is_covered(&range) {
            return Err(Errno::ENOMEM);
        }
        if self.overlapping(&range).any(Area::is_foreign) {
            return Err(Errno::EACCES);
        }
        let indices = self.split(&range)?;
        for area in &mut self.list[indices.clone()] {
            area.protection = protection;
        }
        for index in indices.rev() {
            self.merge(index);
        }
        Ok(())
    }

    /// Whether no area has a byte in the range.
    #[must_use]
    pub fn is_free(&self, range: &Range<u32>) -> bool {
        let index = self.list.partition_point(|area| area.range.end <= range.start);
        self.list
            .get(index)
            .is_none_or(|area| area.range.start >= range.end)
    }

    /// The highest free range of `len` bytes below `limit`.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn find_free(&self, len: u32, limit: u32) -> Result<Range<u32>, Errno> {
        let mut end = limit;
        for area in self.list.iter().rev() {
            if area.range.end <= end && end - area.range.end >= len {
                break;
            }
            end = end.min(area.range.start);
        }
        let start = end
            .checked_sub(len)
            .filter(|start| *start >= USER_START)
            .ok_or(Errno::ENOMEM)?;
        let range = start..end;
        if self.is_free(&range) {
            Ok(range)
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// The areas with a byte in `range`.
    fn overlapping(&self, range: &Range<u32>) -> impl Iterator<Item = &Area> {
        let (start, end) = (range.start, range.end);
        self.list
            .iter()
            .filter(move |area| area.range.start < end && start < area.range.end)
    }

    /// Forgets the areas of foreign frames: a child does not have them.
    pub fn remove_foreign(&mut self) {
        self.list.retain(|area| !area.is_foreign());
    }

    /// Whether each byte of `range` is in an area.
    #[must_use]
    pub fn is_covered(&self, range: &Range<u32>) -> bool {
        let mut at = range.start;
        while at < range.end {
            match self.find(at) {
                Some(area) => at = area.range.end,
                None => return false,
            }
        }
        true
    }

    /// Cuts areas at both ends of `range` and gives the indices of those inside.
    fn split(&mut self, range: &Range<u32>) -> Result<Range<usize>, Errno> {
        self.reserve(2)?;
        for at in [range.start, range.end] {
            let index = self.list.partition_point(|area| area.range.end <= at);
            if let Some(area) = self.list.get(index)
                && area.range.start < at
            {
                let (head, tail) = (area.head(at), area.tail(at));
                self.list[index] = head;
                self.list.insert(index + 1, tail);
            }
        }
        let first = self.list.partition_point(|area| area.range.end <= range.start);
        let last = self.list.partition_point(|area| area.range.start < range.end);
        Ok(first..last.max(first))
    }

    /// Joins the area at `index` with its neighbours where they are alike: a growing heap stays one area.
    fn merge(&mut self, index: usize) {
        for left in [index, index.wrapping_sub(1)] {
            let [Some(a), Some(b)] = [self.list.get(left), self.list.get(left.wrapping_add(1))] else {
                continue;
            };
            let alike = matches!((&a.source, &b.source), (Source::Zeroes, Source::Zeroes))
                && a.protection == b.protection;
            if alike && a.range.end == b.range.start {
                self.list[left].range.end = b.range.end;
                self.list.remove(left + 1);
            }
        }
    }

    fn reserve(&mut self, count: usize) -> Result<(), Errno> {
        if self.list.len() + count > MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        self.list.try_reserve(count).map_err(|_| Errno::ENOMEM)
    }
}

fn check(range: &Range<u32>) -> Result<(), Errno> {
    let whole = range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE);
    if whole && range.start < range.end && range.end <= USER_END {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests;
