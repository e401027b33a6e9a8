//! A second domain that does what it is told: it makes calls, reads and writes, one command after the other from a list in a
//! page that both have. What it may not do it notes; a page fault is its answer, not its end.
//!
//! It is a [`small_domain`] with this code, a page-fault handler and an event callback. Waiting for work it
//! yields. Its kernel stack is the rest of its code page.

use core::arch::global_asm;

use guest_abi::addr::{Mfn, PAGE_SIZE};
use guest_abi::domain::DomId;
use guest_abi::domctl::DomainFlags;
use guest_abi::grant_table::{
    CopyEnd, GrantCmd, GrantFlags, GrantStatus, MapFlags, MapGrantRef, SetupTable, UnmapGrantRef,
};
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Pte, UvmFlags};
use guest_abi::segment::Selector;
use guest_abi::trap::{TrapInfo, Vector};
use guest_abi::vcpu::CpuContext;
use mini_guest::hypercall;
use zerocopy::{FromBytes, IntoBytes};

use crate::grants::{map_record, setup_record, unmap_record};
use crate::pages::{Page, WRITABLE, peek32, poke32};
use crate::small_domain::{self, BASE, CODE, PAGES};
use crate::{check, check_eq};

/// Its frame that both have, and frames of its own that nothing lies in.
pub const MAIL: usize = 4;
/// The first of those.
pub const SPARE: usize = 5;
/// Where the common page is in it.
pub const MAIL_AT: u32 = BASE + MAIL as u32 * PAGE_SIZE as u32;
/// Where records for calls can lie in it.
pub const RECORDS: u32 = MAIL_AT + LIST_END;
/// The first page of its address space where nothing is mapped.
pub const FREE_AT: u32 = BASE + PAGES * PAGE_SIZE as u32;
/// Where it maps its grant table.
pub const TABLE_AT: u32 = BASE + 500 * PAGE_SIZE as u32;
const LIST_END: u32 = 2048;
const COMMAND: u32 = 32;
/// Commands of one list.
pub const MAX_COMMANDS: usize = (LIST_END / COMMAND - 2) as usize;
const CALL: u32 = 1 << 16;
const PEEK: u32 = 2 << 8;
const POKE: u32 = 3 << 8;
/// Looks at its mailbox, a yield each, before it counts as stuck.
const PATIENCE: u32 = 1_000_000;

global_asm!(
    r#"
        .section .rodata.test_agent, "a", @progbits
        .globl  test_agent, test_agent_fault, test_agent_event, test_agent_end
test_agent:
        movl    ${MAIL_AT}, %esi
1:      cmpl    $0, (%esi)
        jne     2f
        movl    $6, %eax
        xorl    %ebx, %ebx
        int     $0x82
        jmp     test_agent
2:      leal    {COMMAND}(%esi), %edi
3:      movl    (%edi), %eax
        testl   %eax, %eax
        jz      9f
        movl    4(%edi), %ebx
        cmpb    $2, %ah
        je      5f
        cmpb    $3, %ah
        je      6f
        movzbl  %al, %eax
        movl    8(%edi), %ecx
        movl    12(%edi), %edx
        movl    %edi, %ebp
        movl    16(%ebp), %esi
        movl    20(%ebp), %edi
        int     $0x82
        movl    %ebp, %edi
        jmp     7f
5:      movl    (%ebx), %eax
        jmp     7f
6:      movl    8(%edi), %ecx
        movl    %ecx, (%ebx)
        xorl    %eax, %eax
7:      movl    %eax, 24(%edi)
8:      addl    ${COMMAND}, %edi
        jmp     3b
9:      movl    ${MAIL_AT}, %esi
        movl    $0, (%esi)
        jmp     1b
# CR2 and the error code lie below the return address.
test_agent_fault:
        addl    $8, %esp
        movl    $1, 28(%edi)
        movl    $(8b - test_agent + {CODE_AT}), (%esp)
        iret
test_agent_event:
        iret
test_agent_end:
        .text
    "#,
    MAIL_AT = const MAIL_AT,
    COMMAND = const COMMAND,
    CODE_AT = const CODE_AT,
    options(att_syntax),
);

unsafe extern "C" {
    safe static test_agent: u8;
    safe static test_agent_fault: u8;
    safe static test_agent_event: u8;
    safe static test_agent_end: u8;
}

const CODE_AT: u32 = BASE + CODE as u32 * PAGE_SIZE as u32;
const CODE_WORDS: usize = 32;

fn address(symbol: &u8) -> u32 {
    core::ptr::from_ref(symbol) as u32
}

/// Where it is in the domain what here is at `symbol`.
fn there(symbol: &u8) -> u32 {
    address(symbol) - address(&test_agent) + CODE_AT
}

/// The code, in words.
pub fn code() -> [u64; CODE_WORDS] {
    let len = address(&test_agent_end) - address(&test_agent);
    check!(len as usize <= CODE_WORDS * 8);
    // What lies behind it is not executed.
    core::array::from_fn(|n| {
        let byte = |at: u32| {
            if at < len {
                u64::from(
                    peek32((address(&test_agent) + at) & !3) >> ((address(&test_agent) + at) % 4 * 8) & 0xFF,
                )
            } else {
                0
            }
        };
        (0..8).fold(0, |word, k| word | byte(n as u32 * 8 + k) << (8 * k))
    })
}

/// It died, or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A command: what, up to five arguments.
pub type Command = [u32; 6];

/// "Make that call."
pub fn to_call(number: CallNumber, arguments: &[u32]) -> Command {
    let mut command = [0; 6];
    command[0] = CALL | number.raw();
    command[1..=arguments.len()].copy_from_slice(arguments);
    command
}

/// "Write that word."
pub const fn poke(at: u32, value: u32) -> Command {
    [POKE, at, value, 0, 0, 0]
}

/// Such a domain.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    /// Its number.
    pub id: DomId,
    /// Its frames.
    pub frames: [Mfn; PAGES as usize],
    /// The common page, here.
    mail: Page,
}

impl Agent {
    /// A domain that waits for its first command. `window` and `mail` are pages of nobody's here; the second goes on showing the
    /// common page.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn start(window: Page, mail: Page) -> Self {
        let id = small_domain::create(PAGES).expect("memory for a small domain");
        let frames = small_domain::frames(id);
        Self::build(id, frames, window);
        Self::show(id, frames, mail)
    }

    /// Writes its memory and gives it its first context. It is paused.
    ///
    /// # Panics
    /// Where it cannot be built.
    pub fn build(id: DomId, frames: [Mfn; PAGES as usize], window: Page) {
        small_domain::fill(window, id, &frames, &code());
        check_eq!(small_domain::build(id, &Self::context(&frames)), Ok(()));
    }

    /// Its first context.
    pub fn context(frames: &[Mfn; PAGES as usize]) -> CpuContext {
        let mut context = small_domain::context(frames);
        context.event_callback.eip = there(&test_agent_event);
        context.trap_table[usize::from(Vector::PAGE_FAULT.raw())] = TrapInfo {
            vector: Vector::PAGE_FAULT.raw(),
            cs: Selector::FLAT_RING1_CS,
            address: there(&test_agent_fault),
            ..TrapInfo::default()
        };
        context
    }

    /// Shows its common page, and lets it run.
    pub fn show(id: DomId, frames: [Mfn; PAGES as usize], mail: Page) -> Self {
        small_domain::show(mail, id, frames[MAIL]);
        mail.fill(0);
        check_eq!(small_domain::unpause(id), Ok(()));
        Self { id, frames, mail }
    }

    /// Whether it has done all that it was told.
    pub fn is_idle(self) -> bool {
        peek32(self.mail.0) == 0
    }

    /// Whether it is there and can run.
    pub fn lives(self) -> bool {
        let dead = DomainFlags::DYING | DomainFlags::CRASHED | DomainFlags::SHUTDOWN;
        small_domain::info(self.id).is_ok_and(|info| !info.flags.intersects(dead))
    }

    /// Tells it to do `commands`, and does not wait.
    pub fn tell(self, commands: &[Command]) {
        assert!(commands.len() <= MAX_COMMANDS, "a page is a page");
        for (n, command) in (1..).zip(commands) {
            let at = self.mail.0 + n * COMMAND;
            for (k, &word) in (0..).zip(command) {
                poke32(at + 4 * k, word);
            }
            poke32(at + 24, 0);
            poke32(at + 28, 0);
        }
        poke32(self.mail.0 + (commands.len() as u32 + 1) * COMMAND, 0);
        poke32(self.mail.0, 1);
    }

    /// Waits until it has done them.
    ///
    /// # Errors
    /// It never will.
    pub fn wait(self) -> Result<(), Gone> {
        for n in 0..PATIENCE {
            if self.is_idle() {
                return Ok(());
            }
            hypercall::yield_now().expect("yield");
            if n % 64 == 63 && !self.lives() {
                break;
            }
        }
        Err(Gone)
    }

    /// The answer to command `n` of the list: EAX, or what was read. `None`: a page fault.
    pub fn answer(self, n: u32) -> Option<u32> {
        let at = self.mail.0 + (n + 1) * COMMAND;
        (peek32(at + 28) == 0).then(|| peek32(at + 24))
    }

    fn one(self, command: Command) -> Option<u32> {
        self.tell(&[command]);
        check_eq!(self.wait(), Ok(()), "{}", self.id);
        self.answer(0)
    }

    /// Has it make a call, and gives its EAX.
    pub fn call(self, number: CallNumber, arguments: &[u32]) -> u32 {
        let answer = self.one(to_call(number, arguments));
        answer.expect("a call does not fault")
    }

    /// Has it read a word.
    pub fn peek(self, at: u32) -> Option<u32> {
        self.one([PEEK, at, 0, 0, 0, 0])
    }

    /// Has it write a word; whether that was possible.
    pub fn poke(self, at: u32, value: u32) -> bool {
        self.one([POKE, at, value, 0, 0, 0]).is_some()
    }

    /// Has it map something at `at`.
    pub fn map_page(self, at: u32, entry: Pte) -> u32 {
        let raw = entry.raw();
        self.call(
            CallNumber::UPDATE_VA_MAPPING,
            &[at >> 12, raw as u32, (raw >> 32) as u32, UvmFlags::INVLPG.bits()],
        )
    }

    /// Writes a record for a call into the common page, and says where it is in the domain.
    pub fn put<T: IntoBytes + zerocopy::Immutable>(self, record: &T) -> u32 {
        for (n, word) in (0..).zip(record.as_bytes().chunks_exact(4)) {
            let word = u32::from_le_bytes(word.try_into().expect("four bytes"));
            poke32(self.mail.0 + LIST_END + 4 * n, word);
        }
        RECORDS
    }

    /// Reads it back.
    pub fn get<T: FromBytes + IntoBytes>(self) -> T {
        let mut record = T::new_zeroed();
        for (n, word) in (0..).zip(record.as_mut_bytes().chunks_exact_mut(4)) {
            word.copy_from_slice(&peek32(self.mail.0 + LIST_END + 4 * n).to_le_bytes());
        }
        record
    }

    /// Has it do one record of call 20.
    pub fn grant<T: IntoBytes + FromBytes + zerocopy::Immutable>(self, command: GrantCmd, record: &T) -> T {
        let at = self.put(record);
        let answer = self.call(CallNumber::GRANT_TABLE_OP, &[command.raw(), at, 1]);
        check_eq!(answer, 0, "the call itself");
        self.get()
    }

    /// Has it set its grant table up and map it.
    pub fn set_up_table(self) -> Self {
        const LIST: u32 = RECORDS + 64;
        let done: SetupTable = self.grant(GrantCmd::SETUP_TABLE, &setup_record(1, LIST));
        check_eq!(done.status, GrantStatus::OKAY);
        let frame = Mfn::new(peek32(self.mail.0 + LIST_END + 64));
        check_eq!(self.map_page(TABLE_AT, Pte::new(frame, WRITABLE)), 0);
        self
    }

    /// Has it grant `frame` to `to`.
    pub fn publish(self, reference: u32, to: DomId, frame: Mfn, flags: GrantFlags) {
        let at = TABLE_AT + 8 * reference;
        self.tell(&[
            [POKE, at + 4, frame.raw(), 0, 0, 0],
            [
                POKE,
                at,
                u32::from(flags.bits()) | u32::from(to.raw()) << 16,
                0,
                0,
                0,
            ],
        ]);
        check_eq!(self.wait(), Ok(()));
        check!(self.answer(0).is_some() && self.answer(1).is_some());
    }

    /// The flags of an entry of its, as it sees them.
    pub fn flags(self, reference: u32) -> GrantFlags {
        let word = self.peek(TABLE_AT + 8 * reference).expect("its table is mapped");
        GrantFlags::from_bits_retain(word as u16)
    }

    /// The frame of an entry of its.
    pub fn granted_frame(self, reference: u32) -> Mfn {
        let word = self.peek(TABLE_AT + 8 * reference + 4);
        Mfn::new(word.expect("its table is mapped"))
    }

    /// Has it map another's grant.
    pub fn map(self, dom: DomId, reference: u32, at: u32, flags: MapFlags) -> MapGrantRef {
        self.grant(
            GrantCmd::MAP_GRANT_REF,
            &map_record(dom, reference, at, flags | MapFlags::HOST_MAP),
        )
    }

    /// Has it give that back.
    pub fn unmap(self, handle: u32, at: u32) -> GrantStatus {
        let done: UnmapGrantRef = self.grant(GrantCmd::UNMAP_GRANT_REF, &unmap_record(handle, at));
        done.status
    }
}

/// An end of a copy: a reference of `domid`, or a frame.
pub const fn end(domid: DomId, ref_or_frame: u32, offset: u16) -> CopyEnd {
    CopyEnd {
        ref_or_frame,
        domid,
        offset,
    }
}
