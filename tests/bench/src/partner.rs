//! The other domain: it waits for events, or yields, over and over, and counts; the callback notes the time of its first
//! instruction.

use core::arch::global_asm;

use guest_abi::domain::DomId;
use guest_abi::domctl::{AdjustDom, Direction, DomainFlags, SchedId};
use guest_abi::event_channel::BindInterdomain;
use guest_abi::mmu::Pte;
use guest_abi::shared_info::offset;
use mini_guest::hypercall;
use mini_guest::mm::layout::direct;
use test_guests::pages::{Page, WRITABLE, peek32, poke32};
use test_guests::small_domain::{PAGES, build, context, create, fill, frames, info, op, show, unpause};

use crate::memory::frame;

/// Where its code page is mapped in it, and which of its frames that is.
const CODE: u32 = 0xC000_3000;
const CODE_FRAME: usize = 3;
/// Where it maps its shared page.
const SHARED: u32 = 0xC000_0000 + PAGES * 4096;
/// Words of its code page: the entry that maps the shared page, the time noted, how often it went round, and whether it
/// waits (1) or yields (0).
const ENTRY: usize = 256;
const NOTED: u32 = ENTRY as u32 * 8 + 8;
const ROUNDS: u32 = NOTED + 4;
const OPERATION: u32 = ROUNDS + 4;

global_asm!(
    "
    .section .rodata.bench_partner, \"a\", @progbits
    .balign 8
    .globl bench_partner, bench_partner_callback, bench_partner_end
bench_partner:
    mov eax, 14
    mov ebx, {SHARED} >> 12
    mov ecx, [{CODE} + {ENTRY}]
    mov edx, [{CODE} + {ENTRY} + 4]
    mov esi, 2
    int 0x82
    test eax, eax
    jz 1f
    ud2
1:  mov dword ptr [{SHARED} + {PORTS_MASKED}], 0
2:  mov eax, 6
    mov ebx, [{CODE} + {OPERATION}]
    int 0x82
    inc dword ptr [{CODE} + {ROUNDS}]
    jmp 2b
bench_partner_callback:
    rdtsc
    mov [{CODE} + {NOTED}], eax
    mov dword ptr [{SHARED} + {PORTS}], 0
    mov dword ptr [{SHARED} + {SELECTOR}], 0
    mov byte ptr [{SHARED} + {PENDING}], 0
    iretd
    .balign 8
bench_partner_end:
    ",
    CODE = const CODE,
    SHARED = const SHARED,
    ENTRY = const ENTRY * 8,
    NOTED = const NOTED,
    ROUNDS = const ROUNDS,
    OPERATION = const OPERATION,
    PORTS_MASKED = const offset::EVTCHN_MASK,
    PORTS = const offset::EVTCHN_PENDING,
    SELECTOR = const offset::EVTCHN_PENDING_SEL,
    PENDING = const offset::EVTCHN_UPCALL_PENDING,
);

unsafe extern "C" {
    static bench_partner: u64;
    static bench_partner_callback: u8;
    static bench_partner_end: u8;
}

/// The page that holds its code, as it is at the start.
fn code(shared_info: Pte) -> [u64; ENTRY + 3] {
    let from = &raw const bench_partner;
    let bytes = &raw const bench_partner_end as usize - from as usize;
    assert!(bytes <= ENTRY * 8);
    let mut page = [0; ENTRY + 3];
    for (n, word) in page.iter_mut().enumerate().take(bytes / 8) {
        // SAFETY: inside the code, which is constant.
        *word = unsafe { from.add(n).read() };
    }
    page[ENTRY] = shared_info.raw();
    page[ENTRY + 2] = WAIT.into();
    page
}

const YIELD: u32 = 0;
const WAIT: u32 = 1;

/// A domain whose code page Domain0 sees.
pub struct Partner {
    /// Its number.
    pub id: DomId,
    window: Page,
}

impl Partner {
    /// One that has begun to wait.
    pub fn start(window: Page) -> Self {
        let id = create(PAGES).expect("memory for a small domain");
        let frames = frames(id);
        let shared_info = info(id).expect("it exists").shared_info_frame;
        fill(window, id, &frames, &code(Pte::new(shared_info, WRITABLE)));
        let mut context = context(&frames);
        let callback = &raw const bench_partner_callback as u32 - &raw const bench_partner as u32;
        context.event_callback.eip = CODE + callback;
        build(id, &context).expect("a good context");
        unpause(id).expect("it is built");
        show(window, id, frames[CODE_FRAME]);
        let partner = Self { id, window };
        partner.rest();
        partner
    }

    /// Lets it run until it waits.
    fn rest(&self) {
        while !info(self.id).is_ok_and(|info| info.flags.contains(DomainFlags::BLOCKED)) {
            hypercall::yield_now().expect("yield");
        }
    }

    /// A port of ours that leads to it.
    pub fn connect(&self) -> u32 {
        let ends = BindInterdomain {
            dom1: DomId::SELF,
            dom2: self.id,
            port1: 0,
            port2: 0,
        };
        let bound = hypercall::event_channel_op(&ends).expect("free ports");
        assert!(bound.port2 < 32, "in the word that its callback clears");
        bound.port1
    }

    /// How often it went round.
    pub fn rounds(&self) -> u32 {
        peek32(self.window.0 + ROUNDS)
    }

    /// Where it notes the time.
    pub const fn noted(&self) -> u32 {
        self.window.0 + NOTED
    }

    /// Has it yield from its next round on, or wait.
    fn set_operation(&self, operation: u32) {
        poke32(self.window.0 + OPERATION, operation);
    }

    /// Runs `work` while it yields all the time, which begins with an event by `wake`.
    pub fn while_yielding(&self, wake: impl FnOnce(), work: impl FnOnce()) {
        self.set_operation(YIELD);
        wake();
        work();
        self.set_operation(WAIT);
        self.rest();
    }

    /// Sets how fast its virtual time goes by; Domain0's is 10.
    pub fn set_advance(&self, mcu_advance: u32) {
        op(&AdjustDom {
            sched_id: SchedId::BVT,
            direction: Direction::PUT,
            domain: self.id,
            pad: 0,
            mcu_advance,
            warpback: 0,
            warpvalue: 0,
            warpl_ns: 0,
            warpu_ns: 0,
        })
        .expect("good parameters");
    }
}

/// A page of ours as a window.
pub fn window() -> Page {
    Page(direct(frame()))
}
