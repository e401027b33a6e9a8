//! Control of domains, the console, the clock, devices, privileged instructions.

use guest_abi::addr::GuestVirt;
use guest_abi::domctl::{DOM0_INTERFACE_VERSION, Dom0Cmd, Dom0Op, PauseDomain, SetTime};
use guest_abi::errno::Errno;
use guest_abi::hypercall::CallNumber;
use guest_abi::mmu::{Extended, MmuUpdate};
use guest_abi::physdev::{
    IrqStatusQuery, IrqUnmaskNotify, PciConfigRead, PciConfigWrite, PciInitialiseDevice, PciProbeRootBuses,
    PhysdevArgs, PhysdevOp,
};
use guest_abi::trap::Vector;
use test_guests::puppet::{DATA, Puppet};
use test_guests::{check, check_eq, guest_abi};

use crate::{INVAL, PERM, Scene};

impl Scene {
    pub fn control(self) {
        let victim = PauseDomain {
            domain: self.victim.id,
            pad: 0,
        };
        let control = |command: u32, version: u32| {
            let mut op = Dom0Op::new(&victim);
            (op.cmd, op.interface_version) = (Dom0Cmd::new(command), version);
            op
        };
        for command in (0..64).chain([0x100, 0x8000_0008, u32::MAX]) {
            let op = control(command, DOM0_INTERFACE_VERSION);
            self.harmless(PERM, |a| a.call(CallNumber::DOM0_OP, &[a.put(&op)]));
        }
        // That it is not allowed to is all that it is told.
        for op in [control(10, 0), control(9, 0xAAAA_001A)] {
            self.harmless(PERM, |a| a.call(CallNumber::DOM0_OP, &[a.put(&op)]));
        }
        for at in [0, DATA - 8, 0xFC00_0000, u32::MAX] {
            self.harmless(PERM, |a| a.call(CallNumber::DOM0_OP, &[at]));
        }
        let clock = Dom0Op::new(&SetTime {
            secs: 1,
            ..SetTime::default()
        });
        self.harmless(PERM, |a| a.call(CallNumber::DOM0_OP, &[a.put(&clock)]));
        // The same as one call of many.
        let pause = Dom0Op::new(&victim);
        self.harmless(Ok(PERM.map_err(Errno::to_eax)), |a| {
            let block = a.put(&pause);
            // An entry behind the block: its first two words, and its answer in the seventh.
            for (n, word) in (64..).zip([CallNumber::DOM0_OP.raw(), block]) {
                a.set_word(n, word);
            }
            let answer = a.call(CallNumber::MULTICALL, &[block + 256, 1]);
            answer.map(|_| Err(a.word(64 + 6)))
        });
        for command in [0, 1, 2] {
            self.harmless(PERM, |a| {
                let text = a.put(b"said by nobody\n");
                a.call(CallNumber::CONSOLE_IO, &[command, 15, text])
            });
        }
    }

    pub fn devices(self) {
        fn call<A: PhysdevArgs>(a: Puppet, args: &A) -> (Result<u32, Errno>, A) {
            let at = a.put(&PhysdevOp::new(args));
            let answer = a.call(CallNumber::PHYSDEV_OP, &[at]);
            (answer, a.get::<PhysdevOp>().args())
        }
        for (dev, reg) in [(0, 0), (0, 4), (1, 0x3C), (31, 0), (32, 0), (0, 256)] {
            let read = PciConfigRead {
                dev,
                reg,
                len: 4,
                ..PciConfigRead::default()
            };
            self.harmless((PERM, u32::MAX), |a| {
                let (answer, done) = call(a, &read);
                (answer, done.value)
            });
            let write = PciConfigWrite {
                dev,
                reg,
                len: 4,
                ..PciConfigWrite::default()
            };
            self.harmless(PERM, |a| call(a, &write).0);
            let init = PciInitialiseDevice {
                dev: dev % 32,
                ..PciInitialiseDevice::default()
            };
            self.harmless(PERM, |a| call(a, &init).0);
        }
        self.harmless((Ok(0), [0; 8]), |a| {
            let (answer, found) = call(a, &PciProbeRootBuses { busmask: [!0; 8] });
            (answer, found.busmask)
        });
        // It has no line, so none is opened.
        self.harmless(Ok(0), |a| call(a, &IrqUnmaskNotify {}).0);
        self.harmless(INVAL, |a| call(a, &IrqStatusQuery { irq: 208, flags: 0 }).0);
    }

    /// What only ring 0, or a domain with the right to it, can do traps, and the trap is the attacker's own.
    pub fn instructions(self) {
        for code in [
            port_in,
            port_out,
            write_cr3,
            read_msr,
            halt,
            load_idt,
            clear_interrupts,
        ] as [extern "C" fn(); 7]
        {
            self.harmless(Some(u32::from(Vector::GENERAL_PROTECTION.raw())), |a| {
                a.run(code).trap()
            });
        }
        // The window can be read, and no more; no table of descriptors is made of it.
        let window = GuestVirt::new(0xFC00_0000);
        let ldt = |base, entries| MmuUpdate::extended(Extended::SetLdt { base, entries });
        self.harmless(Ok(()), |a| a.mmu(&[ldt(window, 512)]));
        for (code, may) in [
            (read_window as extern "C" fn(), true),
            (write_window, false),
            (beyond_window, false),
            (load_local, false),
        ] {
            let books = self.books();
            let found = self.attacker.run(code).trap();
            check_eq!(self.books(), books);
            let is_good = if may {
                found.is_none()
            } else {
                matches!(found, Some(13 | 14))
            };
            check!(is_good, "{found:?}");
        }
        self.harmless(Ok(()), |a| a.mmu(&[ldt(GuestVirt::new(0), 0)]));
    }
}

macro_rules! scripts {
    ($($name:ident: $($line:literal),+;)+) => { $(
        #[unsafe(naked)]
        extern "C" fn $name() {
            core::arch::naked_asm!($($line,)+ "ret")
        }
    )+ };
}

scripts! {
    port_in: "mov dx, 0x3F8", "in al, dx";
    port_out: "mov al, 0xFE", "out 0x64, al";
    write_cr3: "xor eax, eax", "mov cr3, eax";
    read_msr: "mov ecx, 0xC0000080", "rdmsr";
    halt: "hlt";
    load_idt: "lidt [esp]";
    clear_interrupts: "cli";
    read_window: "mov eax, [0xFC000000]";
    write_window: "mov dword ptr [0xFC000000], 0";
    load_local: "mov eax, 5", "mov fs, eax";
    beyond_window: "mov eax, [0xFFFFF000]";
}
