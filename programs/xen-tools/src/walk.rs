//! A domain's memory by its own addresses: its page tables are read as the processor reads them. Intel SDM vol. 3A 4.4.

use guest_abi::addr::{GuestVirt, Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::mmu::Pte;

use crate::errno::{Errno, Result};
use crate::privileged::{Access, Privileged, Window};

/// The machine frame behind `at` in the tables from `l3` on.
///
/// # Errors
/// EFAULT where nothing is mapped; what the kernel answers where a table cannot be read.
pub fn frame_of<P: Privileged>(privileged: &P, domain: DomId, l3: Mfn, at: GuestVirt) -> Result<Mfn> {
    let mut table = l3;
    for level in (1..=3).rev() {
        let window = privileged.map(domain, &[table], Access::ReadOnly)?;
        let mut entry = [0; 8];
        window.read(at.table_index(level) * size_of::<Pte>(), &mut entry);
        let entry = Pte::from_raw(u64::from_le_bytes(entry));
        if !entry.is_present() {
            return Err(Errno::EFAULT);
        }
        table = entry.mfn().ok_or(Errno::EFAULT)?;
    }
    Ok(table)
}

/// Reads `bytes` at a domain's address `at`; says how many could be read before the first hole.
///
/// # Errors
/// What the kernel answers where not one byte could be read.
pub fn read<P: Privileged>(
    privileged: &P,
    domain: DomId,
    l3: Mfn,
    at: GuestVirt,
    bytes: &mut [u8],
) -> Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        let Some(next) = u32::try_from(done)
            .ok()
            .and_then(|done| at.raw().checked_add(done))
        else {
            break;
        };
        let offset = next as usize % PAGE_SIZE;
        let count = (PAGE_SIZE - offset).min(bytes.len() - done);
        let window = frame_of(privileged, domain, l3, GuestVirt::new(next))
            .and_then(|frame| privileged.map(domain, &[frame], Access::ReadOnly));
        match window {
            Ok(window) => window.read(offset, &mut bytes[done..done + count]),
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        done += count;
    }
    Ok(done)
}
