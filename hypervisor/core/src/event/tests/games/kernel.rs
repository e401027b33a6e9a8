//! A guest's kernel, access by access to the shared page.

use super::*;

/// What a guest's kernel is about to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    // The upcall handler.
    ClearFlag,
    TakeSelector,
    TakeWord(u32),
    TakePorts(u32, u32, u32),
    Notify,
    UnmaskUpcalls,
    LookAgain,
    // Unmasking a port.
    ClearMaskBit(u32),
    LookAtPending(u32),
    SetSelector(u32),
    SetFlag,
    /// Have what is due delivered.
    Force,
}

impl Game {
    /// The next step of what the running guest is in the middle of; whether there was one.
    pub fn step(&mut self) -> bool {
        let slot = self.world.hv.current;
        let Some(step) = self.steps[slot].pop() else {
            return false;
        };
        let mut next = |step| self.steps[slot].push(step);
        match step {
            Step::ClearFlag => {
                next(Step::TakeSelector);
                self.set_flag(slot, offset::EVTCHN_UPCALL_PENDING, 0);
            }
            Step::TakeSelector => {
                let words = self.clear(slot, offset::EVTCHN_PENDING_SEL, u32::MAX);
                self.steps[slot].push(Step::TakeWord(words));
            }
            Step::TakeWord(0) => next(Step::UnmaskUpcalls),
            Step::TakeWord(words) => {
                let index = words.trailing_zeros();
                let at = index as usize * 4;
                let ready =
                    self.load(slot, offset::EVTCHN_PENDING + at) & !self.load(slot, offset::EVTCHN_MASK + at);
                self.steps[slot].push(Step::TakePorts(words & (words - 1), index, ready));
            }
            Step::TakePorts(words, _, 0) => next(Step::TakeWord(words)),
            Step::TakePorts(words, index, ready) => {
                let bit = ready.trailing_zeros();
                next(Step::TakePorts(words, index, ready & (ready - 1)));
                let port = index * 32 + bit;
                self.clear(slot, offset::EVTCHN_PENDING + index as usize * 4, 1 << bit);
                self.owed[slot].retain(|owed| *owed != port);
                if self.line_ports.iter().any(|ports| ports[slot] == port) {
                    self.steps[slot].push(Step::Notify);
                }
            }
            Step::Notify => {
                self.world.write(ARGS, &PhysdevOp::new(&IrqUnmaskNotify {}));
                self.call(19, ARGS);
            }
            Step::UnmaskUpcalls => {
                next(Step::LookAgain);
                self.set_flag(slot, offset::EVTCHN_UPCALL_MASK, 0);
            }
            Step::LookAgain => {
                if self.flag(slot, offset::EVTCHN_UPCALL_PENDING) {
                    self.set_flag(slot, offset::EVTCHN_UPCALL_MASK, 1);
                    self.steps[slot].push(Step::ClearFlag);
                }
            }
            Step::ClearMaskBit(port) => {
                next(Step::LookAtPending(port));
                self.clear(
                    slot,
                    offset::EVTCHN_MASK + port as usize / 32 * 4,
                    1 << (port % 32),
                );
            }
            Step::LookAtPending(port) => {
                let word = self.load(slot, offset::EVTCHN_PENDING + port as usize / 32 * 4);
                if word >> (port % 32) & 1 != 0 {
                    self.steps[slot].push(Step::SetSelector(port));
                }
            }
            Step::SetSelector(port) => {
                next(Step::SetFlag);
                self.set(slot, offset::EVTCHN_PENDING_SEL, 1 << (port / 32));
            }
            Step::SetFlag => {
                next(Step::Force);
                self.set_flag(slot, offset::EVTCHN_UPCALL_PENDING, 1);
            }
            Step::Force => self.call(17, 0),
        }
        true
    }
}
