//! Decimal numbers: whole ones at a scale that all share, the scales that they were written with, and the texts of
//! those that do not fit.

use super::flags::{self, Flags};
use super::ints::{self, Ints};
use super::texts::{Texts, TextsBuilder};
use crate::block::octets::{Octets, put_unsigned};
use crate::block::{Decimals, Error, Number, Result};

/// 10^19 is no i64.
const DIGITS: u32 = 18;

#[derive(Debug, Default)]
pub(in crate::block) struct NumbersBuilder {
    /// Which points have a decimal number.
    present: Vec<bool>,
    mantissas: Vec<i64>,
    scales: Vec<u16>,
    texts: TextsBuilder,
}

impl NumbersBuilder {
    #[inline]
    pub fn push(&mut self, number: Option<Number<'_>>) {
        let (decimal, text) = match number {
            Some(Number::Decimal { mantissa, scale }) => (Some((mantissa, scale)), None),
            Some(Number::Text(text)) => (None, Some(text)),
            None => (None, None),
        };
        self.present.push(decimal.is_some());
        if let Some((mantissa, scale)) = decimal {
            self.mantissas.push(mantissa);
            self.scales.push(scale);
        }
        self.texts.push(text);
    }

    pub fn text_length(&self) -> usize {
        self.texts.length()
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        self.texts.write(out);
        flags::write(&self.present, out);
        let Some(&scale) = self.scales.iter().max() else { return };
        let shared = self.at_scale(scale);
        put_unsigned(shared.as_ref().map_or(0, |_| u64::from(scale) + 1), out);
        let scales: Vec<i64> = self.scales.iter().copied().map(i64::from).collect();
        ints::write(&scales, out);
        ints::write(shared.as_ref().unwrap_or(&self.mantissas), out);
    }

    /// The mantissas at the largest scale, where all of them fit.
    fn at_scale(&self, largest: u16) -> Option<Vec<i64>> {
        let numbers = self.mantissas.iter().zip(&self.scales);
        numbers.map(|(&mantissa, &scale)| raised(mantissa, largest - scale)).collect()
    }
}

fn raised(mantissa: i64, digits: u16) -> Option<i64> {
    match power(digits) {
        Some(1) => Some(mantissa),
        Some(power) => mantissa.checked_mul(power),
        None => (mantissa == 0).then_some(0),
    }
}

/// Of ten, where it fits.
fn power(digits: u16) -> Option<i64> {
    let digits = u32::from(digits);
    (digits <= DIGITS).then(|| 10_i64.pow(digits))
}

/// A column of numbers as it was read.
#[derive(Debug)]
pub(in crate::block) struct Numbers {
    texts: Texts,
    present: Flags,
    /// That of all mantissas, or each has its own.
    shared: Option<u16>,
    scales: Ints,
    mantissas: Vec<i64>,
}

impl Numbers {
    pub fn read(octets: &mut Octets<'_>, count: usize) -> Result<Self> {
        let texts = Texts::read(octets, count)?;
        let present = Flags::read(octets, count)?;
        let count = present.count(count);
        if count == 0 {
            let (scales, mantissas) = (Ints::Same(0), Vec::new());
            return Ok(Self { texts, present: Flags::None, shared: None, scales, mantissas });
        }
        let shared = match octets.unsigned()? {
            0 => None,
            scale => Some(u16::try_from(scale - 1).map_err(|_| Error::Malformed)?),
        };
        let largest = i64::from(shared.unwrap_or(u16::MAX));
        let scales = match Ints::read(octets, count)?.check(0..=largest)? {
            Ints::Each(scales) => Ints::Each(present.spread(scales)),
            same => same,
        };
        let mantissas = present.spread(Ints::read(octets, count)?.into_vec(count));
        Ok(Self { texts, present, shared, scales, mantissas })
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<Number<'_>> {
        if !self.present.get(index) {
            return self.texts.get(index).map(Number::Text);
        }
        let (mantissa, scale) = (self.mantissas[index], self.scales.get(index) as u16);
        let digits = self.shared.map_or(0, |shared| shared - scale);
        Some(Number::Decimal { mantissa: lowered(mantissa, digits), scale })
    }

    pub fn decimals(&self) -> Option<Decimals<'_>> {
        let present = match &self.present {
            Flags::All => None,
            Flags::Each(present) => Some(&**present),
            Flags::None => return None,
        };
        let scale = self.shared.filter(|_| self.texts.is_empty())?;
        Some(Decimals { scale, mantissas: &self.mantissas, present })
    }
}

#[inline]
fn lowered(mantissa: i64, digits: u16) -> i64 {
    match power(digits) {
        Some(1) => mantissa,
        Some(power) => mantissa / power,
        None => 0,
    }
}
