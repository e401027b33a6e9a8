//! `console=` and the line speeds: which outputs a user asked for.

use hv_arch::uart::ComPort;

/// Speed of a serial line unless `com1=` or `com2=` says otherwise.
pub const DEFAULT_BAUD: u32 = 115_200;

/// The outputs to look for, and how to set them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// First serial port.
    pub com1: bool,
    /// Second serial port.
    pub com2: bool,
    /// The screen in text mode.
    pub vga: bool,
    /// The screen as a framebuffer.
    pub framebuffer: bool,
    /// Speed of either serial port.
    pub baud: [u32; 2],
}

impl Default for Options {
    /// The first serial port and whatever screen there is.
    fn default() -> Self {
        Self {
            com1: true,
            com2: false,
            vga: true,
            framebuffer: true,
            baud: [DEFAULT_BAUD; 2],
        }
    }
}

impl Options {
    /// Takes the value of `console=`: names of outputs, separated by commas (`com1,vga`). `none` names nothing.
    ///
    /// # Errors
    /// The first name that is none of `com1`, `com2`, `vga`, `fb`, `none`; the choice stays as it was.
    pub fn select<'a>(&mut self, list: &'a str) -> Result<(), &'a str> {
        let mut chosen = Self {
            com1: false,
            com2: false,
            vga: false,
            framebuffer: false,
            ..*self
        };
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match name {
                "com1" => chosen.com1 = true,
                "com2" => chosen.com2 = true,
                "vga" => chosen.vga = true,
                "fb" => chosen.framebuffer = true,
                "none" => {}
                _ => return Err(name),
            }
        }
        *self = chosen;
        Ok(())
    }

    /// Takes the value of `com1=` or `com2=`: the speed in baud.
    ///
    /// # Errors
    /// The value, where it is no number from 50 to 115200; the speed stays as it was.
    pub fn set_baud<'a>(&mut self, port: ComPort, value: &'a str) -> Result<(), &'a str> {
        match value.parse() {
            Ok(baud @ 50..=115_200) => self.baud[port as usize] = baud,
            _ => return Err(value),
        }
        Ok(())
    }

    /// Whether a serial port was asked for.
    #[must_use]
    pub const fn wants(&self, port: ComPort) -> bool {
        match port {
            ComPort::Com1 => self.com1,
            ComPort::Com2 => self.com2,
        }
    }
}
