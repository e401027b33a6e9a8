//! What packets cost: from Domain0 to its card by the card's driver, from another domain to the same card, and from one domain to another; and back.

use super::Numbers;
use super::scene::{self, BATCHES, DEPTHS, DONE, Scene};
use crate::quiet::echo::{self, QuietEcho};
use crate::suite::fixture;
use crate::workspace;
use anyhow::{Result, ensure};

/// Bytes of data in a packet.
pub const SIZES: [u32; 2] = [1, 1400];
/// Who sends, and to whom: Domain0 and a domain to the card, and that domain to another one.
pub const WAYS: [&str; 3] = ["native", "card", "domain"];
/// The Ethernet address of the domain that sends packets back.
const MIRROR: &str = "00:16:3e:00:00:02";

/// The loads as `netcost` takes them.
fn loads() -> Vec<String> {
    SIZES
        .iter()
        .flat_map(|size| DEPTHS.map(|depth| format!("{size}:{depth}")))
        .collect()
}

/// Packets that the card's cable has to see, of Domain0 and of the domain: each load is done twice, the first time one batch.
fn packets_by_card() -> u64 {
    let depths = DEPTHS.iter().sum::<u32>() * SIZES.len() as u32;
    u64::from(2 * depths * (BATCHES + 1))
}

/// Builds what is booted.
///
/// # Errors
/// A failed build.
pub fn prepare() -> Result<Scene> {
    let loads = loads().join(" ");
    let cost = |how, interface, to| format!("netcost {how} -n {BATCHES} {interface} {to} {loads}\n");
    let create = |name, vif| {
        format!("create {name} --kernel mini-guest --initrd {name}.cpio --memory 24M --show --vif {vif}\n")
    };
    Scene::prepare(
        "autostart=no ip=198.18.1.1/24",
        &format!(
            "xl autostart\n{}{}{}",
            cost("", "net0", echo::ADDRESS),
            create("mirror", format!("ip=198.18.1.2/24,mac={MIRROR}")),
            create("load", "ip=198.18.1.3/24".into())
        ),
        &[
            ("mirror", "netcost -m eth0\n"),
            (
                "load",
                &format!(
                    "{}{}echo {DONE}\n",
                    cost("-w", "eth0", MIRROR),
                    cost("", "eth0", echo::ADDRESS)
                ),
            ),
        ],
    )
}

/// Measures once.
///
/// # Errors
/// A machine that ends otherwise than it should; numbers that are missing; packets that were lost, or came twice.
pub fn measure(scene: &Scene) -> Result<Numbers> {
    let work = tempfile::tempdir_in(workspace::scratch()?)?;
    let echo = QuietEcho::start(work.path())?;
    let (text, parts) = scene.run(work.path(), QuietEcho::arguments(work.path()))?;
    let sent_back = echo.end()?;
    let native = scene::said(&text, "netcost", None)?;
    let mut domain = scene::said(&text, "netcost", Some("load"))?;
    let each = loads().len();
    let count = scene::parts_of(each);
    ensure!(
        (native.len(), domain.len()) == (each, 2 * each) && parts.len() > 3 * (count + 1),
        "{} and {} numbers, and {} parts in\n{}",
        native.len(),
        domain.len(),
        parts.len(),
        fixture::tail(&text)
    );
    ensure!(
        sent_back == packets_by_card(),
        "{sent_back} packets came to the end of the cable, and not {}",
        packets_by_card()
    );
    let card = domain.split_off(each);
    let mut numbers = Numbers::new();
    // Domain0 asks for the version at its boot, too. How many marks are behind its loads depends on how long the domain waits for the mirror.
    let card_at = parts.len() - count;
    let domain_at = card_at - 1 - count;
    let ways = [(native, 1), (card, card_at), (domain, domain_at)];
    for (way, (said, at)) in WAYS.into_iter().zip(ways) {
        scene::add(&mut numbers, way, said, &parts[at..]);
    }
    Ok(numbers)
}
