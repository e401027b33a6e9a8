//! The machine's console: every output at once, one queue of input, and a memory of what was said.
//!
//! * [`write()`] sends bytes to each output that was attached. What was written before an output existed is
//!   replayed to it, out of the history.
//! * The history keeps the newest [`HISTORY_BYTES`] of the hypervisor's own output in a circle; what guests print is
//!   only shown ([`show`]).
//! * Received bytes, from serial lines and keyboard, wait in one queue for [`read`].
//!
//! One lock orders all of it. Interrupts are off in ring 0 except where the hypervisor sleeps, so no interrupt
//! finds the lock held; NMI and machine check do not write. The panic path takes the lock by force
//! ([`panic::Writer`]).

mod keyboard;
pub mod panic;
mod serial;

use arrayvec::ArrayVec;
use core::{ops::Range, ptr::NonNull};
use heapless::{Deque, HistoryBuf};
use hv_arch::{
    framebuffer::{self, Framebuffer, Layout},
    uart::ComPort,
    vga::{self, VgaText},
};
use keyboard::Keyboard;
use serial::Serial;
use spin::{Mutex, MutexGuard};

/// Output of its own that the history keeps.
pub const HISTORY_BYTES: usize = 16 * 1024;
/// Speed of a serial line.
pub const DEFAULT_BAUD: u32 = 115_200;
/// Received bytes that wait for a reader.
const INPUT_QUEUE: usize = 4096;

type InputQueue = Deque<u8, INPUT_QUEUE>;

static CONSOLE: Mutex<Console> = Mutex::new(Console::new());

/// All there is of a console.
struct Console {
    serial: [Serial; 2],
    vga: Option<VgaText>,
    framebuffer: Option<Framebuffer>,
    /// Frames that the screen shows.
    screen: Option<Range<u64>>,
    keyboard: Option<Keyboard>,
    input: InputQueue,
    history: HistoryBuf<u8, HISTORY_BYTES>,
    /// Bytes of output so far, guests' left out.
    written: u64,
    /// Whether the next byte begins a line.
    is_at_line_start: bool,
}

impl Console {
    const fn new() -> Self {
        Self {
            serial: [Serial::new(), Serial::new()],
            vga: None,
            framebuffer: None,
            screen: None,
            keyboard: None,
            input: Deque::new(),
            history: HistoryBuf::new(),
            written: 0,
            is_at_line_start: true,
        }
    }

    fn has_screen(&self) -> bool {
        self.vga.is_some() || self.framebuffer.is_some()
    }

    fn has_output(&self) -> bool {
        self.has_screen() || self.serial.iter().any(|line| line.irq().is_some())
    }

    /// Takes what the devices held back, after a reader made room.
    fn resume_input(&mut self) {
        for line in &mut self.serial {
            line.resume_input(&mut self.input);
        }
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.resume_input(&mut self.input);
        }
    }

    /// Shows bytes and remembers them.
    fn write(&mut self, bytes: &[u8]) {
        self.history.extend_from_slice(bytes);
        self.written = self.written.wrapping_add(bytes.len() as u64);
        self.show(bytes);
    }

    fn show(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.is_at_line_start = last == b'\n';
        for line in self.serial.iter_mut() {
            line.write(bytes);
        }
        if let Some(screen) = &mut self.vga {
            screen.write(bytes);
        }
        if let Some(screen) = &mut self.framebuffer {
            screen.write(bytes);
        }
    }
}

/// Looks for a serial port and makes it an output; says whether one was found. Output so far is replayed to it.
pub fn attach_serial(port: ComPort, baud: u32) -> bool {
    let mut console = CONSOLE.lock();
    let console = &mut *console;
    let line = &mut console.serial[port as usize];
    if !line.attach(port, baud, &mut console.input) {
        return false;
    }
    let (old, new) = console.history.as_slices();
    line.write(old);
    line.write(new);
    panic::remember(port);
    true
}

/// Makes the screen in text mode an output.
///
/// # Safety
/// As for [`VgaText::new`].
pub unsafe fn attach_vga(base: NonNull<u16>) {
    static CELLS: Mutex<vga::Cells> = Mutex::new([0; vga::COLUMNS * vga::ROWS]);
    let Some(cells) = CELLS.try_lock() else { return };
    // SAFETY: the caller's promise.
    let mut screen = unsafe { VgaText::new(base, MutexGuard::leak(cells)) };
    let mut console = CONSOLE.lock();
    let (old, new) = console.history.as_slices();
    screen.write(old);
    screen.write(new);
    console.vga = Some(screen);
    console.screen = Some(vga::TEXT_BASE >> 12..(vga::TEXT_BASE >> 12) + 1);
}

/// Makes the framebuffer at the physical address `phys` an output, with room for what it shows; says whether its layout is usable.
///
/// # Safety
/// As for [`Framebuffer::new`].
pub unsafe fn attach_framebuffer(
    base: NonNull<u8>,
    phys: u64,
    layout: Layout,
    cells: &'static mut framebuffer::Cells,
) -> bool {
    let bytes = layout.bytes().unwrap_or_default() as u64;
    // SAFETY: the caller's promise.
    let screen = unsafe { Framebuffer::new(base, layout, cells) };
    let Some(mut screen) = screen else {
        return false;
    };
    let mut console = CONSOLE.lock();
    let (old, new) = console.history.as_slices();
    screen.write(old);
    screen.write(new);
    console.framebuffer = Some(screen);
    console.screen = Some(phys >> 12..phys.saturating_add(bytes).div_ceil(4096));
    true
}

/// Shows what a guest prints on every output. The history has no room for it: it is the hypervisor's log.
pub fn show(bytes: &[u8]) {
    CONSOLE.lock().show(bytes);
}

/// Writes bytes to every output.
pub fn write(bytes: &[u8]) {
    CONSOLE.lock().write(bytes);
}

/// Writes a line of the hypervisor's own: on a line of its own, whatever a guest left unfinished.
pub fn write_line(bytes: &[u8]) {
    let mut console = CONSOLE.lock();
    if !console.is_at_line_start {
        console.show(b"\n");
    }
    console.write(bytes);
}

/// Bytes written so far.
pub fn written() -> u64 {
    CONSOLE.lock().written
}

/// How many of the bytes written last are remembered.
pub fn history_len() -> usize {
    CONSOLE.lock().history.len()
}

/// Copies what was written from byte number `from` on, as far as that is remembered, and says how much.
pub fn read_history(from: u64, into: &mut [u8]) -> usize {
    let console = CONSOLE.lock();
    let (old, new) = console.history.as_slices();
    let first = console.written - (old.len() + new.len()) as u64;
    let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
    let mut count = 0;
    let mut skip_left = skip;
    for part in [old, new] {
        let part = &part[skip_left.min(part.len())..];
        let taken = part.len().min(into.len() - count);
        into[count..count + taken].copy_from_slice(&part[..taken]);
        count += taken;
        skip_left = skip.saturating_sub(old.len());
    }
    count
}

/// Forgets what was written.
pub fn clear_history() {
    CONSOLE.lock().history.clear();
}

/// Takes up to `into.len()` received bytes and says how many.
pub fn read(into: &mut [u8]) -> usize {
    let mut console = CONSOLE.lock();
    let console = &mut *console;
    let mut count = 0;
    for slot in into {
        if console.input.is_empty() {
            console.resume_input();
        }
        let Some(byte) = console.input.pop_front() else {
            break;
        };
        *slot = byte;
        count += 1;
    }
    console.resume_input();
    count
}

/// Whether received bytes wait.
pub fn has_input() -> bool {
    !CONSOLE.lock().input.is_empty()
}

/// The interrupt lines that [`interrupt`] serves, a bit each.
pub fn interrupt_lines() -> u16 {
    let console = CONSOLE.lock();
    let keyboard = console.keyboard.as_ref().map(|_| Keyboard::irq());
    let serial = console.serial.iter().filter_map(Serial::irq);
    serial.chain(keyboard).fold(0, |lines, irq| lines | 1 << irq)
}

/// Ports of the serial lines that it uses, first and last of each.
pub fn ports() -> ArrayVec<(u16, u16), 2> {
    /// Registers of a serial line.
    const COUNT: u16 = 8;
    let bases = CONSOLE
        .lock()
        .serial
        .iter()
        .filter_map(Serial::base)
        .collect::<ArrayVec<u16, 2>>();
    bases.into_iter().map(|base| (base, base + COUNT - 1)).collect()
}

/// The frames of the screen that is an output.
pub fn screen() -> Option<Range<u64>> {
    CONSOLE.lock().screen.clone()
}

/// Makes the keyboard an input, where a screen is an output.
pub fn attach_keyboard() {
    let mut console = CONSOLE.lock();
    if console.has_screen() {
        console.keyboard = Keyboard::attach();
    }
}

/// From now on the console's interrupt lines are unmasked and handled.
pub fn start_interrupts() {
    for line in CONSOLE.lock().serial.iter_mut() {
        line.start_interrupts();
    }
}

/// Serves an interrupt line of the console.
pub fn interrupt(irq: u8) {
    let mut console = CONSOLE.lock();
    let console = &mut *console;
    for line in console.serial.iter_mut().filter(|line| line.irq() == Some(irq)) {
        line.interrupt(&mut console.input);
    }
    if let Some(keyboard) = console.keyboard.as_mut().filter(|_| irq == Keyboard::irq()) {
        keyboard.take_input(&mut console.input);
    }
}

/// Bytes of output lost to stalled serial lines.
pub fn dropped_bytes() -> u64 {
    CONSOLE.lock().serial.iter().map(Serial::dropped).sum()
}

/// Waits, within bounds, until all output has left the machine: before it is turned off.
pub fn drain() {
    for line in CONSOLE.lock().serial.iter_mut() {
        line.drain();
    }
}
