//! Octets that somebody made so that they pass the checksum.

use camcount_series::block::{Block, Error, MAX_POINTS};
use proptest::prelude::*;

use crate::rows::{Row, Value, block_of, rows};

/// Magic and format, which the checksum follows.
const HEADER: &[u8] = b"tsb\x01";

/// A block with a checksum that is right.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let checksum = crc32fast::hash(&[HEADER, body].concat());
    [HEADER, &checksum.to_le_bytes(), body].concat()
}

/// What lies between the checksum and the end.
pub fn body(block: &[u8]) -> &[u8] {
    &block[HEADER.len() + 4..]
}

/// Reads it and, if that can be done, all that is in it.
pub fn look_at_all(block: &[u8]) -> bool {
    let block = match Block::read(block) {
        Ok(block) => block,
        Err(error) => {
            assert_eq!(error, Error::Malformed);
            return false;
        }
    };
    assert!(block.len() <= MAX_POINTS);
    assert!(block.times().is_sorted());
    assert_eq!(block.points().count(), block.len());
    if let Some(decimals) = block.decimals() {
        assert_eq!(decimals.mantissas.len(), block.len());
        assert!(decimals.present.is_none_or(|present| present.len() == block.len()));
    }
    true
}

/// Rows that need every kind of column: all widths of words, packed by differences and without, plain and equal ones.
pub fn varied(count: i64) -> Vec<Row> {
    let noise = |index: i64| ((index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as i64;
    let row = |index| Row {
        at: index * 1_000_000 + noise(index) % 1000,
        value: match index % 50 {
            7 => None,
            9 => Some(Value::Text(format!("{index}e400"))),
            _ => Some(Value::Decimal(index * index + noise(index) % 9, (index % 3) as u16)),
        },
        confidence: Some(noise(index) as f64 / 1e7),
        quality: (index % 4 > 0).then(|| (noise(index) as f64).sqrt()),
        unit: Some("people".into()),
        tags: (index % 2 > 0).then(|| format!("{{\"frame\": {}}}", index / 7)),
    };
    (0..count).map(row).collect()
}

proptest! {
    #[test]
    fn changed_blocks_never_panic(
        rows in rows(300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = body(&block_of(&rows)).to_vec();
        for (at, octet) in changes {
            let at = at.index(body.len());
            body[at] = octet;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        look_at_all(&sealed(&body));
    }

    #[test]
    fn any_octets_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        look_at_all(&sealed(&body));
    }
}

#[test]
fn no_octet_of_a_block_can_be_changed_into_a_panic() {
    for count in [3, 60, 600] {
        let block = block_of(&varied(count));
        let mut body = body(&block).to_vec();
        for at in 0..body.len() {
            let octet = body[at];
            for change in (0..8).map(|bit| octet ^ 1 << bit).chain([0, 0xFF]) {
                body[at] = change;
                look_at_all(&sealed(&body));
            }
            body[at] = octet;
        }
    }
}

#[test]
fn a_block_that_is_cut_short_or_goes_on_is_malformed() {
    let block = block_of(&varied(60));
    let body = body(&block);
    for cut in 0..body.len() {
        assert!(!look_at_all(&sealed(&body[..cut])), "cut at {cut}");
    }
    assert!(look_at_all(&sealed(body)));
    assert!(!look_at_all(&sealed(&[body, b"\0"].concat())));
}
