//! Network interfaces of other domains: two of them reach each other over Domain0's bridge, and go on when a backend is killed; the
//! host reaches one of them through the card.

use super::launched;
use super::session::{PROMPT, prepare};
use super::stack::{PAUSE, ask, body, free_port};
use super::transfers;
use crate::check;
use crate::suite::{Outcome, Stop, Test, fixture};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often the backend is killed, each time after one step more of its work; and behind steps of each of four kinds.
const KILLS: usize = 8;
const MANY_KILLS: u64 = 50;

/// The tests.
pub fn tests(launcher: &Arc<Path>) -> Vec<Test> {
    let launcher = Arc::clone(launcher);
    let (other, third) = (Arc::clone(&launcher), Arc::clone(&launcher));
    vec![
        Test::new("system::two_domains_reach_each_other", move || reach(&launcher)),
        Test::new("system::the_host_reaches_a_domain", move || serve(&other)),
        Test::new("system::fifty_kills_of_a_network_backend", move || {
            many_kills(&third)
        }),
    ]
}

/// The initial file system of the domains: one that asks for ever, one that answers, one that gives pages away.
fn archive(dir: &Path) -> Result<PathBuf, Stop> {
    let scripts = [
        ("ask", "ping -c 3 -s 1400 10.0.9.2\nping -c 100000 10.0.9.2\n"),
        ("answer", "exec sleep 100000\n"),
        ("serve", "ping -c 3 10.0.2.2; echo ping-$?\nexec httpd\n"),
        ("get", "netlog get 10.0.9.2 60000 &\nnetlog get 10.0.9.2 100000\n"),
        ("give", "exec netlog serve\n"),
    ];
    launched::archive(dir, "nets.cpio", &scripts)
}

fn create(name: &str, address: &str, script: &str) -> String {
    format!(
        "create {name} --kernel mini-guest --initrd nets.cpio --memory 24M --show --vif ip={address}/24,rate=10MB/s \
         --append \"-- /bin/sh /etc/{script}\"\n"
    )
}

/// Domain `asker` pings domain `other`; then its backend is killed at one step after the other, and each time answers come again.
fn reach(launcher: &Path) -> Outcome {
    let name = "system::two_domains_reach_each_other";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let answer = "asker: 64 bytes from 10.0.9.2";
    let both = create("other", "10.0.9.2", "answer") + &create("asker", "10.0.9.1", "ask");
    let kills: Vec<String> = (0..KILLS)
        .map(|steps| format!("network-restart asker 0 {steps}; echo killed-$?\n"))
        .collect();
    let mut steps: Vec<(&str, &[u8])> = vec![
        (PROMPT, both.as_bytes()),
        ("asker: 1408 bytes from 10.0.9.2", b""),
        (answer, b""),
    ];
    for kill in &kills {
        // What was on the way when it was killed is lost; the next ones are answered.
        steps.extend([(answer, kill.as_bytes()), ("killed-0", b""), (answer, b"")]);
    }
    steps.push((
        answer,
        b"network-list; echo list-$?\nnetwork-rate asker none; echo rate-$?\nnetwork-attach asker mac=00:16:3e:00:00:01,color=red\n\
          network-detach asker 0; echo detach-$?\nnetwork-list asker; echo gone-$?\npoweroff\n",
    ));
    let finished = launched::boot(name, launcher, &[], &[&archive], &steps)?;
    let seen = fixture::tail(&finished.output);
    let finished =
        finished.expect_output(&["list-0", "rate-0", "`color` is no key", "detach-0", "gone-0"])?;
    let listed = |domain: &str| {
        finished
            .output
            .lines()
            .any(|line| line.starts_with(domain) && line.contains("connected") && line.contains(" 10000 "))
    };
    check!(
        listed("asker ") && listed("other "),
        "not connected at the end\n{seen}"
    );
    check!(!finished.output.contains("DUP"), "a frame came twice\n{seen}");
    Ok(())
}

/// Two programs of domain `asker` exchange bytes with `other`, while its backend is killed behind steps of each kind: the first ones, the second
/// ones, and so on. Each transfer is complete and right, none fails.
fn many_kills(launcher: &Path) -> Outcome {
    let name = "system::fifty_kills_of_a_network_backend";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let both = create("other", "10.0.9.2", "give") + &create("asker", "10.0.9.1", "get");
    let kill = format!("network-restart --kills {MANY_KILLS} asker; echo kills-$?\n");
    let (short, long) = (" 60000 bytes, sum ", " 100000 bytes, sum ");
    let steps: [(&str, &[u8]); 8] = [
        (PROMPT, both.as_bytes()),
        (short, b""),
        (long, kill.as_bytes()),
        ("kills-0", b""),
        // Those that were under way, and others.
        (short, b""),
        (long, b""),
        (short, b""),
        (long, b"network-list --counters; echo list-$?\npoweroff\n"),
    ];
    let finished = launched::boot(name, launcher, &[], &[&archive], &steps)?.expect_output(&["list-0"])?;
    let output = &finished.output;
    let killed = output
        .lines()
        .find_map(|line| Some(line.split_once("killed 50: ")?.1));
    let counts: Vec<u64> = killed
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let seen = fixture::tail(output);
    check!(counts == [13, 13, 12, 12], "killed {killed:?}\n{seen}");
    let connected = output.lines().filter(|line| line.contains(" connected "));
    check!(connected.count() == 2, "not connected at the end\n{seen}");
    transfers::are_whole(output, "asker")
}

/// A domain with a fixed address pings the gateway through the card, and the host gets pages from it until it is turned off.
fn serve(launcher: &Path) -> Outcome {
    let name = "system::the_host_reaches_a_domain";
    prepare()?;
    let dir = tempfile::tempdir()?;
    let archive = archive(dir.path())?;
    let port = free_port()?;
    let card = format!("tcp:{port}:10.0.2.40:80");
    let create = "create web --kernel mini-guest --initrd nets.cpio --memory 24M --show \
                  --vif ip=10.0.2.40/24,gw=10.0.2.2 --append \"-- /bin/sh /etc/serve\"\n";
    let answered = "web: httpd: 10.0.2.2 200 OK";
    let steps: [(&str, &[u8]); 5] = [
        (PROMPT, create.as_bytes()),
        ("web: ping-0\r\n", b""),
        (answered, b""),
        (answered, b""),
        (answered, b"cat /proc/net/dev\npoweroff\n"),
    ];
    let is_over = Arc::new(AtomicBool::new(false));
    let visitor = {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || visit(port, &is_over))
    };
    let finished = launched::boot(name, launcher, &["--net", &card], &[&archive], &steps);
    is_over.store(true, Ordering::SeqCst);
    let finished = finished?;
    let seen = fixture::tail(&finished.output);
    let answers = finished
        .output
        .matches("web: 64 bytes from 10.0.2.2: icmp_seq=")
        .count();
    check!(answers == 3, "{answers} replies instead of 3\n{seen}");
    match visitor.join() {
        // The last answer may have been on its way when the machine was turned off.
        Ok(Ok(pages)) if pages >= 2 => Ok(()),
        Ok(Ok(pages)) => Err(Stop::Fail(format!("only {pages} pages arrived\n{seen}"))),
        Ok(Err(what)) => Err(Stop::Fail(format!("{what}\n{seen}"))),
        Err(_) => Err(Stop::Fail("the visitor panicked".into())),
    }
}

/// Gets the domain's page again and again; how often it came.
fn visit(port: u16, is_over: &AtomicBool) -> Result<u32, String> {
    let request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    let mut pages = 0;
    while !is_over.load(Ordering::SeqCst) {
        match ask(port, request).map(|answer| body(&answer, "200 OK")) {
            Ok(Ok(page)) if page.ends_with(b"from a domain.</p>\n") => pages += 1,
            Ok(Ok(page)) => return Err(format!("another page: {}", String::from_utf8_lossy(&page))),
            // It is not there yet, or no more.
            _ => {}
        }
        std::thread::sleep(PAUSE);
    }
    Ok(pages)
}
