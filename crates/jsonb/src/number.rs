//! Numbers as PostgreSQL's `numeric` has them: decimal, exact, in digits of base 10,000.

use std::fmt;

use crate::{Error, Result};

const BASE: u64 = 10_000;
/// Decimal digits of one digit.
const WIDTH: usize = 4;

/// Two low bits of the first octet of a length of four octets are 0, of one octet 1 is; the other way round on machines
/// that put the high octet first.
const IS_SHORT: u8 = if cfg!(target_endian = "little") { 0x01 } else { 0x80 };

/// Of the header.
const SIGN: u16 = 0xC000;
const NEGATIVE: u16 = 0x4000;
const SHORT: u16 = 0x8000;
const SPECIAL: u16 = 0xC000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE: u16 = 0x1F80;
const SHORT_SCALE_SHIFT: u32 = 7;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT: u16 = 0x003F;
const SCALE: u16 = 0x3FFF;

/// A number beyond this weight is larger than any double, and none below it is.
const DOUBLE_WEIGHT: i32 = 77;
/// The powers of ten that are exact in a double.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A decimal number.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a>(&'a [u8]);

/// What a number is made of.
struct Parts<'a> {
    is_negative: bool,
    /// The power of 10,000 of the first digit.
    weight: i32,
    /// Decimal digits after the point, in its text.
    scale: usize,
    /// Two octets each.
    digits: &'a [u8],
}

impl<'a> Number<'a> {
    /// Of a stored value with its length in front.
    ///
    /// # Errors
    /// [`Error::Malformed`] where there is no value.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let is_short = bytes.first().ok_or(Error::Malformed)? & IS_SHORT != 0;
        bytes.get(if is_short { 1 } else { 4 }..).map(Self).ok_or(Error::Malformed)
    }

    /// `None` for infinities, which JSON does not have, and where there is no header.
    #[inline]
    fn parts(&self) -> Option<Parts<'a>> {
        let header = half(self.0, 0)?;
        match header & SIGN {
            SPECIAL => None,
            SHORT => {
                let weight = i32::from(header & SHORT_WEIGHT);
                let is_below = header & SHORT_WEIGHT_SIGN != 0;
                Some(Parts {
                    is_negative: header & SHORT_NEGATIVE != 0,
                    weight: if is_below { weight - i32::from(SHORT_WEIGHT) - 1 } else { weight },
                    scale: usize::from((header & SHORT_SCALE) >> SHORT_SCALE_SHIFT),
                    digits: self.0.get(2..)?,
                })
            }
            sign => Some(Parts {
                is_negative: sign == NEGATIVE,
                weight: i32::from(half(self.0, 2)? as i16),
                scale: usize::from(header & SCALE),
                digits: self.0.get(4..)?,
            }),
        }
    }

    /// The number where it is written without a point and fits.
    #[inline]
    pub fn as_integer(&self) -> Option<i128> {
        self.parts()?.as_integer()
    }

    /// The number without its point, and the digits after the point that its text has; `None` where it does not fit.
    #[inline]
    pub fn as_decimal(&self) -> Option<(i64, u16)> {
        let parts = self.parts()?;
        Some((parts.mantissa()?, parts.scale as u16))
    }

    /// The double next to the number.
    ///
    /// # Errors
    /// [`Error::Range`] where no double is so large.
    #[inline]
    pub fn to_f64(&self) -> Result<f64> {
        let parts = self.parts().ok_or(Error::Malformed)?;
        parts.exact_quotient().map_or_else(|| parts.rounded(), Ok)
    }

    /// Octets of its text.
    ///
    /// # Errors
    /// As [`Number::to_f64`].
    pub(crate) fn text_length(&self) -> Result<usize> {
        let parts = self.parts().ok_or(Error::Malformed)?;
        if parts.weight >= DOUBLE_WEIGHT {
            self.to_f64()?;
        }
        Ok(parts.text_length())
    }
}

impl Parts<'_> {
    fn count(&self) -> usize {
        self.digits.len() / 2
    }

    /// The digit of a power of 10,000.
    #[inline]
    fn digit(&self, power: i32) -> u64 {
        let index = usize::try_from(self.weight - power).ok();
        index.and_then(|index| half(self.digits, 2 * index)).map_or(0, u64::from)
    }

    #[inline]
    fn as_integer(&self) -> Option<i128> {
        const MOST: i32 = 8;
        if self.scale > 0 || self.weight > MOST {
            return None;
        }
        let digits = (0..=self.weight).rev().map(|power| i128::from(self.digit(power)));
        let size = digits.fold(0, |value, digit| value * i128::from(BASE) + digit);
        Some(if self.is_negative { -size } else { size })
    }

    #[inline]
    fn mantissa(&self) -> Option<i64> {
        const MOST: i32 = 9;
        let after = self.scale.div_ceil(WIDTH) as i32;
        let first = self.weight.max(0);
        if first + 1 + after > MOST {
            return None;
        }
        let size = (-after..=first)
            .rev()
            .fold(0, |value: u128, power| value * u128::from(BASE) + u128::from(self.digit(power)));
        // The last digit of base 10,000 may reach beyond the text.
        let size = i64::try_from(size / 10u128.pow(after as u32 * WIDTH as u32 - self.scale as u32)).ok()?;
        Some(if self.is_negative { -size } else { size })
    }

    /// A quotient, or product, of two doubles that are exact is the double next to the exact result (Clinger 1990).
    #[inline]
    fn exact_quotient(&self) -> Option<f64> {
        const MOST_DIGITS: usize = 4;
        if self.count() > MOST_DIGITS {
            return None;
        }
        let last = self.weight - self.count() as i32 + 1;
        let size = (last..=self.weight).rev().fold(0, |value, power| value * BASE + self.digit(power));
        if size >= 1 << f64::MANTISSA_DIGITS {
            return None;
        }
        let power = last * WIDTH as i32;
        let scale = POWERS.get(power.unsigned_abs() as usize)?;
        let value = if power < 0 { size as f64 / scale } else { size as f64 * scale };
        Some(if self.is_negative { -value } else { value })
    }

    #[cold]
    fn rounded(&self) -> Result<f64> {
        if self.weight > DOUBLE_WEIGHT {
            return Err(Error::Range);
        }
        let value: f64 = self.to_string().parse().map_err(|_| Error::Malformed)?;
        if value.is_finite() { Ok(value) } else { Err(Error::Range) }
    }

    fn text_length(&self) -> usize {
        let whole = if self.weight < 0 {
            1
        } else {
            let first = self.digit(self.weight).max(1).ilog10() as usize + 1;
            first + self.weight as usize * WIDTH
        };
        let fraction = if self.scale > 0 { self.scale + 1 } else { 0 };
        usize::from(self.is_negative) + whole + fraction
    }
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().map_or(Ok(()), |parts| parts.fmt(f))
    }
}

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative {
            f.write_str("-")?;
        }
        write!(f, "{}", self.digit(self.weight.max(0)))?;
        for power in (0..self.weight).rev() {
            write!(f, "{:04}", self.digit(power))?;
        }
        if self.scale == 0 {
            return Ok(());
        }
        f.write_str(".")?;
        let mut left = self.scale;
        for power in 1.. {
            let digits = format!("{:04}", self.digit(-power));
            f.write_str(&digits[..left.min(WIDTH)])?;
            left = left.saturating_sub(WIDTH);
            if left == 0 {
                break;
            }
        }
        Ok(())
    }
}

#[inline]
fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
