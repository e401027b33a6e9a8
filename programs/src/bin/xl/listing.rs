//! `list`, `uptime`, `domid`, `domname`.

use alloc::format;
use alloc::vec::Vec;

use programs::{io, println};
use xen_tools::options::Listing;
use xen_tools::view;

use crate::host::Host;
use crate::{Outcome, domains, info};

/// `list [--json] [--long] [NAME…]`.
pub fn list(words: &[&str]) -> Outcome {
    let listing = Listing::parse(words)?;
    if listing.long {
        return info::long(&listing.domains);
    }
    show(&listing, view::list)
}

/// `uptime [--json] [NAME…]`.
pub fn uptime(words: &[&str]) -> Outcome {
    show(&Listing::parse(words)?, view::uptimes)
}

fn show(listing: &Listing<'_>, text: fn(&[view::Domain]) -> alloc::string::String) -> Outcome {
    let host = Host::open()?;
    let found = domains::select(&host, &listing.domains)?;
    let domains: Vec<view::Domain> = found.iter().map(domains::Known::view).collect();
    let text = if listing.json {
        view::json(&domains)
    } else {
        text(&domains)
    };
    io::out(text.as_bytes());
    Ok(())
}

/// `domid NAME`.
pub fn domid(words: &[&str]) -> Outcome {
    let [name] = words else {
        return Err("one word is needed: a domain's name".into());
    };
    println!("{}", domains::find(&Host::open()?, name)?.id().raw());
    Ok(())
}

/// `domname ID`.
pub fn domname(words: &[&str]) -> Outcome {
    let [id] = words else {
        return Err("one word is needed: a domain's number".into());
    };
    let found = domains::find(&Host::open()?, id)?;
    match found.view().name {
        Some(name) => println!("{name}"),
        None => return Err(format!("domain {id} has no name: these tools did not create it")),
    }
    Ok(())
}
