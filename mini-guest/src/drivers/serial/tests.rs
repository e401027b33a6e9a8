//! Against a 16550 that is a few lines.

use alloc::rc::Rc;
use std::vec;

use super::*;

/// What the model keeps; the test holds it too.
#[derive(Default)]
struct Chip {
    registers: [u8; 8],
    /// What the line brought, at most 16 bytes.
    incoming: VecDeque<u8>,
    /// The transmitter's FIFO, and what has left it.
    fifo: Vec<u8>,
    sent: Vec<u8>,
    /// The transmitter's interrupt has been told since it was last empty.
    was_told: bool,
    is_there: bool,
}

struct Model(Rc<RefCell<Chip>>);

impl Chip {
    fn cause(&self) -> u8 {
        let enabled = self.registers[1];
        if enabled & 1 != 0 && !self.incoming.is_empty() {
            0b0100
        } else if enabled & 2 != 0 && self.fifo.is_empty() && !self.was_told {
            0b0010
        } else {
            0b0001
        }
    }
}

impl Backend for Model {
    unsafe fn read(&mut self, register: u8) -> u8 {
        let mut chip = self.0.borrow_mut();
        if !chip.is_there {
            return 0xFF;
        }
        let is_latch = chip.registers[3] & 0x80 != 0;
        match register {
            0 if !is_latch => chip.incoming.pop_front().unwrap_or_default(),
            2 => {
                let cause = chip.cause();
                chip.was_told |= cause == 0b0010;
                0xC0 | cause
            }
            5 => u8::from(!chip.incoming.is_empty()) | if chip.fifo.is_empty() { 0x60 } else { 0 },
            other => chip.registers[usize::from(other)],
        }
    }

    unsafe fn write(&mut self, register: u8, value: u8) {
        let mut chip = self.0.borrow_mut();
        let is_latch = chip.registers[3] & 0x80 != 0;
        match register {
            0 if !is_latch => {
                assert!(chip.fifo.len() < 16, "a byte is lost");
                chip.fifo.push(value);
                chip.was_told = false;
            }
            2 => {}
            1 if is_latch => {}
            1 => {
                // Switched on over an empty transmitter, it asks.
                chip.was_told &= value & !chip.registers[1] & 2 == 0;
                chip.registers[1] = value;
            }
            other => chip.registers[usize::from(other)] = value,
        }
    }
}

struct World {
    chip: Rc<RefCell<Chip>>,
    serial: Serial<Model>,
}

impl World {
    fn new() -> Self {
        let chip = Rc::new(RefCell::new(Chip {
            is_there: true,
            ..Chip::default()
        }));
        // SAFETY: the model's registers are its own.
        let uart = unsafe { Uart16550::new_with_backend(Model(chip.clone())) };
        let serial = Serial::new(uart, BAUD).ok().unwrap();
        Self { chip, serial }
    }

    /// The line takes what is in the transmitter, and the interrupt is served if there is one.
    fn line_goes_on(&self) {
        let mut chip = self.chip.borrow_mut();
        let mut fifo = core::mem::take(&mut chip.fifo);
        chip.sent.append(&mut fifo);
        let asks = chip.cause() != 0b0001;
        drop(chip);
        if asks {
            self.serial.serve();
        }
    }

    /// The line brings a byte, if the receiver has room for it; the interrupt is served if there is one.
    fn comes(&self, byte: u8) -> bool {
        let mut chip = self.chip.borrow_mut();
        if chip.incoming.len() == 16 {
            return false;
        }
        chip.incoming.push_back(byte);
        let asks = chip.cause() != 0b0001;
        drop(chip);
        if asks {
            self.serial.serve();
        }
        true
    }
}

#[test]
fn places_are_read() {
    let place = |port, line, baud| Some(Place { port, line, baud });
    assert_eq!(Place::parse("2f8,3"), place(0x2F8, 3, 115_200));
    assert_eq!(Place::parse("3e8,4,9600"), place(0x3E8, 4, 9600));
    for text in [
        "",
        "2f8",
        "2f8,16",
        "2f8,3,0",
        "2f8,3,9600,1",
        "fff9,3",
        "2g8,3",
        ",3",
    ] {
        assert_eq!(Place::parse(text), None, "{text}");
    }
}

#[test]
fn where_nothing_answers_there_is_no_line() {
    let chip = Rc::new(RefCell::new(Chip::default()));
    // SAFETY: the model's registers are its own.
    let uart = unsafe { Uart16550::new_with_backend(Model(chip)) };
    assert_eq!(Serial::new(uart, BAUD).err(), Some(Errno::ENODEV));
}

#[test]
fn everything_written_goes_out_once_and_in_order() {
    let world = World::new();
    let text: Vec<u8> = (0..=u8::MAX).cycle().take(3 * ROOM).collect();
    let mut written = 0;
    while written < text.len() {
        let had_room = world.serial.is_ready().1;
        let count = world.serial.write(&text[written..]);
        assert_eq!(count > 0, had_room, "it takes some where there is room");
        written += count;
        world.line_goes_on();
    }
    for _ in 0..=ROOM / 16 {
        world.line_goes_on();
    }
    assert!(world.serial.is_handed_over() && world.serial.is_drained());
    assert_eq!(world.chip.borrow().sent, text);
    assert!(world.serial.take_news());
    assert_eq!(world.chip.borrow().registers[1], 1, "only the receiver may ask");
}

#[test]
fn what_comes_in_is_kept_and_a_full_line_is_held_back() {
    let world = World::new();
    let mut came = 0;
    while world.comes(came as u8) {
        came += 1;
        assert!(came < 2 * ROOM, "nobody holds it back");
    }
    assert_eq!(came, ROOM + 16, "room here, then the device's own");
    let mut read = Vec::new();
    while world.serial.is_ready().0 {
        read.extend(world.serial.read(1000));
    }
    let expected: Vec<u8> = (0..came).map(|byte| byte as u8).collect();
    assert_eq!(read, expected);
    assert_eq!(world.serial.read(1000), vec![]);
    assert!(world.comes(7), "it goes on");
    assert_eq!(world.serial.read(1), vec![7]);
}
