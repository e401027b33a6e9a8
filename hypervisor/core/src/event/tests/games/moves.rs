//! What guests do to each other, and devices to them.

use super::*;

/// Two connected ports, by slot and number.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    pub ends: [(usize, u32); 2],
    /// The end that was closed.
    pub closed: Option<usize>,
}

impl Game {
    /// A device interrupts, if its line is open.
    pub fn interrupt(&mut self, index: usize) {
        let line = LINES[index];
        if self.world.machine.devices.is_open(line) {
            self.world.machine.mask_line(line);
            assert!(raise_line(&mut self.world.hv, &self.world.machine, line));
            for slot in 0..GUESTS {
                let port = self.line_ports[index][slot];
                if port != 0 {
                    self.owe(slot, port);
                }
            }
            self.exit();
        }
    }

    /// The running guest sends on one of its channels.
    pub fn send(&mut self, which: usize) {
        let slot = self.world.hv.current;
        let all: Vec<(Channel, usize)> = self
            .channels
            .iter()
            .flat_map(|channel| [(*channel, 0), (*channel, 1)])
            .filter(|(channel, end)| channel.ends[*end].0 == slot)
            .collect();
        let (channel, end) = all[which % all.len()];
        if channel.closed == Some(end) {
            return;
        }
        self.world.write(
            ARGS,
            &EvtchnOp::new(&Send {
                local_port: channel.ends[end].1,
            }),
        );
        let eax = self.world.hypercall(16, [ARGS, 0, 0, 0, 0]);
        if channel.closed.is_some() {
            assert_eq!(eax, Errno::Inval.to_eax());
        } else {
            assert_eq!(eax, 0);
            let (peer, port) = channel.ends[1 - end];
            self.owe(peer, port);
        }
        self.exit();
    }

    /// The running guest closes its end of a channel between two domains, or connects it again.
    pub fn close_or_open(&mut self, which: usize) {
        let slot = self.world.hv.current;
        let index = which % self.channels.len();
        let channel = self.channels[index];
        let Some(end) = channel.ends.iter().position(|end| end.0 == slot) else {
            return;
        };
        let ((_, port), (peer, peer_port)) = (channel.ends[end], channel.ends[1 - end]);
        if peer == slot {
            return;
        }
        match channel.closed {
            None => {
                let close = Close {
                    dom: SELF,
                    pad: 0,
                    port,
                };
                op(&mut self.world, &close);
                self.owed[slot].retain(|owed| *owed != port);
                self.channels[index].closed = Some(end);
            }
            Some(closed) if closed == end => {
                let ends = interdomain((SELF, 0), (self.id(peer), peer_port));
                self.channels[index].ends[end].1 = op(&mut self.world, &ends).port1;
                self.channels[index].closed = None;
            }
            Some(_) => return,
        }
        self.exit();
    }

    pub fn call(&mut self, number: u32, ebx: u32) {
        assert_eq!(self.world.hypercall(number, [ebx, 0, 0, 0, 0]) as i32 >> 31, 0);
        self.exit();
    }

    pub fn block(&mut self) {
        self.call(6, 1);
    }
}
