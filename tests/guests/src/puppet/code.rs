//! What a puppet begins with: its code, where that finds things, and its first context.

use core::arch::global_asm;

use guest_abi::addr::Mfn;
use guest_abi::mmu::{Pte, PteFlags};
use guest_abi::segment::Selector;
use guest_abi::shared_info::offset;
use guest_abi::trap::{TrapFlags, TrapInfo};
use guest_abi::vcpu::{Callback, CpuContext};

use crate::pages::{READ_ONLY, WRITABLE, peek32};
use crate::small_domain::{BASE, PAGES, context};

/// Where its pages are.
pub(super) const CODE: u32 = BASE + 3 * 4096;
pub(super) const BLOCK: u32 = BASE + 4 * 4096;
/// The code of a script.
pub const SCRIPT: u32 = BASE + 5 * 4096;
/// Data of a test's.
pub const DATA: u32 = BASE + 6 * 4096;
/// Data, or code for ring 3.
pub const USER: u32 = BASE + 7 * 4096;
/// Its shared page.
pub const SHARED: u32 = BASE + 8 * 4096;
/// Top of its stack, which the block's page follows.
pub const STACK: u32 = CODE + 4096;

/// Where in the block things are: whether there is a list to do (0: none), where the command is that it is at (0: at none),
/// the words that lay on the stack when a trap came and where, how many upcalls there were.
pub(super) const AT: u32 = 4;
pub(super) const FRAME: u32 = 36;
pub(super) const ESP: u32 = 76;
pub(super) const UPCALLS: u32 = 80;
/// How many traps there were in all, and the number of the last.
pub(super) const TRAPS: u32 = 84;
pub(super) const LAST: u32 = 88;
/// The list, a command of 32 bytes after the other: what to do, EAX to EDI as arguments and answer, and which trap ended it
/// plus 1.
pub(super) const LIST: u32 = 128;
pub(super) const COMMAND: u32 = 32;
pub(super) const EAX: u32 = 4;
pub(super) const EBX: u32 = 8;
pub(super) const TRAP: u32 = 28;
/// Behind the list, room for data.
pub(super) const BUFFER: u32 = 2048;
/// Where in a puppet what Domain0 puts there is: the words of a script, the records of calls.
pub const WORDS: u32 = BLOCK + BUFFER;
/// Words of a frame that are kept.
pub const FRAME_WORDS: usize = 9;

/// What a command says to do; 0 ends the list.
pub(super) const CALL: u32 = 1;
pub(super) const PEEK: u32 = 2;
pub(super) const POKE: u32 = 3;
pub(super) const RUN: u32 = 4;

/// Number of the failsafe callback among traps.
pub const FAILSAFE: u32 = 32;
/// Numbers of handlers that tests install themselves.
pub const OWN_TRAPS: core::ops::Range<u32> = 33..40;
/// Longest script.
pub(super) const SCRIPT_BYTES: u32 = 512;
/// Words of its code.
const WORDS_OF_CODE: usize = 96;

global_asm!(
    r#"
        .section .text.test_puppet, "ax", @progbits
        .globl  test_puppet, test_puppet_stubs, test_puppet_event, test_puppet_end
test_puppet:
        mov     esp, {STACK}
2:      mov     dword ptr ss:[{BLOCK} + {AT}], 0
        mov     eax, 6
        xor     ebx, ebx
        int     0x82
        cmp     dword ptr ss:[{BLOCK}], 0
        je      2b
        mov     ebp, {BLOCK} + {LIST}
3:      mov     ss:[{BLOCK} + {AT}], ebp
        mov     eax, ss:[ebp]
        cmp     eax, {PEEK}
        ja      5f
        je      4f
        test    eax, eax
        je      9f
        mov     eax, ss:[ebp + {EAX}]
        mov     ebx, ss:[ebp + {EBX}]
        mov     ecx, ss:[ebp + 12]
        mov     edx, ss:[ebp + 16]
        mov     esi, ss:[ebp + 20]
        mov     edi, ss:[ebp + 24]
        int     0x82
        jmp     7f
4:      mov     ebx, ss:[ebp + {EBX}]
        mov     eax, ss:[ebx]
        jmp     7f
5:      cmp     eax, {POKE}
        jne     6f
        mov     ebx, ss:[ebp + {EBX}]
        mov     ecx, ss:[ebp + 12]
        mov     ss:[ebx], ecx
        jmp     7f
6:      mov     eax, {SCRIPT}
        call    eax
7:      mov     ebp, ss:[{BLOCK} + {AT}]
        mov     ss:[ebp + {EAX}], eax
        mov     ss:[ebp + {EBX}], ebx
8:      add     ebp, {COMMAND}
        jmp     3b
9:      mov     dword ptr ss:[{BLOCK}], 0
        jmp     2b

test_puppet_event:
        inc     dword ptr ss:[{BLOCK} + {UPCALLS}]
        mov     byte ptr ss:[{SHARED} + {PENDING}], 0
        mov     dword ptr ss:[{SHARED} + {SELECTOR}], 0
        mov     byte ptr ss:[{SHARED} + {MASK}], 0
        iretd

        .balign 8
test_puppet_stubs:
        .set    number, 0
        .rept   40
        .balign 8
        push    number
        jmp     5f
        .set    number, number + 1
        .endr
5:      mov     eax, {FLAT}
        mov     ds, eax
        mov     es, eax
        pop     eax
        mov     ss:[{BLOCK} + {LAST}], eax
        inc     dword ptr ss:[{BLOCK} + {TRAPS}]
        mov     ss:[{BLOCK} + {ESP}], esp
        xor     ecx, ecx
6:      pop     eax
        mov     ss:[ecx * 4 + {BLOCK} + {FRAME}], eax
        inc     ecx
        cmp     ecx, {FRAME_WORDS}
        jne     6b
        mov     esp, {STACK}
        mov     ebp, ss:[{BLOCK} + {AT}]
        test    ebp, ebp
        je      2b
        cmp     dword ptr ss:[ebp], 0
        je      9b
        mov     eax, ss:[{BLOCK} + {LAST}]
        inc     eax
        mov     ss:[ebp + {TRAP}], eax
        jmp     8b
test_puppet_end:
    "#,
    STACK = const STACK,
    BLOCK = const BLOCK,
    SCRIPT = const SCRIPT,
    SHARED = const SHARED,
    AT = const AT,
    LIST = const LIST,
    COMMAND = const COMMAND,
    EAX = const EAX,
    EBX = const EBX,
    TRAP = const TRAP,
    PEEK = const PEEK,
    POKE = const POKE,
    FRAME = const FRAME,
    FRAME_WORDS = const FRAME_WORDS,
    UPCALLS = const UPCALLS,
    ESP = const ESP,
    TRAPS = const TRAPS,
    LAST = const LAST,
    PENDING = const offset::EVTCHN_UPCALL_PENDING,
    MASK = const offset::EVTCHN_UPCALL_MASK,
    SELECTOR = const offset::EVTCHN_PENDING_SEL,
    FLAT = const Selector::FLAT_RING1_DS.raw(),
);

unsafe extern "C" {
    safe fn test_puppet();
    safe fn test_puppet_stubs();
    safe fn test_puppet_event();
    safe fn test_puppet_end();
}

/// Where, in a puppet, something of the code above is.
fn in_puppet(what: unsafe extern "C" fn()) -> u32 {
    CODE + (what as usize - test_puppet as *const () as usize) as u32
}

/// A puppet's handler of trap `number`.
pub fn handler(number: u32) -> u32 {
    in_puppet(test_puppet_stubs) + 8 * number
}

/// Its code as words, for the page [`crate::small_domain::CODE`].
///
/// # Panics
/// Never: the array is long enough.
pub fn code() -> [u64; WORDS_OF_CODE] {
    let (start, end) = (
        test_puppet as *const () as u32,
        test_puppet_end as *const () as u32,
    );
    assert!(end - start <= 8 * WORDS_OF_CODE as u32, "a longer array");
    core::array::from_fn(|n| {
        let at = start + 8 * n as u32;
        u64::from(peek32(at)) | u64::from(peek32(at + 4)) << 32
    })
}

/// The context it begins with: a handler for every exception, callbacks, a stack.
pub fn first_context(frames: &[Mfn; PAGES as usize]) -> CpuContext {
    let mut first = context(frames);
    let at = |eip| Callback {
        cs: Selector::FLAT_RING1_CS,
        pad: 0,
        eip,
    };
    first.event_callback = at(in_puppet(test_puppet_event));
    first.failsafe_callback = at(handler(FAILSAFE));
    for vector in 0..FAILSAFE {
        first.trap_table[vector as usize] = gate(vector as u8, vector);
    }
    first
}

/// The first entries of its L1: its tables to be read, its page for ring 3, and behind its frames its shared page.
pub fn entries(frames: &[Mfn; PAGES as usize], shared_frame: Mfn) -> [u64; PAGES as usize + 1] {
    core::array::from_fn(|n| {
        let (frame, flags) = match n {
            0..3 => (frames[n], READ_ONLY),
            7 => (frames[n], WRITABLE | PteFlags::USER),
            8 => (shared_frame, WRITABLE),
            _ => (frames[n], WRITABLE),
        };
        Pte::new(frame, flags).raw()
    })
}

/// A gate that ring 3 may use to the handler of trap `number`.
pub fn gate(vector: u8, number: u32) -> TrapInfo {
    TrapInfo {
        vector,
        flags: TrapFlags::with_dpl(3),
        cs: Selector::FLAT_RING1_CS,
        address: handler(number),
    }
}

/// Scripts: functions of assembly that return, in which `words`, `data_page`, `user_page` and `shared_page` are addresses.
#[macro_export]
macro_rules! scripts {
    ($($(#[$meta:meta])* $name:ident: $($line:literal),+;)+) => { $(
        $(#[$meta])*
        #[unsafe(naked)]
        extern "C" fn $name() {
            core::arch::naked_asm!(
                ".set words, {words}",
                ".set data_page, {data}",
                ".set user_page, {user}",
                ".set shared_page, {shared}",
                $($line,)+
                "ret",
                words = const $crate::puppet::WORDS,
                data = const $crate::puppet::DATA,
                user = const $crate::puppet::USER,
                shared = const $crate::puppet::SHARED,
            )
        }
    )+ };
}
