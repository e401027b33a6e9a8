//! Frames in several pieces.

use super::hostile::{Raw, good};
use super::*;
use crate::net::netif::judge::MOST_PIECES;
use guest_abi::io::netif::{NetStatus, TxFlags, TxRequest};

/// The first page for frames to send.
const FIRST_PAGE: usize = 70;

/// Puts a frame into pages, piece by piece at the offsets and of the lengths given, and the requests into the ring.
fn send(raw: &mut Raw, id: u16, bytes: &[u8], pieces: &[(usize, usize, usize)]) -> Vec<TxRequest> {
    let (mut done, mut requests) = (0, vec![]);
    for (n, (page, offset, len)) in pieces.iter().enumerate() {
        Host::write(&raw.world.between, *page, *offset, &bytes[done..done + len]);
        done += len;
        let goes_on = n + 1 < pieces.len();
        requests.push(TxRequest {
            gref: FIRST_REFERENCE + *page as u32,
            offset: *offset as u16,
            flags: if goes_on {
                TxFlags::MORE_DATA
            } else {
                TxFlags::empty()
            },
            id: id + n as u16,
            size: if n == 0 { bytes.len() } else { *len } as u16,
        });
    }
    assert_eq!(done, bytes.len());
    requests.iter().for_each(|request| raw.send(*request));
    requests
}

#[test]
fn a_frame_in_pieces_arrives_whole_with_those_around_it() {
    let mut raw = Raw::new().back();
    // Over a page's end, as a stack has it whose memory is in one piece; then headers and data apart.
    send(
        &mut raw,
        0,
        &frame(1, 1514),
        &[(FIRST_PAGE, 3500, 596), (FIRST_PAGE + 1, 0, 918)],
    );
    send(&mut raw, 2, &frame(2, 60), &[(FIRST_PAGE + 2, 0, 60)]);
    let apart = [
        (FIRST_PAGE + 3, 100, 54),
        (FIRST_PAGE + 4, 4095, 1),
        (FIRST_PAGE + 5, 7, 345),
    ];
    send(&mut raw, 3, &frame(3, 400), &apart);
    assert_eq!(raw.world.settle(), Step::Idle);
    let came: Vec<(u16, usize)> = raw
        .world
        .port
        .came
        .iter()
        .map(|frame| (mark(frame), frame.len()))
        .collect();
    assert_eq!(came, [(1, 1514), (2, 60), (3, 400)]);
    let wanted: Vec<_> = (0..6).map(|id| (id, NetStatus::OKAY)).collect();
    assert_eq!(raw.answers(0), wanted);
    assert_eq!(raw.world.between.copies.get(), 1);
    assert_eq!(raw.world.back.counters().sent, 3);
}

#[test]
fn a_frame_waits_for_its_last_piece_and_nobody_spins() {
    let mut raw = Raw::new().back();
    let bytes = frame(5, 600);
    Host::write(&raw.world.between, FIRST_PAGE, 0, &bytes);
    let first = TxRequest {
        flags: TxFlags::MORE_DATA,
        size: 600,
        ..good(0)
    };
    raw.send(first);
    assert_eq!(raw.world.settle(), Step::Idle);
    assert_eq!((raw.answers(0), raw.world.between.copies.get()), (vec![], 0));
    raw.send(TxRequest {
        offset: 400,
        size: 200,
        ..good(1)
    });
    assert_eq!(raw.world.settle(), Step::Idle);
    assert_eq!(raw.answers(0), [(0, NetStatus::OKAY), (1, NetStatus::OKAY)]);
    assert_eq!(mark(&raw.world.port.came[0]), 5);
}

#[test]
fn a_piece_that_is_not_granted_is_the_frames_error_alone() {
    let mut raw = Raw::new().back();
    let withdrawn = FIRST_REFERENCE + FIRST_PAGE as u32 + 1;
    raw.world.between.withdrawn.borrow_mut().insert(withdrawn);
    send(
        &mut raw,
        0,
        &frame(1, 100),
        &[(FIRST_PAGE, 0, 50), (FIRST_PAGE + 1, 0, 50)],
    );
    send(
        &mut raw,
        2,
        &frame(2, 100),
        &[(FIRST_PAGE, 100, 50), (FIRST_PAGE + 2, 0, 50)],
    );
    raw.world.settle();
    let (okay, error) = (NetStatus::OKAY, NetStatus::ERROR);
    assert_eq!(raw.answers(0), [(0, error), (1, error), (2, okay), (3, okay)]);
    assert_eq!(raw.world.port.came.len(), 1);
    assert_eq!(mark(&raw.world.port.came[0]), 2);
    assert_eq!(raw.world.back.counters().bad_grants, 1);
}

#[test]
fn a_ring_full_of_pieces_is_sent_in_calls_of_bounded_length() {
    let mut raw = Raw::new().back();
    let mut id = 0;
    for n in 0..14 {
        let bytes = frame(n, 14 + MOST_PIECES - 1);
        let mut pieces = vec![(FIRST_PAGE, 64 * usize::from(n), 14)];
        pieces.extend((0..MOST_PIECES - 1).map(|m| (FIRST_PAGE + 1 + m, usize::from(n), 1)));
        id += send(&mut raw, id, &bytes, &pieces).len() as u16;
    }
    assert_eq!(raw.world.settle(), Step::Idle);
    let came: Vec<u16> = raw.world.port.came.iter().map(|frame| mark(frame)).collect();
    assert_eq!(came, (0..14).collect::<Vec<_>>());
    assert_eq!(raw.answers(0).len(), 14 * MOST_PIECES);
    assert!(
        raw.answers(0)
            .iter()
            .all(|(_, status)| *status == NetStatus::OKAY)
    );
}
