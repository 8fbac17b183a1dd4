//! Doubles, bit for bit: as decimal numbers where they are just those, else as the bits that they are.
//!
//! That a double is the one next to a decimal number of few digits is the idea of ALP (Afroozeh, Kuffó and Boncz,
//! "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2023). Here it holds for a whole column or not at all.

use super::flags::{self, Flags};
use super::ints::{self, Ints};
use crate::block::octets::Octets;
use crate::block::{Error, Result};

/// Up to the first of these digits, that of a double's precision, powers of ten and quotients by them are exact enough
/// for one division to find the double again.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// In place of a power's index: no decimal numbers.
const BITS: u8 = u8::MAX;
/// Beyond 2^53 a double skips whole numbers.
const LARGEST: f64 = 9_007_199_254_740_992.0;

#[derive(Debug, Default)]
pub(in crate::block) struct FloatsBuilder {
    present: Vec<bool>,
    values: Vec<f64>,
}

impl FloatsBuilder {
    #[inline]
    pub fn push(&mut self, value: Option<f64>) {
        self.present.push(value.is_some());
        self.values.extend(value);
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        flags::write(&self.present, out);
        if self.values.is_empty() {
            return;
        }
        let power = common_power(&self.values);
        out.push(power.map_or(BITS, |power| power as u8));
        let ints: Vec<i64> = match power {
            Some(power) => self.values.iter().map(|value| decimal(*value, POWERS[power])).collect(),
            None => self.values.iter().map(|value| ordered(value.to_bits())).collect(),
        };
        ints::write(&ints, out);
    }
}

/// A column of doubles as it was read.
#[derive(Debug)]
pub(in crate::block) struct Floats {
    present: Flags,
    kind: Kind,
    ints: Ints,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Bits,
    /// Divided by this power of ten.
    Decimal(f64),
}

impl Floats {
    pub fn read(octets: &mut Octets<'_>, count: usize) -> Result<Self> {
        let present = Flags::read(octets, count)?;
        let count = present.count(count);
        if count == 0 {
            return Ok(Self { present: Flags::None, kind: Kind::Bits, ints: Ints::Same(0) });
        }
        let kind = match octets.octet()? {
            BITS => Kind::Bits,
            power => Kind::Decimal(*POWERS.get(usize::from(power)).ok_or(Error::Malformed)?),
        };
        let ints = match Ints::read(octets, count)? {
            Ints::Each(values) => Ints::Each(present.spread(values)),
            same => same,
        };
        Ok(Self { present, kind, ints })
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<f64> {
        if !self.present.get(index) {
            return None;
        }
        let int = self.ints.get(index);
        Some(match self.kind {
            Kind::Bits => f64::from_bits(ordered(int as u64) as u64),
            Kind::Decimal(power) => int as f64 / power,
        })
    }
}

/// The double's bits as a number that is larger where the double is; applied twice, the bits again.
fn ordered(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The index of the least power of ten by which all values become whole, and come back by a division.
fn common_power(values: &[f64]) -> Option<usize> {
    let is_exact = |value: f64, power: f64| {
        let whole = decimal(value, power);
        (value * power).abs() <= LARGEST && (whole as f64 / power).to_bits() == value.to_bits()
    };
    let mut least = 0;
    for &value in values {
        least += POWERS[least..].iter().position(|&power| is_exact(value, power))?;
    }
    values.iter().all(|&value| is_exact(value, POWERS[least])).then_some(least)
}

fn decimal(value: f64, power: f64) -> i64 {
    (value * power).round_ties_even() as i64
}
