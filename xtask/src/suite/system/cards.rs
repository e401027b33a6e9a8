//! Network cards: found with their addresses, by their drivers, with their cables.

use super::image;
use crate::check;
use crate::cli::Chipset;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::net::Net;
use crate::status::Ending;
use crate::suite::{Outcome, Stop, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    let find = |name, chipset| Test::new(name, move || found(name, chipset));
    let talk = |name, chipset, card| Test::new(name, move || talks(name, chipset, card));
    vec![
        find("system::cards_are_found_q35", Chipset::Q35),
        find("system::cards_are_found_pc", Chipset::Pc),
        talk("system::card_virtio_talks_q35", Chipset::Q35, "virtio"),
        talk("system::card_virtio_talks_pc", Chipset::Pc, "virtio"),
        talk("system::card_e1000_talks_q35", Chipset::Q35, "e1000"),
        talk("system::card_e1000_talks_pc", Chipset::Pc, "e1000"),
        talk("system::card_e1000e_talks_q35", Chipset::Q35, "e1000e"),
    ]
}

/// Four cards, of which two are the same: each is driven, has the address that the emulator gave it, and notices its cable.
fn found(name: &str, chipset: Chipset) -> Outcome {
    const DRIVERS: [&str; 4] = ["virtio-net", "e1000", "e1000e", "e1000"];
    let nets = ["", "card=e1000", "card=e1000e", "card=e1000"];
    let nets: Vec<Net> = nets.iter().map(|text| text.parse().expect("a card")).collect();
    // One card after the other loses its cable and gets it back; what the last one says ends the machine.
    let mut reactions = Vec::new();
    let mut event = String::from("the-cables");
    for n in 0..DRIVERS.len() {
        for (state, word) in [("off", "out"), ("on", "in")] {
            let said = format!("net{n}: the cable is {word}");
            reactions.push((
                std::mem::replace(&mut event, said),
                format!("set_link net{n} {state}"),
            ));
        }
    }
    reactions.push((event, "quit".into()));
    let machine = Machine {
        chipset,
        nets,
        reactions,
        ..Machine::default()
    };
    let keys = "lspci\ncat /proc/net/dev\necho the-cables\nsleep 1000\n";
    let image = image(&fixture::programs()?, "")?;
    let record = fixture::boot(name, &machine, &image, Keyboard::of_text(keys), fixture::LIMIT)?;
    let tail = fixture::tail(&record.text);
    // QEMU ends with status 0 where it is told to.
    check!(record.ending == Ending::Reset, "{}\n{tail}", record.ending);
    for (n, driver) in DRIVERS.iter().enumerate() {
        let address = format!("mini-guest: net{n}: 52:54:00:12:34:{:02x}", 0x56 + n);
        check!(
            record.text.contains(&address),
            "no {address:?} in\n{}",
            record.text
        );
        let count = DRIVERS.iter().filter(|other| *other == driver).count();
        let end = format!(", driver {driver}");
        let lines = record.text.lines().filter(|line| line.trim_end().ends_with(&end));
        check!(lines.count() == count, "{driver}: {}", record.text);
        let row = format!("  net{n}: ");
        check!(record.text.contains(&row), "no {row:?} in\n{}", record.text);
    }
    Ok(())
}

/// The address that the emulator gives the first card, and that of its network's host.
const CARD: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const HOST: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];

/// Domain0 gets its address over the card: frames go out and come in. The emulator's own record of the network agrees.
fn talks(name: &str, chipset: Chipset, card: &str) -> Outcome {
    let dir = tempfile::tempdir()?;
    let pcap = dir.path().join("pcap");
    let net = Net {
        pcap: Some(pcap.clone()),
        ..format!("card={card}").parse().map_err(Stop::Fail)?
    };
    let machine = Machine {
        chipset,
        nets: vec![net],
        reactions: vec![(": 10.0.2.15/24, gateway 10.0.2.2".into(), "quit".into())],
        ..Machine::default()
    };
    let image = image(&fixture::programs()?, "")?;
    let record = fixture::boot(name, &machine, &image, Keyboard::idle(), fixture::LIMIT * 2)?;
    let tail = fixture::tail(&record.text);
    check!(record.ending == Ending::Reset, "{}\n{tail}", record.ending);
    let pcap = std::fs::read(pcap)?;
    let frames = frames(&pcap);
    let from = |mac: [u8; 6]| {
        frames
            .iter()
            .filter(|frame| frame.get(6..12) == Some(&mac))
            .count()
    };
    check!(
        from(CARD) >= 2 && from(HOST) >= 2,
        "{} frames, {} of the card",
        frames.len(),
        from(CARD)
    );
    Ok(())
}

/// The frames in a record of tcpdump's format (a header of 24 bytes, then 16 bytes before each frame, the third word of which is how much
/// of it is there).
fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let mut rest = pcap.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((head, behind)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some((frame, next)) = behind.split_at_checked(len) else {
            break;
        };
        frames.push(frame);
        rest = next;
    }
    frames
}
