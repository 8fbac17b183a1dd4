//! What a builder does not take, and octets that are refused for what they are.

use camcount_series::block::{Block, Builder, Error, MAX_POINTS, MAX_TEXT, Point};

use crate::rows::{Row, assert_holds, block_of};

#[test]
fn a_block_has_so_many_points_and_no_more() {
    let mut builder = Builder::new();
    for at in 0..MAX_POINTS as i64 {
        assert!(!builder.is_full());
        builder.push(&Point { at, ..Point::default() }).unwrap();
    }
    assert!(builder.is_full());
    assert_eq!(builder.push(&Point { at: i64::MAX, ..Point::default() }), Err(Error::Full));
    assert_eq!(builder.len(), MAX_POINTS);
    assert_eq!(Block::read(&builder.finish()).unwrap().len(), MAX_POINTS);
}

#[test]
fn different_texts_fill_a_block_and_equal_ones_do_not() {
    let long = "x".repeat(MAX_TEXT - 2);
    let mut builder = Builder::new();
    let point = |unit| Point { unit: Some(unit), tags: Some(&long), ..Point::default() };
    for unit in ["a", "a", "b"] {
        assert!(!builder.is_full());
        builder.push(&point(unit)).unwrap();
    }
    assert!(builder.is_full());
    assert_eq!(builder.push(&Point::default()), Err(Error::Full));
    assert_eq!(builder.len(), 3);
}

#[test]
fn a_text_may_be_longer_than_a_block() {
    let rows = [Row { tags: Some("人".repeat(MAX_TEXT)), ..Row::default() }];
    assert_holds(&block_of(&rows), &rows);
}

#[test]
fn an_earlier_point_is_refused_and_leaves_no_trace() {
    let rows = [Row { at: 5, ..Row::default() }, Row { at: 6, ..Row::default() }];
    let mut builder = Builder::new();
    assert!(builder.is_empty());
    builder.push(&rows[0].point()).unwrap();
    let earlier = Point { at: 4, unit: Some("ms"), confidence: Some(1.0), ..Point::default() };
    assert_eq!(builder.push(&earlier), Err(Error::Order { at: 4, last: 5 }));
    assert_eq!(builder.len(), 1);
    builder.push(&rows[1].point()).unwrap();
    assert_holds(&builder.finish(), &rows);
}

#[test]
fn octets_that_are_no_block_are_told_from_broken_ones() {
    let block = block_of(&[Row::default()]);
    let refused = |octets: &[u8]| Block::read(octets).unwrap_err();
    for foreign in [&b""[..], b"t", b"tsb", b"{\"a\": 1}", &block[1..]] {
        assert_eq!(refused(foreign), Error::Foreign);
    }
    let mut later = block.clone();
    later[3] = 2;
    assert_eq!(refused(&later), Error::Format(2));
    for cut in 4..block.len() {
        assert_eq!(refused(&block[..cut]), Error::Checksum, "cut at {cut}");
    }
    assert_eq!(refused(&[&block[..], b"."].concat()), Error::Checksum);
    for bit in 32..block.len() * 8 {
        let mut flipped = block.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refused(&flipped), Error::Checksum, "bit {bit}");
    }
}
