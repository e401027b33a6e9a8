//! `sched`: the scheduler's parameters, and each domain's.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_abi::domctl::{AdjustDom, Direction, GetSchedId, SchedCtl, SchedId};
use programs::io;
use xen_tools::errno::Errno;
use xen_tools::options::{Word, Words, dashed, unknown};
use xen_tools::privileged::Privileged;
use xen_tools::view::{self, Policy, SchedRow};
use xen_tools::{builder, weight};

use crate::Outcome;
use crate::domains;
use crate::host::Host;

/// What is to be changed.
#[derive(Default)]
struct Changes {
    weight: Option<u32>,
    warp: Option<bool>,
    warp_value: Option<i32>,
    warp_limit_us: Option<u64>,
    unwarp_us: Option<u64>,
}

impl Changes {
    fn is_any(&self) -> bool {
        self.weight.is_some()
            || self.warp.is_some()
            || self.warp_value.is_some()
            || self.warp_limit_us.is_some()
            || self.unwarp_us.is_some()
    }

    fn apply(&self, params: &mut AdjustDom) {
        if let Some(weight) = self.weight {
            params.mcu_advance = weight::to_advance(weight);
        }
        if let Some(warp) = self.warp {
            params.warpback = warp.into();
        }
        if let Some(value) = self.warp_value {
            params.warpvalue = value;
        }
        if let Some(us) = self.warp_limit_us {
            params.warpl_ns = us.saturating_mul(1000);
        }
        if let Some(us) = self.unwarp_us {
            params.warpu_ns = us.saturating_mul(1000);
        }
    }
}

/// `sched [--json] [NAME [--weight N] …] [--slice US]`.
pub fn sched(words: &[&str]) -> Outcome {
    let mut words = Words::new(words);
    let (mut json, mut slice_us, mut wanted, mut changes) = (false, None, Vec::new(), Changes::default());
    while let Some(word) = words.take()? {
        match word {
            Word::Option("json") => json = true,
            Word::Option(option @ ("weight" | "w")) => {
                changes.weight = Some(weight::check(number(option, words.value(option)?)?)?);
            }
            Word::Option(option @ "warp") => {
                changes.warp = Some(match words.value(option)? {
                    "on" | "1" => true,
                    "off" | "0" => false,
                    other => return Err(format!("--warp is on or off, not `{other}`")),
                });
            }
            Word::Option(option @ "warp-by") => {
                let us = number(option, words.value(option)?)?;
                let value = weight::to_warp(us);
                changes.warp_value =
                    Some(value.ok_or("--warp-by: that is longer than the scheduler can count")?);
            }
            Word::Option(option @ "warp-for") => {
                changes.warp_limit_us = Some(number(option, words.value(option)?)?);
            }
            Word::Option(option @ "warp-pause") => {
                changes.unwarp_us = Some(number(option, words.value(option)?)?)
            }
            Word::Option(option @ "slice") => slice_us = Some(number::<u64>(option, words.value(option)?)?),
            // xl's `-d NAME`.
            Word::Option(option @ ("d" | "domain")) => wanted.push(words.value(option)?),
            Word::Option(option) => return Err(unknown(option)),
            Word::Plain(domain) => wanted.push(domain),
        }
    }
    let host = Host::open()?;
    builder::scale_domain0(&host).map_err(|error| format!("Domain0's share: {error}"))?;
    let policy = host
        .control(&GetSchedId::default())
        .map_err(|error| format!("asking about the scheduler: {error}"))?
        .sched_id;
    if let Some(us) = slice_us {
        slice(&host, policy, Direction::PUT, us.saturating_mul(1000)).map_err(|error| match error {
            Errno::EINVAL => format!("the scheduler refuses a slice of {us} us"),
            error => format!("setting the slice: {error}"),
        })?;
    }
    if changes.is_any() {
        return set(&host, policy, &wanted, &changes);
    }
    if slice_us.is_some() && wanted.is_empty() && !json {
        return Ok(());
    }
    let listing = listing(&host, policy, &wanted)?;
    let text = if json {
        view::json(&listing)
    } else {
        view::sched(&listing)
    };
    io::out(text.as_bytes());
    Ok(())
}

fn number<N: core::str::FromStr>(option: &str, text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{}: `{text}` is not such a number", dashed(option)))
}

fn slice(
    host: &Host,
    sched_id: SchedId,
    direction: Direction,
    slice_ns: u64,
) -> xen_tools::errno::Result<u64> {
    let args = SchedCtl {
        sched_id,
        direction,
        slice_ns,
    };
    host.control(&args).map(|args| args.slice_ns)
}

fn set(host: &Host, policy: SchedId, wanted: &[&str], changes: &Changes) -> Outcome {
    if wanted.is_empty() {
        return Err("whose parameters? A name or a number goes with them".into());
    }
    if policy != SchedId::BVT {
        return Err(format!(
            "the {policy} scheduler has no parameters for a domain; the hypervisor's argument sched=bvt chooses one that has"
        ));
    }
    for name in wanted {
        let id = domains::find(host, name)?.id();
        let put = builder::scheduling(host, id).and_then(|mut params| {
            changes.apply(&mut params);
            params.direction = Direction::PUT;
            host.control(&params)
        });
        put.map_err(|error| match error {
            Errno::EINVAL => format!("{name}: the scheduler refuses these values"),
            error => format!("{name}: {error}"),
        })?;
    }
    Ok(())
}

fn listing(host: &Host, policy: SchedId, wanted: &[&str]) -> Result<Policy, String> {
    let mut rows = Vec::new();
    if policy == SchedId::BVT {
        for known in domains::select(host, wanted)? {
            // One that is gone meanwhile is left out.
            if let Ok(params) = builder::scheduling(host, known.id()) {
                rows.push(SchedRow::new(&known.view(), &params));
            }
        }
    }
    Ok(Policy {
        scheduler: format!("{policy}"),
        slice_ns: slice(host, policy, Direction::GET, 0).ok(),
        domains: rows,
    })
}
