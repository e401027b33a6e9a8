//! Network cards: found with their addresses, by their drivers, with their cables.

use super::image;
use crate::check;
use crate::cli::Chipset;
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::net::Net;
use crate::status::Ending;
use crate::suite::{Outcome, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    [
        ("system::cards_are_found_q35", Chipset::Q35),
        ("system::cards_are_found_pc", Chipset::Pc),
    ]
    .into_iter()
    .map(|(name, chipset)| Test::new(name, move || found(name, chipset)))
    .collect()
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
