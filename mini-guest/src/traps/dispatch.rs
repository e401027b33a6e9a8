//! Who gets which entry, and the faults of the way back.

use core::arch::global_asm;
use core::cell::{Cell, UnsafeCell};
use core::mem::{offset_of, size_of};
use core::ptr;

use guest_abi::errno::Errno;
use guest_abi::segment::Selector;
use guest_abi::trap::{SYSCALL_VECTOR, TrapFlags, TrapInfo, Vector};

use super::catch;
use super::frame::{Cause, EVENT, FAILSAFE, Regs, TrapFrame};
use crate::cell::OneCpu;
use crate::shared::{MASK_OFFSET, PENDING_OFFSET, SHARED_PAGE};
use crate::{hypercall, report, usercopy};

/// Bytes of the kernel stack, without its guard page.
pub const STACK_SIZE: usize = 64 * 1024;
/// Offset of the interrupted program's frame in the stack.
const FRAME_BASE: usize = STACK_SIZE - size_of::<TrapFrame>();

/// A stack with its guard page below.
#[repr(C, align(4096))]
pub struct KernelStack {
    guard: [u8; 4096],
    bytes: UnsafeCell<[u8; STACK_SIZE]>,
}

// SAFETY: the one processor of this domain uses it as its stack; nothing else refers to the bytes.
unsafe impl Sync for KernelStack {}

/// The kernel's only stack.
#[unsafe(link_section = ".bss.pages")]
pub static KERNEL_STACK: KernelStack = KernelStack {
    guard: [0; 4096],
    bytes: UnsafeCell::new([0; STACK_SIZE]),
};

impl KernelStack {
    /// Address of the guard page.
    #[must_use]
    pub fn guard_page(&self) -> u32 {
        ptr::from_ref(&self.guard) as u32
    }

    /// The address just above the stack: where it starts growing down.
    #[must_use]
    pub fn top(&self) -> u32 {
        self.bytes.get() as u32 + STACK_SIZE as u32
    }
}

global_asm!(
    include_str!("entry.S"),
    EVENT = const EVENT,
    FAILSAFE = const FAILSAFE,
    KERNEL_DS = const Selector::FLAT_RING1_DS.raw(),
    SHARED = sym SHARED_PAGE,
    MASK_OFFSET = const MASK_OFFSET,
    PENDING_OFFSET = const PENDING_OFFSET,
    STACK = sym KERNEL_STACK,
    FRAME_BASE = const offset_of!(KernelStack, bytes) + FRAME_BASE,
);

unsafe extern "C" {
    safe static mini_guest_vector_table: [VectorEntry; 32];
    safe fn mini_guest_upcall();
    safe fn mini_guest_failsafe();
    safe fn mini_guest_exit_start();
    safe fn mini_guest_exit_end();
    safe fn mini_guest_exit_iret();
    safe fn mini_guest_exit_restart();
    safe fn mini_guest_load_gs();
    safe fn mini_guest_load_fs();
    safe fn mini_guest_load_es();
    safe fn mini_guest_load_ds();
}

/// A line of the assembly's table: a vector and its entry, ended by an address of 0.
#[repr(C)]
struct VectorEntry {
    vector: u32,
    address: u32,
}

/// Called for every entry from ring 3, with events masked. It may change the frame: what is in it when the handler
/// returns is what runs next.
pub type UserHandler = fn(&mut TrapFrame, Cause);
/// Called for a trap in the kernel itself.
pub type KernelHandler = fn(&mut Regs);

static USER_HANDLER: OneCpu<Cell<UserHandler>> = OneCpu::new(Cell::new(no_user_handler));
static KERNEL_HANDLERS: OneCpu<[Cell<Option<KernelHandler>>; 32]> =
    OneCpu::new([const { Cell::new(None) }; 32]);
static KERNEL_EVENT_HANDLER: OneCpu<Cell<Option<KernelHandler>>> = OneCpu::new(Cell::new(None));

fn no_user_handler(frame: &mut TrapFrame, cause: Cause) {
    report::broken(format_args!(
        "{cause:?} from ring 3 and nobody to handle it\n{frame}"
    ));
}

/// Installs the trap table, the callbacks and the ring-1 stack; the fast trap for system calls is armed
/// separately ([`arm_fast_syscall`]).
///
/// # Errors
/// What a call refused.
pub fn init() -> Result<(), Errno> {
    let mut table = [TrapInfo::default(); 32];
    for (slot, entry) in table.iter_mut().zip(
        mini_guest_vector_table
            .iter()
            .take_while(|entry| entry.address != 0),
    ) {
        let vector = u8::try_from(entry.vector).map_err(|_| Errno::Inval)?;
        let dpl = match vector {
            SYSCALL_VECTOR => 3,
            _ if [Vector::BREAKPOINT, Vector::OVERFLOW].contains(&Vector::new(vector)) => 3,
            _ => 0,
        };
        // The fast trap is a gate of the processor's own and cannot mask events.
        let mask = if vector == SYSCALL_VECTOR {
            TrapFlags::empty()
        } else {
            TrapFlags::MASK_EVENTS
        };
        *slot = TrapInfo {
            vector,
            flags: TrapFlags::with_dpl(dpl) | mask,
            cs: Selector::FLAT_RING1_CS,
            address: entry.address,
        };
    }
    hypercall::stack_switch(Selector::FLAT_RING1_DS, KERNEL_STACK.top())?;
    hypercall::set_trap_table(&table)?;
    hypercall::set_callbacks(
        (Selector::FLAT_RING1_CS, mini_guest_upcall as *const () as u32),
        (Selector::FLAT_RING1_CS, mini_guest_failsafe as *const () as u32),
    )
}

/// Lets `int 0x80` of ring 3 go to its handler by the shortest way.
///
/// # Errors
/// What the call refused.
pub fn arm_fast_syscall() -> Result<(), Errno> {
    hypercall::set_fast_trap(SYSCALL_VECTOR)
}

/// Says who handles entries from ring 3.
pub fn set_user_handler(handler: UserHandler) {
    USER_HANDLER.set(handler);
}

/// Says who handles exception `vector` (below 32) in the kernel itself; `None` makes it fatal again. Gives the old one.
///
/// # Panics
/// With a vector of 32 or more.
pub fn set_kernel_handler(vector: Vector, handler: Option<KernelHandler>) -> Option<KernelHandler> {
    KERNEL_HANDLERS[usize::from(vector.raw())].replace(handler)
}

/// Says who is told of an event callback that interrupted ring 1. It is entered with events masked, and they stay so.
pub fn set_kernel_event_handler(handler: Option<KernelHandler>) {
    KERNEL_EVENT_HANDLER.set(handler);
}

/// Leaves the kernel for ring 3 with these registers. Whatever the kernel stack held is gone.
pub fn enter_user(frame: &TrapFrame) -> ! {
    unsafe extern "C" {
        fn mini_guest_enter_user(frame: *const TrapFrame) -> !;
    }
    // SAFETY: the routine copies the frame to the top of the kernel stack and takes the way back to ring 3, which
    // recovers from any selector or address that the frame may name.
    unsafe { mini_guest_enter_user(frame) }
}

/// The frame of the interrupted program, where the exit path will read it.
fn user_frame() -> *mut TrapFrame {
    (KERNEL_STACK.top() - size_of::<TrapFrame>() as u32) as *mut TrapFrame
}

/// Every entry arrives here with its registers and its cause (which is not the saved vector when the way back to
/// ring 3 found an event pending).
///
/// # Safety
/// Called by `entry.S` alone: `regs` is what it saved, within a [`TrapFrame`] if the entry was from ring 3.
#[unsafe(no_mangle)]
unsafe extern "C" fn mini_guest_trap(regs: *mut Regs, cause: u32) {
    // SAFETY: `entry.S` saved the words just now, and nothing else refers to them.
    let from_user = unsafe { (*regs).cs } & 2 != 0;
    match (Cause::from_raw(cause), from_user) {
        // SAFETY: from ring 3 the whole frame is there; exclusive for the same reason as above.
        (Some(cause), true) => USER_HANDLER.get()(unsafe { &mut *regs.cast() }, cause),
        // SAFETY: as above.
        (Some(cause), false) => kernel_trap(unsafe { &mut *regs }, cause),
        (None, _) => report::broken(format_args!("entry with cause {cause:#x}")),
    }
}

fn kernel_trap(regs: &mut Regs, cause: Cause) {
    let vector = match cause {
        // Of a failsafe in ring 1 nothing need be done: it is the program's FS or GS that could not be loaded when the
        // domain ran again; they are in its frame and tried once more on the way back.
        Cause::Failsafe => return,
        Cause::Event => {
            if let Some(handler) = KERNEL_EVENT_HANDLER.get() {
                handler(regs);
            }
            return;
        }
        Cause::Vector(vector) => vector,
    };
    if exit_fault(regs, vector) || usercopy::recover(regs) || catch::recover(regs, vector) {
        return;
    }
    match KERNEL_HANDLERS.get(usize::from(vector)).and_then(Cell::get) {
        Some(handler) => handler(regs),
        None => report::broken(format_args!(
            "trap {vector} ({}) in the kernel\n{regs}",
            Vector::new(vector)
        )),
    }
}

/// A fault on the way back to ring 3: corrects the program's frame, has the way done again and says `true`.
fn exit_fault(regs: &mut Regs, vector: u8) -> bool {
    let address = |label: unsafe extern "C" fn()| label as *const () as u32;
    if !(address(mini_guest_exit_start)..address(mini_guest_exit_end)).contains(&regs.eip) {
        return false;
    }
    if regs.eip == address(mini_guest_exit_iret) {
        unreturnable(regs, vector);
    }
    let fields = [
        (mini_guest_load_gs as *const (), offset_of!(Regs, gs)),
        (mini_guest_load_fs as *const (), offset_of!(Regs, fs)),
        (mini_guest_load_es as *const (), offset_of!(Regs, es)),
        (mini_guest_load_ds as *const (), offset_of!(Regs, ds)),
    ];
    let Some((_, offset)) = fields.into_iter().find(|(label, _)| *label as u32 == regs.eip) else {
        return false;
    };
    // SAFETY: the exit path runs only with the program's frame at its place, and this entry was pushed below it.
    unsafe { user_frame().wrapping_byte_add(offset).cast::<u32>().write(0) };
    regs.eip = address(mini_guest_exit_restart);
    true
}

/// The `iret` to ring 3 itself faulted: the program's CS, SS or EIP is unusable. For the user handler that is a
/// fault of the program.
fn unreturnable(regs: &Regs, vector: u8) -> ! {
    // The program's registers were in the processor already, so this entry saved them (and lies over the lower part of
    // the program's frame). The five words of the iret are as they were.
    // SAFETY: the frame's place is mapped stack; the words from EIP up lie above what this entry wrote.
    let iret = unsafe { user_frame().read() };
    let mut program = TrapFrame { regs: *regs, ..iret };
    program.vector = u32::from(vector);
    (program.eip, program.cs, program.eflags) = (iret.eip, iret.cs, iret.eflags);
    USER_HANDLER.get()(&mut program, Cause::Vector(vector));
    enter_user(&program)
}
