//! The builder against the mock: what a domain finds at its start, and that no refusal leaves anything behind.

use super::*;
use crate::mock::image::{Image, abi_note, base_note, note};
use crate::mock::{self, Mock};
use crate::walk;
use guest_abi::addr::GuestVirt;
use guest_abi::elfnote::OWNER;
use zerocopy::FromBytes;

fn request<'a>(kernel: &'a [u8], ramdisk: &'a [u8]) -> Request<'a> {
    Request {
        name: "web",
        kernel,
        ramdisk,
        command_line: "quiet",
        memory_kib: 8192,
        limit_kib: 16_384,
        weight: Some(512),
        console_show: true,
        has_store: true,
    }
}

fn assisted_kernel() -> Vec<u8> {
    let notes = [
        abi_note(),
        base_note(0xC000_0000),
        note(OWNER, 4, &1_u32.to_le_bytes()),
    ]
    .concat();
    Image {
        notes,
        ..Image::sample()
    }
    .bytes()
}

#[test]
fn a_domain_finds_what_it_needs() {
    let privileged = Mock::default();
    let (kernel, ramdisk) = (assisted_kernel(), vec![0x5A; 9000]);
    let built = build(&privileged, &request(&kernel, &ramdisk)).unwrap();
    let domain = privileged.state.borrow().domains[&built.id.raw()].clone();

    assert_eq!(
        domain.console,
        Some((built.console_mfn.raw(), "web".into(), true))
    );
    assert_eq!(
        (domain.limit_kib, domain.advance, domain.assisted),
        (Some(16_384), weight::to_advance(512), true)
    );
    let numbers: Vec<u32> = domain.frames.iter().map(|frame| domain.numbers[frame]).collect();
    assert_eq!(numbers, (0..2048).collect::<Vec<_>>());
    assert_eq!(privileged.mappings(), 0);

    let context = domain.context.unwrap();
    assert_eq!((context.regs.eip, context.regs.eflags), (0xC010_0004, 0x202));
    assert_eq!(context.trap_table[255].vector, 255);
    let l3 = Mfn::try_containing(context.pt_base).unwrap();
    // What ESI points to, through the tables that were pinned.
    let mut page = [0; 4096];
    let count = walk::read(
        &privileged,
        built.id,
        l3,
        GuestVirt::new(context.regs.esi),
        &mut page,
    );
    assert_eq!(count, Ok(4096));
    let info = StartInfo::read_from_prefix(&page).unwrap().0;
    assert_eq!(info.nr_pages, 2048);
    assert_eq!(info.shared_info.raw(), u64::from(mock::SHARED_INFO) << 12);
    assert_eq!(info.command_line(), b"quiet");
    assert_eq!(
        (info.console_mfn, info.console_evtchn),
        (built.console_mfn, mock::PORT)
    );
    assert_eq!(info.store_evtchn, mock::STORE_PORT);
    assert_eq!(domain.store, Some((info.store_mfn.raw(), mock::STORE_PORT)));
    assert_ne!(info.store_mfn, info.console_mfn);
    let mut bytes = [0; 9000];
    let count = walk::read(&privileged, built.id, l3, info.mod_start, &mut bytes);
    assert_eq!((count, info.mod_len), (Ok(9000), 9000));
    assert!(bytes.iter().all(|byte| *byte == 0x5A));
    let count = walk::read(
        &privileged,
        built.id,
        l3,
        GuestVirt::new(0xC010_2000),
        &mut bytes[..9],
    );
    assert_eq!((count, &bytes[..9]), (Ok(9), &b"constants"[..]));
    // Where nothing is mapped nothing is read, and a read that begins well ends at the hole.
    assert_eq!(
        walk::read(&privileged, built.id, l3, GuestVirt::new(0x1000), &mut bytes),
        Err(Errno::EFAULT)
    );
    let mut many = vec![0; 16 << 20];
    let count = walk::read(&privileged, built.id, l3, GuestVirt::new(0xC000_0000), &mut many).unwrap();
    assert!(
        count > 1 << 20 && count <= 8 << 20 && count % 4096 == 0,
        "{count:#x}"
    );
}

#[test]
fn a_domain_may_go_without_the_store() {
    let privileged = Mock::default();
    let kernel = assisted_kernel();
    let without = Request {
        has_store: false,
        ..request(&kernel, b"")
    };
    let built = build(&privileged, &without).unwrap();
    let domain = privileged.state.borrow().domains[&built.id.raw()].clone();
    assert_eq!(domain.store, None);
    let context = domain.context.unwrap();
    let l3 = Mfn::try_containing(context.pt_base).unwrap();
    let mut page = [0; 4096];
    let esi = GuestVirt::new(context.regs.esi);
    walk::read(&privileged, built.id, l3, esi, &mut page).unwrap();
    let info = StartInfo::read_from_prefix(&page).unwrap().0;
    assert_eq!((info.store_mfn.raw(), info.store_evtchn), (0, 0));
    assert_eq!(info.console_mfn, built.console_mfn);
}

#[test]
fn whatever_is_refused_nothing_is_left() {
    let kernel = assisted_kernel();
    let steps = {
        let privileged = Mock::default();
        build(&privileged, &request(&kernel, b"disk")).unwrap();
        privileged.state.borrow().calls
    };
    assert!(steps > 20, "only {steps} calls");
    for (call, errno) in (1..=steps).flat_map(|call| [(call, Errno::EPERM), (call, Errno::ENOMEM)]) {
        let privileged = Mock::default();
        privileged.state.borrow_mut().refuse = Some((call, errno));
        let failure = build(&privileged, &request(&kernel, b"disk")).unwrap_err();
        let words = failure.to_string();
        match &failure {
            // The first call takes all of the domain's memory.
            Failure::NoMemory { .. } => assert_eq!((call, errno), (1, Errno::ENOMEM)),
            Failure::Refused(step, why) => {
                assert_eq!(*why, errno, "call {call}");
                assert_eq!(words, format!("{step}: {errno}"));
            }
            other => panic!("call {call}: {other}"),
        }
        assert!(!words.contains('\n'));
        assert!(
            privileged.state.borrow().domains.is_empty(),
            "call {call}: {failure}"
        );
        assert_eq!(privileged.mappings(), 0);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_exists() {
    let kernel = Image::sample().bytes();
    let refused = |request: &Request<'_>| {
        let privileged = Mock::default();
        let failure = build(&privileged, request).unwrap_err();
        assert!(privileged.state.borrow().domains.is_empty());
        (failure.to_string(), privileged.state.borrow().calls)
    };
    assert_eq!(refused(&request(b"no kernel", b"")).1, 0);
    let large = vec![0; 8 << 20];
    let (words, calls) = refused(&request(&kernel, &large));
    assert!(words.ends_with("give it more by --memory"), "{words}");
    assert_eq!(calls, 0);
    let long = "x".repeat(256);
    let line = Request {
        command_line: &long,
        ..request(&kernel, b"")
    };
    assert_eq!(
        refused(&line),
        ("command line of 256 bytes, at most 255 fit".into(), 0)
    );
    let more = Request {
        memory_kib: 1 << 20,
        ..request(&kernel, b"")
    };
    let (words, _) = refused(&more);
    assert_eq!(
        words,
        "not enough free memory: 1048576 KiB wanted, 65536 KiB free; destroy a domain, or shrink one by mem-set"
    );
}

#[test]
fn shares_are_in_one_scale() {
    let privileged = Mock::default();
    privileged
        .state
        .borrow_mut()
        .domains
        .insert(0, mock::Domain::default());
    let advance = |id| privileged.state.borrow().domains[&id].advance;
    privileged.state.borrow_mut().domains.get_mut(&0).unwrap().advance = weight::UNSAID_ADVANCE;
    scale_domain0(&privileged).unwrap();
    assert_eq!(advance(0), weight::ORDINARY_ADVANCE);
    set_weight(&privileged, DomId::DOM0, 512).unwrap();
    scale_domain0(&privileged).unwrap();
    assert_eq!(advance(0), weight::to_advance(512), "what was said stays");

    // A scheduler without weights: what nobody asked for is no error, what somebody asked for is.
    let kernel = Image::sample().bytes();
    privileged.state.borrow_mut().has_weights = false;
    scale_domain0(&privileged).unwrap();
    let ordinary = Request {
        weight: None,
        ..request(&kernel, b"")
    };
    build(&privileged, &ordinary).unwrap();
    let failure = build(&privileged, &request(&kernel, b"")).unwrap_err();
    assert_eq!(failure, Failure::Refused(Step::Weight, Errno::EINVAL));
}
