//! Nobody takes Domain0 from under the others: it cannot destroy or pause itself, and no other domain is asked at all.
//!
//! The other domain makes the call with a good block and gives its answer as the reason of its shutdown.
#![no_std]
#![no_main]

use guest_abi::domain::DomId;
use guest_abi::domctl::{DestroyDomain, Dom0Args, Dom0Op, DomainFlags, PauseDomain};
use guest_abi::errno::Errno;
use guest_abi::sched::{SchedCmd, ShutdownReason, pack};
use guest_abi::start_info::StartInfo;
use test_guests::pages::Page;
use test_guests::small_domain::{create, destroy, ended, free_pages, info, op, pause, unpause, with_code};
use test_guests::tables::Space;
use test_guests::{check, check_eq, guest_abi, report};
use zerocopy::IntoBytes;

test_guests::entry!(main);

/// Words of code before the block.
const CODE_WORDS: usize = 4;
const BLOCK_WORDS: usize = size_of::<Dom0Op>() / 8;

fn main(start_info: &'static StartInfo) -> ! {
    Space::new(start_info);
    let window = Page::take();
    let free = free_pages();
    check_eq!(destroy(DomId::DOM0), Err(Errno::Inval));
    check_eq!(pause(DomId::DOM0), Err(Errno::Inval));
    // Even under a number that is free, there is nothing to be built anew as Domain0.
    check_eq!(create(1).map(|id| id == DomId::DOM0), Ok(false));
    check_eq!(destroy(DomId::new(1)), Ok(()));
    for answer in [
        asked_by_another(
            window,
            &DestroyDomain {
                domain: DomId::DOM0,
                pad: 0,
            },
        ),
        asked_by_another(
            window,
            &PauseDomain {
                domain: DomId::DOM0,
                pad: 0,
            },
        ),
    ] {
        check_eq!(answer, Errno::Perm as u8);
    }
    check!(
        info(DomId::DOM0).is_ok_and(|info| info.domain == DomId::DOM0 && info.flags == DomainFlags::RUNNING)
    );
    check_eq!(free_pages(), free);
    report::success()
}

/// What a new domain is answered, without its sign.
fn asked_by_another<A: Dom0Args>(window: Page, args: &A) -> u8 {
    let id = with_code(window, &program(&Dom0Op::new(args)));
    check_eq!(unpause(id), Ok(()));
    let flags = ended(id);
    let answer =
        (0..=u8::MAX).find(|&reason| flags == DomainFlags::SHUTDOWN.with(0, ShutdownReason::new(reason)));
    check!(answer.is_some(), "{flags:?}");
    check_eq!(op(&DestroyDomain { domain: id, pad: 0 }).map(drop), Ok(()));
    answer.unwrap_or(0)
}

/// `lea ebx, [block]; mov eax, 7; int 0x82; neg eax; mov ah, al; mov al, shutdown; movzx ebx, ax; mov eax, 6; int 0x82; jmp $`
fn program(block: &Dom0Op) -> [u64; CODE_WORDS + BLOCK_WORDS] {
    // The block lies behind the code in the same page; ESP is the page's end.
    let below_end = (4096 - 8 * CODE_WORDS as u32).wrapping_neg().to_le_bytes();
    let mut code = [0x90_u8; 8 * CODE_WORDS];
    let parts: [&[u8]; 8] = [
        &[0x8D, 0x9C, 0x24],
        &below_end,
        &[0xB8, 7, 0, 0, 0, 0xCD, 0x82],
        &[0xF7, 0xD8],
        &[0x88, 0xC4, 0xB0, pack(SchedCmd::SHUTDOWN) as u8],
        &[0x0F, 0xB7, 0xD8],
        &[0xB8, 6, 0, 0, 0, 0xCD, 0x82],
        &[0xEB, 0xFE],
    ];
    let mut bytes = code.iter_mut();
    for &byte in parts.into_iter().flatten() {
        *bytes.next().expect("room for the code") = byte;
    }
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    core::array::from_fn(|n| match n.checked_sub(CODE_WORDS) {
        None => word(&code[8 * n..8 * n + 8]),
        Some(n) => word(&block.as_bytes()[8 * n..8 * n + 8]),
    })
}
