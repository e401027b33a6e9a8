//! The store as a person sees it: values, permissions, watches, and what it says of domains.

use super::domains::session;
use crate::check;
use crate::suite::{Outcome, Test, fixture};

/// The tests.
pub fn tests() -> Vec<Test> {
    vec![
        Test::new("system::the_store_keeps_what_is_written", values),
        Test::new("system::the_store_knows_the_domains", domains),
    ]
}

/// The lines between the commands `echo FROM` and `echo TO`, without prompts and commands.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim_end);
    let behind = lines.skip_while(|line| *line != from).skip(1);
    behind
        .take_while(|line| *line != to)
        .filter(|line| !line.starts_with("/ #"))
        .collect()
}

fn values() -> Outcome {
    let keys = "xenstore-write /t/b one /t/a 'two words'\nxenstore-chmod /t/a r0 b7\necho begin\nxenstore-ls -p /t\n\
                xenstore-rm /t/b\nxenstore-list /t\nxenstore-exists /t/b || echo gone\necho end\n\
                xenstore-watch -n 2 /t > /tmp/w &\nsleep 1\nxenstore-write /t/new x\nsleep 1\necho heard\ncat /tmp/w\necho over\npoweroff\n";
    let record = session("system::the_store_keeps_what_is_written", keys)?;
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
    let expected = ["web", "8192", "shop", "gone", "2"];
    check!(found == expected, "{found:?}\n{}", fixture::tail(&record.text));
    Ok(())
}
