//! The failsafe callback: ring 1 runs in a code segment of its own, and makes a call that spoils that segment. The return
//! faults, and the kernel is told instead of being killed.
//!
//! A page of the LDT that is only not mapped yet is no such case: the return is tried again.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_abi::addr::GuestVirt;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::segment::{Descriptor, DescriptorFlags, Selector, segment_type};
use guest_abi::start_info::StartInfo;
use mini_guest::shared;
use test_guests::pages::Page;
use test_guests::tables::{Space, extended};
use test_guests::{check_eq, guest_abi, hypercall, probe, report};

test_guests::entry!(main);

/// What the callback saw: the data selectors in the processor, the seven words of its frame, and how often it was entered.
static SEEN: [AtomicU32; 12] = [const { AtomicU32::new(0) }; 12];
const COUNT: usize = 11;

global_asm!(
    r#"
        .section .text.test_failsafe, "ax", @progbits
/* Notes, then goes on at the interrupted place in the flat segment. */
        .globl  test_failsafe
test_failsafe:
        push    eax
        .set    place, 0
        .irp    segment, ds, es, fs, gs
        mov     eax, \segment
        mov     ss:[{SEEN} + place], eax
        .set    place, place + 4
        .endr
        .irp    n, 0, 4, 8, 12, 16, 20, 24
        mov     eax, [esp + 4 + \n]
        mov     ss:[{SEEN} + 16 + \n], eax
        .endr
        inc     dword ptr ss:[{SEEN} + 44]
        mov     eax, {DATA}
        mov     ds, eax
        mov     es, eax
        pop     eax
        lea     esp, [esp + 16]
        mov     dword ptr [esp + 4], {CODE}
        iretd

/* fn test_call_from(selector, call, arguments: *const [u32; 5]) -> eax: makes a call in another code segment. */
        .globl  test_call_from
test_call_from:
        push    ebp
        push    ebx
        push    esi
        push    edi
        mov     eax, [esp + 20]
        mov     ebp, [esp + 24]
        mov     edx, [esp + 28]
        mov     ebx, [edx]
        mov     ecx, [edx + 4]
        mov     esi, [edx + 12]
        mov     edi, [edx + 16]
        mov     edx, [edx + 8]
        push    eax
        mov     eax, offset test_call_inside
        push    eax
        mov     eax, ebp
        retf
        .globl  test_call_inside
test_call_inside:
        int     0x82
        .globl  test_call_behind
test_call_behind:
        mov     ecx, {CODE}
        push    ecx
        mov     ecx, offset test_call_back
        push    ecx
        retf
        .globl  test_call_back
test_call_back:
        pop     edi
        pop     esi
        pop     ebx
        pop     ebp
        ret
    "#,
    SEEN = sym SEEN,
    DATA = const Selector::FLAT_RING1_DS.raw(),
    CODE = const Selector::FLAT_RING1_CS.raw(),
);

unsafe extern "C" {
    safe fn test_failsafe();
    safe fn test_call_behind();
    fn test_call_from(selector: u32, call: u32, arguments: *const [u32; 5]) -> u32;
}

/// Entry of the code segment, and of a data segment that FS names.
const CODE_ENTRY: u16 = 3;
const DATA_ENTRY: u16 = 4;

fn segment(kind: u8) -> Descriptor {
    Descriptor::from_fields(0, 0xF_FFFF, kind, 1, DescriptorFlags::ORDINARY)
}

/// Makes a call in segment `selector`, with FS in a segment of its own; gives EAX and how often the callback was entered.
fn call_in(selector: Selector, call: CallNumber, arguments: [u32; 5]) -> (u32, u32) {
    let before = SEEN[COUNT].load(Relaxed);
    let fs = u32::from(Selector::gdt(DATA_ENTRY, 1).raw());
    // SAFETY: FS is nobody's; both descriptors are good.
    unsafe { asm!("mov fs, {0:e}", in(reg) fs) };
    // SAFETY: the routine comes back by itself or by the callback.
    let eax = unsafe { test_call_from(selector.raw().into(), call.raw(), &raw const arguments) };
    // SAFETY: as above.
    unsafe { asm!("mov fs, {0:e}", in(reg) 0) };
    (eax, SEEN[COUNT].load(Relaxed) - before)
}

/// The callback was entered once, with the frame of a return that failed.
#[track_caller]
fn told(found: (u32, u32), selector: Selector, what: &str) {
    check_eq!(found, (0, 1), "{what}: EAX, and times the callback was entered");
    let seen: [u32; 11] = core::array::from_fn(|n| SEEN[n].load(Relaxed));
    let data = u32::from(Selector::FLAT_RING1_DS.raw());
    let fs = u32::from(Selector::gdt(DATA_ENTRY, 1).raw());
    check_eq!(
        seen[..4],
        [0; 4],
        "{what}: the processor's data selectors are null"
    );
    check_eq!(
        seen[4..7],
        [data, data, fs],
        "{what}: DS, ES and FS before the call"
    );
    let place = test_call_behind as *const () as u32;
    check_eq!(
        seen[8..10],
        [place, selector.raw().into()],
        "{what}: where it would go on"
    );
    check_eq!(seen[10] & 0x7202, 0x202, "{what}: flags {:#x}", seen[10]);
    check_eq!(
        shared::upcall_mask().load(Relaxed),
        1,
        "{what}: the event mask stays"
    );
}

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    shared::upcall_mask().store(1, Relaxed);
    let flat = Selector::FLAT_RING1_CS;
    check_eq!(
        hypercall::set_callbacks(
            (flat, probe::address()),
            (flat, test_failsafe as *const () as u32)
        ),
        Ok(())
    );
    let (gdt, empty) = (Page::take(), Page::take());
    let code = segment(segment_type::CODE | segment_type::WRITABLE);
    gdt.write(CODE_ENTRY.into(), code.raw());
    for table in [gdt, empty] {
        table.write(DATA_ENTRY.into(), segment(segment_type::WRITABLE).raw());
        table.protect();
    }
    let whole = || check_eq!(hypercall::set_gdt(&[gdt.mfn()], 512), Ok(()));
    whole();
    let selector = Selector::gdt(CODE_ENTRY, 1);
    check_eq!(
        call_in(selector, CallNumber::XEN_VERSION, [0; 5]),
        (0x0002_0000, 0),
        "a call that spoils nothing"
    );

    let at = gdt.entry_addr(CODE_ENTRY.into());
    let absent = Descriptor::new(code.raw() & !(1 << 47));
    for (descriptor, what) in [
        (absent, "a segment that is not present"),
        (Descriptor::new(0), "no segment at all"),
        (segment(segment_type::WRITABLE), "a data segment"),
        (
            Descriptor::from_fields(
                0,
                0xF_FFFF,
                segment_type::CODE | segment_type::WRITABLE,
                3,
                DescriptorFlags::ORDINARY,
            ),
            "ring 3's code",
        ),
    ] {
        let (at_low, at_high) = (at.raw() as u32, (at.raw() >> 32) as u32);
        let (low, high) = descriptor.low_high();
        let found = call_in(
            selector,
            CallNumber::UPDATE_DESCRIPTOR,
            [at_low, at_high, low, high, 0],
        );
        told(found, selector, what);
        // SAFETY: a slot of our own table.
        check_eq!(unsafe { hypercall::update_descriptor(at, code) }, Ok(()));
    }
    let frames = [empty.mfn()];
    let found = call_in(
        selector,
        CallNumber::SET_GDT,
        [frames.as_ptr() as u32, 512, 0, 0, 0],
    );
    told(found, selector, "another table");
    whole();
    local(gdt);
    report::success()
}

/// A code segment in the LDT. `table` is a page that is good as one.
fn local(table: Page) {
    let selector = Selector::new(CODE_ENTRY << 3 | 4 | 1);
    let ldt = |base, entries| Extended::SetLdt {
        base: GuestVirt::new(base),
        entries,
    };
    check_eq!(extended(ldt(table.0, 512)), Ok(()));
    let set = |request: Extended| {
        let request = MmuUpdate::extended(request);
        call_in(
            selector,
            CallNumber::MMU_UPDATE,
            [&raw const request as u32, 1, 0, 0, 0],
        )
    };
    check_eq!(set(ldt(table.0, 512)), (0, 0), "the same table, mapped on demand");
    told(set(ldt(0, 0)), selector, "no LDT");
}
