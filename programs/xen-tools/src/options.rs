//! The words behind a command: options with and without values, and what they mean for `create`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::Value;
use crate::settings::{Ramdisk, Settings};

/// One word, as its form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'a> {
    /// `-o`, `--option`: without its dashes.
    Option(&'a str),
    /// Anything else; after `--` everything.
    Plain(&'a str),
}

/// The words behind a command, one by one.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [&'a str],
    /// Of `--option=value`, until it is asked for.
    value: Option<&'a str>,
    plain_only: bool,
}

impl<'a> Words<'a> {
    /// Begins with the first of `words`.
    pub fn new(words: &'a [&'a str]) -> Self {
        Self {
            rest: words,
            value: None,
            plain_only: false,
        }
    }

    /// The next word.
    ///
    /// # Errors
    /// The option before it had a value behind `=` that it does not take.
    pub fn take(&mut self) -> Result<Option<Word<'a>>, String> {
        if let Some(value) = self.value.take() {
            return Err(format!("the value `{value}` belongs to an option that has none"));
        }
        let Some((&word, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        if word == "--" && !self.plain_only {
            self.plain_only = true;
            return self.take();
        }
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let Some(name) = name.filter(|name| !self.plain_only && !name.is_empty()) else {
            return Ok(Some(Word::Plain(word)));
        };
        let name = match name.split_once('=') {
            Some((name, value)) => {
                self.value = Some(value);
                name
            }
            None => name,
        };
        Ok(Some(Word::Option(name)))
    }

    /// The value of the option that came last.
    ///
    /// # Errors
    /// There is none.
    pub fn value(&mut self, option: &str) -> Result<&'a str, String> {
        if let Some(value) = self.value.take() {
            return Ok(value);
        }
        let (&word, rest) = self
            .rest
            .split_first()
            .ok_or_else(|| format!("option {} needs a value", dashed(option)))?;
        self.rest = rest;
        Ok(word)
    }
}

/// An option's name as it is written.
pub fn dashed(option: &str) -> String {
    let dashes = if option.chars().count() == 1 { "-" } else { "--" };
    format!("{dashes}{option}")
}

/// What is said about an option that does not exist.
pub fn unknown(option: &str) -> String {
    format!("unknown option {}", dashed(option))
}

/// Options that only the listings' commands share, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing<'a> {
    /// `--json`: for programs.
    pub json: bool,
    /// `-l`, `--long`.
    pub long: bool,
    /// The domains asked for; none means all.
    pub domains: Vec<&'a str>,
}

impl<'a> Listing<'a> {
    /// Reads the words of a listing.
    ///
    /// # Errors
    /// An unknown option.
    pub fn parse(words: &'a [&'a str]) -> Result<Self, String> {
        let mut words = Words::new(words);
        let mut listing = Self::default();
        while let Some(word) = words.take()? {
            match word {
                Word::Option("json") => listing.json = true,
                Word::Option("l" | "long") => listing.long = true,
                Word::Option(other) => return Err(unknown(other)),
                Word::Plain(domain) => listing.domains.push(domain),
            }
        }
        Ok(listing)
    }
}

/// The words of `create`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create<'a> {
    /// A name or a configuration file.
    pub subject: Option<&'a str>,
    /// Statements that replace the file's, in order: option or key, value.
    statements: Vec<(String, &'static str, Value)>,
    /// `--no-initrd`.
    no_ramdisk: bool,
    /// Leave it paused.
    pub paused: bool,
    /// Go to its console at once.
    pub console: bool,
    /// Only show what would be created.
    pub dry_run: bool,
}

/// Options of `create` with a value, and the key of a configuration file that each stands for.
const SETTINGS: &[(&[&str], &str)] = &[
    (&["kernel"], "kernel"),
    (&["initrd", "ramdisk"], "ramdisk"),
    (&["append", "extra"], "extra"),
    (&["memory", "m"], "memory"),
    (&["maxmem"], "maxmem"),
    (&["weight"], "cpu_weight"),
    (&["name"], "name"),
    (&["disk"], "disk"),
    (&["vif"], "vif"),
    (&["ioport"], "ioports"),
    (&["irq"], "irqs"),
    (&["pci"], "pci"),
    (&["on-poweroff"], "on_poweroff"),
    (&["on-reboot"], "on_reboot"),
    (&["on-crash"], "on_crash"),
];

impl<'a> Create<'a> {
    /// Reads the words.
    ///
    /// # Errors
    /// An unknown option, a value that is missing, two names.
    pub fn parse(words: &'a [&'a str]) -> Result<Self, String> {
        let mut words = Words::new(words);
        let mut create = Self::default();
        while let Some(word) = words.take()? {
            match word {
                Word::Option("paused" | "p") => create.paused = true,
                Word::Option("console" | "c") => create.console = true,
                Word::Option("dry-run" | "n") => create.dry_run = true,
                Word::Option("no-initrd") => create.no_ramdisk = true,
                Word::Option(flag @ ("show" | "unsafe-dma")) => {
                    let key = if flag == "show" {
                        "console_show"
                    } else {
                        "unsafe_dma"
                    };
                    create.statements.push((dashed(flag), key, Value::Number(1)));
                }
                Word::Option(option) => {
                    let key = SETTINGS.iter().find(|(names, _)| names.contains(&option));
                    let (_, key) = *key.ok_or_else(|| unknown(option))?;
                    let value = words.value(option)?;
                    create.statements.push((dashed(option), key, typed(key, value)));
                }
                Word::Plain(subject) if create.subject.is_none() => create.subject = Some(subject),
                Word::Plain(other) => return Err(format!("what is `{other}`? The name is there already")),
            }
        }
        Ok(create)
    }

    /// Whether an option names the kernel, so that no configuration file is needed.
    pub fn names_kernel(&self) -> bool {
        self.statements.iter().any(|(_, key, _)| *key == "kernel")
    }

    /// Changes what a file or the defaults say.
    ///
    /// # Errors
    /// One line that names the option.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        for (option, key, value) in &self.statements {
            settings
                .set(key, value)
                .map_err(|what| format!("{option}: {what}"))?;
        }
        if self.no_ramdisk {
            settings.ramdisk = Ramdisk::None;
        }
        settings.check()
    }
}

/// The value as a file would have it: a number for the keys that take numbers alone.
fn typed(key: &str, value: &str) -> Value {
    match value.parse() {
        Ok(number) if key == "cpu_weight" => Value::Number(number),
        _ => Value::Text(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Action;

    #[test]
    fn words_are_options_values_and_the_rest() {
        let given = [
            "-n",
            "5",
            "--json",
            "web",
            "--memory=16M",
            "-",
            "--",
            "--not-an-option",
        ];
        let mut words = Words::new(&given);
        assert_eq!(words.take(), Ok(Some(Word::Option("n"))));
        assert_eq!(words.value("n"), Ok("5"));
        assert_eq!(words.take(), Ok(Some(Word::Option("json"))));
        assert_eq!(words.take(), Ok(Some(Word::Plain("web"))));
        assert_eq!(words.take(), Ok(Some(Word::Option("memory"))));
        assert_eq!(words.value("memory"), Ok("16M"));
        assert_eq!(words.take(), Ok(Some(Word::Plain("-"))));
        assert_eq!(words.take(), Ok(Some(Word::Plain("--not-an-option"))));
        assert_eq!(words.take(), Ok(None));
        assert_eq!(words.value("n"), Err("option -n needs a value".into()));
        assert!(Words::new(&["--json=1", "x"]).take().is_ok());
    }

    #[test]
    fn a_value_for_an_option_without_one_is_an_error() {
        assert!(Listing::parse(&["--json=yes"]).is_err());
        assert_eq!(Listing::parse(&["--jsno"]), Err("unknown option --jsno".into()));
        let listing = Listing::parse(&["web", "-l", "--json", "db"]).unwrap();
        assert_eq!(
            (listing.json, listing.long, listing.domains),
            (true, true, vec!["web", "db"])
        );
    }

    #[test]
    fn options_of_create_change_the_settings() {
        let words = "web --kernel k --memory 24M --initrd=r --append quiet --weight 512 --paused --on-crash restart --show";
        let words: Vec<&str> = words.split(' ').collect();
        let create = Create::parse(&words).unwrap();
        assert!(create.names_kernel() && create.paused && !create.console && !create.dry_run);
        let mut settings = Settings::new("web", "other");
        create.apply(&mut settings).unwrap();
        let expected = Settings {
            kernel: "k".into(),
            memory_kib: 24 << 10,
            ramdisk: Ramdisk::File("r".into()),
            extra: "quiet".into(),
            weight: Some(512),
            on_crash: Action::Restart,
            console_show: true,
            ..Settings::new("web", "other")
        };
        assert_eq!(settings, expected);
        Create::parse(&["--no-initrd"])
            .unwrap()
            .apply(&mut settings)
            .unwrap();
        assert_eq!(settings.ramdisk, Ramdisk::None);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_option() {
        let refused = |words: &[&str]| {
            Create::parse(words)
                .and_then(|create| create.apply(&mut Settings::new("web", "k")))
                .unwrap_err()
        };
        assert_eq!(refused(&["--kernel"]), "option --kernel needs a value");
        assert_eq!(refused(&["--kernal", "k"]), "unknown option --kernal");
        assert!(refused(&["--memory", "lots"]).starts_with("--memory: `lots` is not an amount"));
        assert!(refused(&["--weight", "0"]).starts_with("--weight: a weight is between"));
        assert!(refused(&["--weight", "much"]).starts_with("--weight: the value is a whole number"));
        assert!(refused(&["--on-crash", "x"]).starts_with("--on-crash: `x` is none of"));
        assert!(refused(&["a", "b"]).contains("`b`"));
        assert!(refused(&["--name", "12"]).contains("digits alone"));
    }
}
