//! Files that are disks of other domains: kept as they are meanwhile, and found on the disk.
//!
//! A file that is lent is neither made longer or shorter, nor removed or renamed, and its volume stays mounted. Here it is not written, and not read either if the
//! other domain writes. So its sectors are nobody's but the other domain's, and the rest of the volume is used as before.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::string::String;

use axfatfs::Error;

use super::chain::{Chain, Layout};
use super::mount::Mount;
use super::names::{Entry, OpenName};
use crate::block::SECTOR;
use crate::block::cache::{Missing, Transaction};
use crate::block::exports::{Lot, Part, Refusal};
use crate::linux::Errno;

/// What a file is lent for; it comes back when this goes.
#[derive(Debug)]
pub(super) struct Loan {
    /// The path in small letters.
    path: String,
    writes: bool,
    _name: OpenName,
}

impl Mount {
    /// Refuses to use the file at `path` here in a way that others exclude who have it.
    ///
    /// # Errors
    /// EBUSY.
    pub fn not_lent(&self, path: &str, writes: bool) -> Result<(), Errno> {
        let mut loans = self.loans.borrow_mut();
        if loans.is_empty() {
            return Ok(());
        }
        loans.retain(|loan| loan.strong_count() > 0);
        let path = path.to_lowercase();
        let excludes = |loan: Rc<Loan>| loan.path == path && (loan.writes || writes);
        if loans.iter().filter_map(Weak::upgrade).any(excludes) {
            Err(Errno::EBUSY)
        } else {
            Ok(())
        }
    }

    fn lend(&self, path: &str, writes: bool) -> Result<Rc<Loan>, Errno> {
        self.not_lent(path, writes)?;
        let loan = Rc::new(Loan {
            path: path.to_lowercase(),
            writes,
            _name: self.keep(path),
        });
        self.loans.borrow_mut().push(Rc::downgrade(&loan));
        Ok(loan)
    }

    /// Where the file's first cluster begins on the volume, in bytes.
    fn beginning(&self, path: &str) -> Result<u64, Errno> {
        self.run(|fs| {
            let mut file = fs.root_dir().open_file(path)?;
            let first = file.extents().next().ok_or(Error::CorruptedFileSystem)?;
            Ok(first?.offset)
        })
    }

    /// Reads bytes of the volume.
    fn read_raw(&self, at: u64, into: &mut [u8]) -> Result<(), Missing> {
        let volume = self.volume();
        Transaction::new(&volume.cache).read(volume.first * SECTOR as u64 + at, into)
    }
}

/// A file whose sectors are being looked for.
struct Search {
    mount: Rc<Mount>,
    path: String,
    sectors: u64,
    loan: Rc<Loan>,
    chain: Option<Chain>,
}

impl Search {
    fn new(mount: &Rc<Mount>, path: &str, entry: &Entry, writes: bool) -> Result<Self, &'static str> {
        if entry.is_directory {
            return Err("it is a directory");
        }
        if writes && mount.is_read_only() {
            return Err("its file system is mounted read-only");
        }
        if writes && entry.is_read_only {
            return Err("the file is read-only");
        }
        if entry.size == 0 || !entry.size.is_multiple_of(SECTOR as u64) {
            return Err("the file's length is no multiple of 512 bytes, or nothing");
        }
        Ok(Self {
            mount: mount.clone(),
            path: path.into(),
            sectors: entry.size / SECTOR as u64,
            loan: mount
                .lend(path, writes)
                .map_err(|_| "another device of a domain is on it already")?,
            chain: None,
        })
    }

    fn begin(&self) -> Result<Chain, Refusal> {
        let mut boot = [0; SECTOR];
        self.mount.read_raw(0, &mut boot).map_err(trouble)?;
        let layout = Layout::parse(&boot, self.mount.volume().sectors);
        let layout = layout.ok_or(Refusal::Because("the file system's first sector makes no sense"))?;
        let beginning = self.mount.beginning(&self.path).map_err(|errno| match errno {
            Errno::EIOCBQUEUED => Refusal::Wait,
            _ => Refusal::Because("the file cannot be found on the disk"),
        })?;
        let first = layout.cluster_at(beginning);
        let first = first.ok_or(Refusal::Because("the file begins outside of the file system"))?;
        Chain::new(layout, first, self.sectors).map_err(Refusal::Because)
    }

    /// Goes on until something has to be read from the disk, or the file is found.
    fn go_on(&mut self) -> Result<Lot, Refusal> {
        let mut chain = match self.chain.take() {
            Some(chain) => chain,
            None => self.begin()?,
        };
        while let Some(needed) = chain.next().map_err(Refusal::Because)? {
            let mut bytes = alloc::vec![0; (needed.end - needed.start) as usize];
            if let Err(missing) = self.mount.read_raw(needed.start, &mut bytes) {
                self.chain = Some(chain);
                return Err(trouble(missing));
            }
            chain.take(needed.start, &bytes).map_err(Refusal::Because)?;
        }
        let part = Part {
            runs: chain.into_runs(),
            keeps: self.loan.clone(),
        };
        Lot::file(self.mount.volume(), part, self.loan.writes).map_err(Refusal::Because)
    }
}

fn trouble(missing: Missing) -> Refusal {
    match missing {
        Missing::Wait => Refusal::Wait,
        Missing::Error(_) => Refusal::Because("the file system cannot be read"),
    }
}

/// The files that are being looked for, by the directory of the backend in the store.
#[derive(Default)]
pub struct Lending(BTreeMap<String, Search>);

impl Lending {
    /// Whether a file is being looked for, for `owner`.
    #[must_use]
    pub fn has(&self, owner: &str) -> bool {
        self.0.contains_key(owner)
    }

    /// Begins to look for the file at `path` of `mount`, which is `entry`. From now on it stays as it is.
    ///
    /// # Errors
    /// A sentence.
    pub fn begin(
        &mut self,
        owner: &str,
        (mount, path, entry): (&Rc<Mount>, &str, &Entry),
        writes: bool,
    ) -> Result<(), &'static str> {
        let search = Search::new(mount, path, entry, writes)?;
        self.0.insert(owner.into(), search);
        Ok(())
    }

    /// Goes on looking for what was begun for `owner`; asked again after the next completion of the disk where that is not the end.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn go_on(&mut self, owner: &str) -> Result<Lot, Refusal> {
        let search = self.0.get_mut(owner).ok_or(Refusal::Wait)?;
        let found = search.go_on();
        if !matches!(found, Err(Refusal::Wait)) {
            self.0.remove(owner);
        }
        found
    }

    /// Forgets those whose owner does not stay.
    pub fn keep(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|owner, _| keeps(owner));
    }
}
