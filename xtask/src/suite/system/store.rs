//! The store as a person sees it: values, permissions, watches, and what it says of domains.

use super::session::{session, talk};
use crate::check;
use crate::keyboard::Step;
use crate::suite::{Outcome, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::the_store_keeps_what_is_written", values),
        Test::new("system::the_store_knows_the_domains", domains),
        Test::new("system::the_store_connects_disks", disks),
    ]
}

/// The lines between the commands `echo FROM` and `echo TO`, without prompts, commands and the hypervisor's log.
fn between(text: &str, from: &str, to: &str) -> Vec<String> {
    let text = fixture::without_log(text);
    let lines = text.lines().map(str::trim_end);
    let behind = lines.skip_while(|line| *line != from).skip(1);
    behind
        .take_while(|line| *line != to)
        .filter(|line| !line.starts_with("/ #"))
        .map(String::from)
        .collect()
}

fn values() -> Outcome {
    let begin = "xenstore-write /t/b one /t/a 'two words'\nxenstore-chmod /t/a r0 b7\necho begin\nxenstore-ls -p /t\n\
                xenstore-rm /t/b\nxenstore-list /t\nxenstore-exists /t/b || echo gone\necho end\n\
                xenstore-watch -n 2 /t > /tmp/w &\n";
    let steps = vec![
        Step::keys(begin),
        // A watch tells at once that it is there.
        Step::until("cat /tmp/w", "/t"),
        Step::keys("xenstore-write /t/new x\nwait\necho heard\ncat /tmp/w\necho over\npoweroff\n"),
    ];
    let record = talk("system::the_store_keeps_what_is_written", steps)?;
    let found = between(&record.text, "begin", "end");
    let expected = ["a = \"two words\"  (r0 b7)", "b = \"one\"  (n0)", "a", "gone"];
    check!(found == expected, "{found:?}\n{}", fixture::tail(&record.text));
    let heard = between(&record.text, "heard", "over");
    check!(
        heard == ["/t", "/t/new"],
        "{heard:?}\n{}",
        fixture::tail(&record.text)
    );
    Ok(())
}

fn domains() -> Outcome {
    let keys = "create web --kernel mini-guest --memory 8M\necho begin\nxenstore-read /local/domain/1/name /local/domain/1/memory/target\n\
                rename web shop\nxenstore-read /local/domain/1/name\ndestroy shop\nxenstore-exists /local/domain/1 || echo gone\n\
                create web --kernel mini-guest --memory 8M > /tmp/o\nxenstore-list /local/domain\necho end\npoweroff\n";
    let record = session("system::the_store_knows_the_domains", keys)?;
    let found = between(&record.text, "begin", "end");
    let expected = ["web", "8192", "shop", "gone", "0", "2"];
    check!(found == expected, "{found:?}\n{}", fixture::tail(&record.text));
    Ok(())
}

/// Both halves of a disk find each other, and let go of each other, while the domain runs.
fn disks() -> Outcome {
    let are_connected = |listing: &str| {
        let lines = listing.lines().filter(|line| line.contains(" connected "));
        lines.count() == 2
    };
    let steps = vec![
        Step::keys("create web --kernel mini-guest --memory 8M --disk ram0:4\n"),
        Step::until("block-list web", " connected "),
        Step::keys(
            "block-attach web ram1:2 xvdd\nblock-attach web nosuch\nblock-attach web ram0:4 xvdd\nblock-attach web ram0:4\n",
        ),
        Step::Until("block-list web".into(), Box::new(are_connected)),
    ];
    let keys = "echo begin\nblock-list web\necho end\nblock-attach web ram2:1 && block-detach web xvda && block-detach web xvdb --force && echo let-go\necho begin2\nblock-list\necho end2\n\
                destroy web\necho begin3\nblock-list\nxenstore-list /local/domain/0/backend/vbd\necho end3\npoweroff\n";
    let steps = steps.into_iter().chain([Step::keys(keys)]).collect();
    let record = talk("system::the_store_connects_disks", steps)?;
    let table = |from, to| -> Vec<Vec<String>> {
        let lines = between(&record.text, from, to);
        let words = |line: &String| line.split_whitespace().map(String::from).collect();
        lines.iter().map(words).collect()
    };
    let tail = || fixture::tail(&record.text);
    let head = ["Domain", "Device", "Number", "State", "Sectors", "Disk"];
    let xvdd = ["web", "xvdd", "51760", "connected", "4096", "ram1:2"];
    let found = table("begin", "end");
    check!(
        found.len() == 3 && found[0] == head && found[2] == xvdd,
        "{found:?}\n{}",
        tail()
    );
    check!(
        found[1] == ["web", "xvda", "51712", "connected", "8192", "ram0:4"],
        "{found:?}\n{}",
        tail()
    );
    for refusal in [
        "nosuch: there is no such disk",
        "the domain has such a device already",
        "ram0:4: another device of a domain is on it already",
    ] {
        check!(record.text.contains(refusal), "no {refusal:?}\n{}", tail());
    }
    check!(
        record.text.lines().any(|line| line.trim_end() == "let-go"),
        "{}",
        tail()
    );
    check!(table("begin2", "end2")[1..] == [xvdd], "{}", tail());
    check!(table("begin3", "end3") == [head], "{}", tail());
    Ok(())
}
