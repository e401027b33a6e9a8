//! Serial lines that this domain was given: found by the command line, `/dev/ttySN` for programs.

use alloc::rc::Rc;

use uart_16550::Uart16550;
use uart_16550::backend::PioBackend;

use super::{Kernel, SysResult};
use crate::command_line::option;
use crate::drivers::lines::Driver;
use crate::drivers::serial::{Place, Serial};
use crate::fs::OpenFile;
use crate::linux::Errno;
use crate::process::WaitFor;
use crate::{println, time};

/// How long a power-off waits for a line to take what is left: a full buffer at 4800 baud.
const DRAIN_NS: u64 = 10 * time::NS_PER_SEC;
/// How often it is looked meanwhile whether the device has sent what it took: it does not say.
const LOOK_NS: u64 = 1_000_000;

/// A line by ports.
pub(crate) type SerialLine = Serial<PioBackend>;

impl Driver for SerialLine {
    fn interrupt(&self) {
        self.serve();
    }
}

impl Kernel {
    /// Sets up the lines that the command line names, as `/dev/ttyS0` and on.
    pub fn start_serial(&mut self) {
        let command_line = core::mem::take(&mut self.command_line);
        let places = option(&command_line, b"serial=").unwrap_or_default();
        for text in places.split(|byte| *byte == b';').filter(|text| !text.is_empty()) {
            let place = core::str::from_utf8(text).ok().and_then(Place::parse);
            let Some(place) = place else {
                println!(
                    "mini-guest: serial={}: not PORT,LINE[,BAUD]; ignored",
                    text.escape_ascii()
                );
                continue;
            };
            if let Err(errno) = self.add_serial(place) {
                println!("mini-guest: serial line at port {:#x}: {errno}", place.port);
            }
        }
        self.command_line = command_line;
    }

    fn add_serial(&mut self, place: Place) -> Result<(), Errno> {
        // SAFETY: the hypervisor lets this domain reach the ports that it was given alone, and a 16550 reaches no memory. The command
        // line comes from whoever gave them.
        let uart = unsafe { Uart16550::new_port(place.port) }.map_err(|_| Errno::EINVAL)?;
        let serial = Rc::new(SerialLine::new(uart, place.baud)?);
        let lines = &mut self.devices.lines;
        lines
            .add(place.line, serial.clone())
            .map_err(Errno::from_hypervisor)?;
        let number = self.devices.serials.len() as u32;
        self.devices.serials.push(serial);
        self.fs.add_serial(number)?;
        println!(
            "mini-guest: ttyS{number}: port {:#x}, line {}, {} baud",
            place.port, place.line, place.baud
        );
        Ok(())
    }

    /// Wakes who waits for a line.
    pub(super) fn serial_news(&mut self) {
        let mut any = false;
        for serial in &self.devices.serials {
            any |= serial.take_news();
        }
        if any {
            self.wake(WaitFor::SERIAL);
        }
    }

    /// The line with this number.
    pub(crate) fn serial_line(&self, number: u32) -> Option<Rc<SerialLine>> {
        self.devices.serials.get(number as usize).cloned()
    }

    /// Reads what is there, sleeping where that is nothing.
    pub(crate) fn read_serial(
        &mut self,
        file: &OpenFile,
        number: u32,
        (to, len): (u32, u32),
        may_wait: bool,
    ) -> SysResult {
        let line = self.serial_line(number).ok_or(Errno::ENXIO)?;
        // The address is judged before anything is taken.
        self.process().memory().borrow_mut().prepare_out(to, len)?;
        let bytes = line.read(len as usize);
        if bytes.is_empty() && len > 0 {
            return self.wait_unless_nonblocking(file, WaitFor::SERIAL, may_wait);
        }
        self.copy_out(to, &bytes)?;
        Ok(bytes.len() as u32)
    }

    /// Writes all of it, sleeping whenever there is no room; the call remembers how far it has come.
    pub(crate) fn write_serial(&mut self, file: &OpenFile, number: u32, from: u32, len: u32) -> SysResult {
        let line = self.serial_line(number).ok_or(Errno::ENXIO)?;
        self.write_all(file, (from, len), WaitFor::SERIAL, |_, bytes| {
            Ok(line.write(bytes))
        })
    }

    /// Gives devices what was written to them, sleeping until they have it. No program runs any more.
    pub(crate) fn flush_devices(&mut self) {
        self.flush_disks();
        let deadline = time::now_ns() + DRAIN_NS;
        for (number, serial) in self.devices.serials.iter().enumerate() {
            while !serial.is_handed_over() && time::now_ns() < deadline {
                self.devices.lines.wait(deadline);
            }
            while !serial.is_drained() && time::now_ns() < deadline {
                self.devices.lines.pause(LOOK_NS);
            }
            if !serial.is_drained() {
                println!("mini-guest: ttyS{number} does not take all that was written");
            }
        }
    }
}
