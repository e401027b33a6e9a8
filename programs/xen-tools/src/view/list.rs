//! `list`, `uptime`, `vm-list`: a line for each domain.

use alloc::format;
use alloc::string::String;

use super::{Domain, seconds};

/// `xl list`.
pub fn list(domains: &[Domain]) -> String {
    let head = format!(
        "{:<40} {:>5} {:>5} {:>5}\t{}\t{}\n",
        "Name", "ID", "Mem", "VCPUs", "State", "Time(s)"
    );
    domains.iter().fold(head, |text, domain| {
        text + &format!(
            "{:<40} {:>5} {:>5} {:>5}     {}  {:>8}\n",
            domain.label(),
            domain.id,
            domain.memory_kib / 1024,
            domain.vcpus,
            domain.state,
            seconds(domain.cpu_time_ns),
        )
    })
}

/// `xl uptime`.
pub fn uptimes(domains: &[Domain]) -> String {
    let head = format!("{:<33} {:>4} {}\n", "Name", "ID", "Uptime");
    domains.iter().fold(head, |text, domain| {
        let up = domain.uptime_ns.map_or_else(|| "?".into(), duration);
        text + &format!("{:<33} {:>4} {up}\n", domain.label(), domain.id)
    })
}

/// Names alone, one a line.
pub fn names(domains: &[Domain]) -> String {
    domains
        .iter()
        .fold(String::new(), |text, domain| text + domain.label() + "\n")
}

/// `1 day, 02:03:04`, as `xl` has it.
fn duration(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    format!("{days}{:2}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: Option<&str>, id: u16) -> Domain {
        Domain {
            name: name.map(Into::into),
            id,
            memory_kib: 8192,
            max_memory_kib: None,
            vcpus: 1,
            state: "-b----".into(),
            shutdown_reason: None,
            cpu_time_ns: 1_950_000_000,
            uptime_ns: name.map(|_| 93_784_000_000_000),
        }
    }

    #[test]
    fn columns_are_those_of_xl() {
        let text = list(&[domain(Some("web"), 3), domain(None, 12)]);
        let expected = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                        web                                          3     8     1     -b----       1.9\n\
                        (null)                                      12     8     1     -b----       1.9\n";
        assert_eq!(text, expected);
        let text = uptimes(&[domain(Some("web"), 3), domain(None, 12)]);
        let expected = "Name                                ID Uptime\n\
                        web                                  3 1 day,  2:03:04\n\
                        (null)                              12 ?\n";
        assert_eq!(text, expected);
        assert_eq!(names(&[domain(Some("a"), 1), domain(Some("b"), 2)]), "a\nb\n");
    }

    #[test]
    fn json_has_every_field() {
        let text = super::super::json(&[domain(None, 3)]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["name"], serde_json::Value::Null);
        assert_eq!(value[0]["id"], 3);
        assert_eq!(value[0]["memory_kib"], 8192);
        assert_eq!(value[0]["cpu_time_ns"], 1_950_000_000_u64);
        assert!(text.ends_with("]\n"));
    }
}
