//! What a block of few octets may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use camcount_series::block::{Block, Error, MAX_TEXT};

use crate::damage::{body, look_at_all, sealed, varied};
use crate::rows::block_of;

/// For all that a block may claim: points, of which a column is read twice at most before it is kept.
const MOST: usize = 8 << 20;

/// Of this thread, in octets.
#[derive(Clone, Copy, Default)]
struct Held {
    now: usize,
    most: usize,
}

thread_local! {
    static HELD: Cell<Held> = const { Cell::new(Held { now: 0, most: 0 }) };
}

struct Counting;

fn count(taken: usize, given: usize) {
    let _ = HELD.try_with(|held| {
        let now = (held.get().now + taken).saturating_sub(given);
        held.set(Held { now, most: held.get().most.max(now) });
    });
}

// SAFETY: all is done by the system's allocator; counting allocates nothing.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as for this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most octets that were held at once beyond those held before.
fn most_held(work: impl FnOnce()) -> usize {
    let before = HELD.get().now;
    HELD.set(Held { now: before, most: before });
    work();
    HELD.get().most.saturating_sub(before)
}

/// A number of points, a time, and then a column of steps that is packed so.
fn packed_times(width: u8, packed: &[u8]) -> Vec<u8> {
    let count = [0x80, 0x80, 0x04];
    let start = [0];
    let steps = [0x20 | width, 0, 1];
    sealed(&[&count, &start[..], &steps, packed].concat())
}

#[test]
fn what_pco_could_be_made_to_claim_is_refused_before_it_does() {
    // Modes and differences, four bits each: a dictionary of 2^25 words, a window of 2^24.
    for first in (0..=u8::MAX).filter(|first| ![0x00, 0x10].contains(first)) {
        for version in [[4, 0], [4, 1]] {
            let packed = [&version[..], &[first], &[0xFF; 64]].concat();
            let block = packed_times(8, &packed);
            let held = most_held(|| assert_eq!(Block::read(&block).unwrap_err(), Error::Malformed));
            assert!(held < 1000, "{first:x} held {held}");
        }
    }
    for version in [[0, 0], [1, 0], [2, 0], [3, 0], [4, 2], [5, 0]] {
        let block = packed_times(8, &[&version[..], &[0; 64]].concat());
        assert_eq!(Block::read(&block).unwrap_err(), Error::Malformed);
    }
}

#[test]
fn counts_that_nothing_stands_for_are_refused() {
    // More points than a block has, and more than a word holds.
    for count in [&[0x81, 0x80, 0x04][..], &[0xFF; 9], &[0xFF; 40]] {
        let block = sealed(&[count, &[0; 64]].concat());
        let held = most_held(|| assert_eq!(Block::read(&block).unwrap_err(), Error::Malformed));
        assert!(held < 1000, "{held}");
    }
}

#[test]
fn texts_that_claim_to_be_long_are_refused() {
    // Of one point: its time, the number of its text, how many there are, how long it is, folded; one octet, deflated.
    let claim =
        |length: &[u8]| sealed(&[&[1, 0][..], &[0, 2], &[1], &[0], length, &[1], &[0x03], &[0; 40]].concat());
    let (full, beyond) = ([0x80, 0x80, 0x80, 0x04], [0x82, 0x80, 0x80, 0x04]);
    for (length, most) in [(&full[..], MAX_TEXT + 100_000), (&beyond, 1000), (&[0x01], 1000)] {
        let block = claim(length);
        let held = most_held(|| assert_eq!(Block::read(&block).unwrap_err(), Error::Malformed));
        assert!(held < most, "{held}");
    }
}

#[test]
fn no_change_of_an_octet_takes_more_than_a_full_block() {
    let block = block_of(&varied(300));
    let mut body = body(&block).to_vec();
    for at in 0..body.len() {
        let octet = body[at];
        for change in [0, 1, 0x20, 0x7F, 0x80, 0xFF] {
            body[at] = change;
            let block = sealed(&body);
            let held = most_held(|| {
                look_at_all(&block);
            });
            assert!(held < MOST, "octet {at} as {change:x} held {held}");
        }
        body[at] = octet;
    }
}

#[test]
fn a_full_block_is_read_within_its_bounds() {
    let block = block_of(&varied(65_536));
    let mut points = 0;
    let held = most_held(|| points = Block::read(&block).unwrap().len());
    assert_eq!(points, 65_536);
    assert!(held < MOST, "{held}");
}
