//! Whole numbers, as `base + step · word`: the words start at 0 and have no common divisor, so that they are narrow,
//! and pco is told about narrow words at half or an eighth of the octets that it takes to tell it about wide ones.

use std::ops::RangeInclusive;

use pco::data_types::Number;

use super::pack::{pack, unpack};
use crate::block::octets::{Octets, put_signed, put_unsigned};
use crate::block::{Error, Result};

/// How the words are kept; the widths in octets are beside it.
const SAME: u8 = 0;
const PLAIN: u8 = 0x10;
const PACKED: u8 = 0x20;
const KIND: u8 = 0xF0;
const WIDTH: u8 = 0x0F;

/// A column of whole numbers as it was read.
#[derive(Debug)]
pub(super) enum Ints {
    /// All are this one.
    Same(i64),
    Each(Vec<i64>),
}

impl Ints {
    #[inline]
    pub fn get(&self, index: usize) -> i64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values[index],
        }
    }

    pub fn into_vec(self, count: usize) -> Vec<i64> {
        match self {
            Self::Same(value) => vec![value; count],
            Self::Each(values) => values,
        }
    }

    pub fn check(self, range: RangeInclusive<i64>) -> Result<Self> {
        let is_within = match &self {
            Self::Same(value) => range.contains(value),
            Self::Each(values) => values.iter().all(|value| range.contains(value)),
        };
        if is_within { Ok(self) } else { Err(Error::Malformed) }
    }

    /// The values in the order that `write` was given; nothing of them may be so large that it is not read in full.
    pub fn read(octets: &mut Octets<'_>, count: usize) -> Result<Self> {
        if count == 0 {
            return Ok(Self::Each(Vec::new()));
        }
        let tag = octets.octet()?;
        let base = octets.signed()?;
        if tag == SAME {
            return Ok(Self::Same(base));
        }
        let scale = Scale { base, step: octets.unsigned()? };
        match (tag & KIND, tag & WIDTH) {
            (PLAIN, width @ (1 | 2 | 4 | 8)) => read_plain(octets, count, width.into(), scale),
            (PACKED, 1) => read_packed::<u8>(octets, count, scale),
            (PACKED, 2) => read_packed::<u16>(octets, count, scale),
            (PACKED, 4) => read_packed::<u32>(octets, count, scale),
            (PACKED, 8) => read_packed::<u64>(octets, count, scale),
            _ => Err(Error::Malformed),
        }
    }
}

/// From words to numbers and back. All of it wraps, so that any range of 64 bits fits.
#[derive(Clone, Copy)]
struct Scale {
    base: i64,
    step: u64,
}

impl Scale {
    /// For a range of more than one number.
    fn of(values: &[i64], base: i64) -> Self {
        let mut step = 0;
        for value in values {
            step = divisor(value.wrapping_sub(base) as u64, step);
            if step == 1 {
                break;
            }
        }
        Self { base, step }
    }

    fn word(self, value: i64) -> u64 {
        let distance = value.wrapping_sub(self.base) as u64;
        if self.step == 1 { distance } else { distance / self.step }
    }

    #[inline]
    fn value(self, word: u64) -> i64 {
        self.base.wrapping_add(self.step.wrapping_mul(word) as i64)
    }
}

/// The greatest common divisor; that of 0 and a number is the number.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

pub(super) fn write(values: &[i64], out: &mut Vec<u8>) {
    let Some((&first, others)) = values.split_first() else { return };
    let (least, most) =
        others.iter().fold((first, first), |(least, most), &value| (least.min(value), most.max(value)));
    if least == most {
        out.push(SAME);
        return put_signed(least, out);
    }
    let scale = Scale::of(values, least);
    match u64::BITS - scale.word(most).leading_zeros() {
        0..=8 => write_words::<u8>(values, scale, out),
        9..=16 => write_words::<u16>(values, scale, out),
        17..=32 => write_words::<u32>(values, scale, out),
        _ => write_words::<u64>(values, scale, out),
    }
}

fn write_words<T: Number + TryFrom<u64>>(values: &[i64], scale: Scale, out: &mut Vec<u8>) {
    let width = size_of::<T>();
    let words: Option<Vec<T>> = values.iter().map(|&value| T::try_from(scale.word(value)).ok()).collect();
    let packed = words.and_then(|words| pack(&words)).filter(|packed| packed.len() < values.len() * width);
    let kind = if packed.is_some() { PACKED } else { PLAIN };
    out.push(kind | width as u8);
    put_signed(scale.base, out);
    put_unsigned(scale.step, out);
    match packed {
        Some(packed) => out.extend(packed),
        None => values.iter().for_each(|&value| out.extend(&scale.word(value).to_le_bytes()[..width])),
    }
}

fn read_plain(octets: &mut Octets<'_>, count: usize, width: usize, scale: Scale) -> Result<Ints> {
    let plain = octets.take(count * width)?;
    let word = |octets: &[u8]| octets.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet));
    Ok(Ints::Each(plain.chunks_exact(width).map(|octets| scale.value(word(octets))).collect()))
}

fn read_packed<T: Number + Into<u64>>(octets: &mut Octets<'_>, count: usize, scale: Scale) -> Result<Ints> {
    let (words, rest) = unpack::<T>(octets.rest(), count)?;
    *octets = Octets::new(rest);
    Ok(Ints::Each(words.into_iter().map(|word| scale.value(word.into())).collect()))
}
