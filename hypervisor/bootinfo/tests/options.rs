//! The hypervisor's command line: what each option means, and that nothing stops the boot.

use hv_bootinfo::options::{Consoles, MAX_WARNINGS, OptionWarning, Options, TABLE};
use log::LevelFilter;
use proptest::prelude::*;

fn clean(line: &str) -> Options<'_> {
    let options = Options::parse(line);
    assert_eq!(options.warnings.as_slice(), [], "{line}");
    options
}

fn refused(word: &str) {
    let options = Options::parse(word);
    assert_eq!(
        options.warnings.as_slice(),
        [OptionWarning::BadValue(word)],
        "{word}"
    );
    let unchanged = Options {
        warnings: options.warnings.clone(),
        ..Options::default()
    };
    assert_eq!(options, unchanged, "a bad word changes nothing");
}

#[test]
fn an_empty_line_is_the_default() {
    assert_eq!(clean(""), Options::default());
    assert_eq!(clean("   \t "), Options::default());
}

#[test]
fn consoles_are_a_list() {
    let set = |com1, com2, screen| Consoles { com1, com2, screen };
    assert_eq!(clean("console=com1").consoles, set(true, false, false));
    assert_eq!(clean("console=vga").consoles, set(false, false, true));
    assert_eq!(clean("console=com2,vga").consoles, set(false, true, true));
    for bad in [
        "console",
        "console=",
        "console=com3",
        "console=com1,",
        "console=,vga",
        "console=COM1",
    ] {
        refused(bad);
    }
}

#[test]
fn levels_have_xens_names() {
    let names = [
        ("none", LevelFilter::Off),
        ("error", LevelFilter::Error),
        ("warning", LevelFilter::Warn),
        ("warn", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("all", LevelFilter::Trace),
    ];
    for (name, level) in names {
        assert_eq!(clean(&format!("loglvl={name}")).log_level, level);
        assert_eq!(clean(&format!("guest_loglvl={name}")).guest_log_level, level);
    }
    refused("loglvl=loud");
    refused("guest_loglvl=");
}

#[test]
fn memory_counts_kib_without_a_letter() {
    let bytes = |text: &str| clean(&format!("dom0_mem={text}")).dom0_mem.unwrap();
    assert_eq!(bytes("64000"), 64000 << 10);
    assert_eq!(bytes("64000K"), 64000 << 10);
    assert_eq!(bytes("512M"), 512 << 20);
    assert_eq!(bytes("512m"), 512 << 20);
    assert_eq!(bytes("2G"), 2 << 30);
    assert_eq!(bytes("7"), 4096, "whole pages");
    for bad in [
        "",
        "0",
        "3",
        "M",
        "-1",
        "+1",
        "1.5G",
        "1T",
        "1 G",
        "0x10",
        "18446744073709551615G",
        "99999999999999999999",
    ] {
        let word = format!("dom0_mem={}", bad.replace(' ', ""));
        if bad != "1 G" {
            refused(&word);
        }
    }
}

#[test]
fn switches_stand_alone_or_take_yes_and_no() {
    assert!(clean("noreboot").is_reboot_forbidden);
    assert!(clean("noreboot=yes exit-on-shutdown=1").exits_on_shutdown);
    assert!(
        !clean("noreboot noreboot=no").is_reboot_forbidden,
        "the later word counts"
    );
    refused("noreboot=maybe");
    refused("exit-on-shutdown=");
}

#[test]
fn the_scheduler_is_passed_on_as_it_is() {
    assert_eq!(clean("sched=bvt").scheduler, Some("bvt"));
    refused("sched=");
    refused("sched");
}

#[test]
fn unknown_words_are_named_and_the_rest_counts() {
    let options = Options::parse("watchdog dom0_mem=1G com1=9600 Noreboot");
    assert_eq!(options.dom0_mem, Some(1 << 30));
    let words: Vec<_> = ["watchdog", "com1=9600", "Noreboot"]
        .map(OptionWarning::Unknown)
        .to_vec();
    assert_eq!(options.warnings.as_slice(), words);
    assert_eq!(words[1].to_string(), "hypervisor argument 'com1=9600' is unknown");
    let many = Options::parse("a b c d e f g h i j");
    assert_eq!((many.warnings.len(), many.warnings_lost), (MAX_WARNINGS, 2));
}

#[test]
fn every_option_of_the_manual_exists() {
    for option in TABLE {
        let word = if option.values.is_empty() {
            option.name.to_owned()
        } else {
            format!("{}=?", option.name)
        };
        let options = Options::parse(&word);
        let is_unknown = options
            .warnings
            .iter()
            .any(|w| matches!(w, OptionWarning::Unknown(_)));
        assert!(!is_unknown, "{word}");
    }
}

proptest! {
    #[test]
    fn any_line_is_understood(line in "[ -~\u{80}-\u{FFFF}]{0,200}") {
        let _ = Options::parse(&line);
    }

    #[test]
    fn likely_lines_are_understood(
        words in prop::collection::vec((0_usize..TABLE.len(), "(=[0-9a-zA-Z,-]{0,24})?"), 0..12),
    ) {
        let line: Vec<_> = words.iter().map(|(n, value)| format!("{}{value}", TABLE[*n].name)).collect();
        let line = line.join(" ");
        let options = Options::parse(&line);
        prop_assert!(options.dom0_mem.is_none_or(|bytes| bytes != 0 && bytes % 4096 == 0));
        prop_assert!(options.warnings.len() + options.warnings_lost <= words.len());
    }
}
