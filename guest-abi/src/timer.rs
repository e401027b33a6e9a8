//! Call 15, `set_timer_op`: EBX the **high** word and ECX the **low** word of an absolute system time in ns.
//!
//! Replaces any earlier time; 0 cancels. At that time (or at once, if it is past) the time record is
//! refreshed and [`Virq::TIMER`](crate::event_channel::Virq::TIMER) raised. Returns 0. Source: Xen 2.0.
//! (Later Xen takes the low word first.)

/// The two argument registers, EBX and ECX, for time `ns`.
#[must_use]
pub const fn pack(ns: u64) -> (u32, u32) {
    ((ns >> 32) as u32, ns as u32)
}

/// The time that the two argument registers give.
#[must_use]
pub const fn unpack(ebx: u32, ecx: u32) -> u64 {
    (ebx as u64) << 32 | ecx as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_word_comes_first() {
        assert_eq!(pack(0x1_0000_0002), (1, 2));
        assert_eq!(unpack(1, 2), 0x1_0000_0002);
    }
}
