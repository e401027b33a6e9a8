//! Memory that domains give back and take again, as a person asks for it.

use super::has_lines;
use super::session::{attend, image, json_behind, rest, run};
use crate::check;
use crate::keyboard::{Keyboard, Step};
use crate::suite::{Outcome, Stop, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::a_domain_gives_memory_back_and_takes_it_again", domain),
        Test::new("system::domain0_gives_memory_back_and_takes_it_again", domain0),
    ]
}

/// A DomU of 16 MB goes down to 12 and up again; the machine has what it does not. More than it may have, less than it can do with: refused.
fn domain() -> Outcome {
    let name = "system::a_domain_gives_memory_back_and_takes_it_again";
    let look = |mark: &str| format!("echo {mark}\ninfo --json\nlist --json a\n");
    let keys = format!(
        "{}mem-set a 12M; echo less $?\n{}mem-set a 16M; echo more $?\n{}\
         mem-set a 32M; echo limit $?\nmem-set a 0; echo nothing $?\nmem-set a 12M; mem-max a 14M; mem-set a 16M; echo lowered $?\n\
         mem-set a 14M; echo within $?\nmem-max a 64M; mem-set a 512K; echo little $?\n\
         mem-set a 16M; echo again $?\nshutdown --wait a; echo ended $?\npoweroff\n",
        look("first"),
        look("second"),
        look("third"),
    );
    let mut image = image("autostart=no", &fixture::domain_initrd()?)?;
    image.append += " audit-on-shutdown";
    let steps = vec![
        Step::keys("create a --kernel mini-guest --memory 16M --maxmem 24M\n"),
        rest(&["a"]),
        Step::keys(keys),
    ];
    let record = attend(name, &image, Keyboard::of_steps(steps))?;
    has_lines(
        &record,
        &[
            "a: 12288 KiB",
            "less 0",
            "a: 16384 KiB",
            "more 0",
            "limit 1",
            "nothing 1",
            "lowered 1",
            "a: 14336 KiB",
            "within 0",
            "little 1",
            "again 0",
            "ended 0",
        ],
    )?;
    let sizes = |mark: &str| -> Result<(u64, u64), Stop> {
        let machine = json_behind(&record.text, mark)?;
        let rest = record
            .text
            .split_once(&format!("{mark}\r\n"))
            .map_or("", |(_, rest)| rest);
        let domains = json_behind(rest, "/ # list --json a")?;
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        Ok((
            number(&machine["free_memory_kib"]),
            number(&domains[0]["memory_kib"]),
        ))
    };
    let (first, second, third) = (sizes("first")?, sizes("second")?, sizes("third")?);
    check!(
        (first.1, second.1, third.1) == (16_384, 12_288, 16_384),
        "{first:?} {second:?} {third:?}"
    );
    check!(
        second.0 == first.0 + 4096 && third.0 == first.0,
        "{first:?} {second:?} {third:?}"
    );
    Ok(())
}

/// Domain0's own balloon, by its file and by the command; programs that need memory work before, between, and behind.
fn domain0() -> Outcome {
    let name = "system::domain0_gives_memory_back_and_takes_it_again";
    let keys = "info --json\nmem-set 0 100M; echo less $?\ncow; echo cow $?\ncat /proc/xen/balloon\n\
                create a --kernel mini-guest --memory 120M; echo room $?\ndestroy a\n\
                echo 120M > /proc/xen/balloon\ncat /proc/xen/balloon\necho 4G > /proc/xen/balloon; echo large $?\n\
                echo much > /proc/xen/balloon; echo word $?\nstress; echo stress $?\npoweroff\n";
    let mut image = image("autostart=no", &fixture::domain_initrd()?)?;
    image.append += " audit-on-shutdown dom0_mem=200M";
    let record = run(name, &image, keys)?;
    has_lines(
        &record,
        &[
            "Domain-0: 102400 KiB",
            "less 0",
            "cow 0",
            "Current allocation:    102400 kB",
            "Requested target:    102400 kB",
            "room 0",
            "Current allocation:    122880 kB",
            "large 1",
            "word 1",
            "stress 0",
        ],
    )
}
