//! The screen that the console is on.

use super::session::{image, json_behind};
use super::{has_lines, powered_off};
use crate::check;
use crate::cli::{Boot, Chipset};
use crate::keyboard::Keyboard;
use crate::machine::Machine;
use crate::suite::{Outcome, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    let test = |name: &str, boot: Boot, cases: &'static [(&str, bool)]| {
        let name = format!("system::{name}_of_the_console_is_not_given_away");
        Test::new(name.clone(), move || kept(&name, boot, cases))
    };
    vec![
        test("text_mode", Boot::Direct, &[("", false), (" console=com1", true)]),
        // As firmware has set it up.
        test("a_framebuffer", Boot::Uefi, &[("", false)]),
    ]
}

/// The adapter is given to nobody while the console is on it, and stays where it was; without a screen it is given.
fn kept(test: &str, boot: Boot, cases: &[(&str, bool)]) -> Outcome {
    let machine = Machine::qemu(boot, Chipset::Q35);
    for &(append, is_given) in cases {
        let keys = "create a --kernel mini-guest --memory 8M --pci 00:01.0; echo made $?\npci-list\n\
                    echo now\nlist --json\npoweroff\n";
        let mut image = image("autostart=no", &fixture::domain_initrd()?)?;
        image.append += append;
        let record = fixture::boot(
            test,
            &machine,
            &image,
            Keyboard::of_text(keys),
            fixture::LIMIT * 2,
        )?;
        powered_off(&record)?;
        let tail = || fixture::tail(&record.text);
        has_lines(&record, &[if is_given { "made 0" } else { "made 1" }])?;
        let said = "pci 00:01.0: neither bridges nor the screen that the console is on are given away";
        check!(record.text.contains(said) != is_given, "{}", tail());
        let holder = if is_given { "a " } else { "Domain-0 " };
        let lines = fixture::without_log(&record.text);
        let is_there = lines
            .lines()
            .any(|line| line.starts_with(holder) && line.contains("00:01.0"));
        check!(is_there, "{}", tail());
        let domains = json_behind(&record.text, "now")?;
        let count = domains.as_array().map_or(0, Vec::len);
        check!(count == if is_given { 2 } else { 1 }, "{domains:#}");
    }
    Ok(())
}
