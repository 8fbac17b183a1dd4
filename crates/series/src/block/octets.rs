//! Octets of a block as they are taken one after the other, and numbers as short as they are small.

use super::{Error, Result};

/// What is left to read.
pub(super) struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn octet(&mut self) -> Result<u8> {
        let (&octet, rest) = self.0.split_first().ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(octet)
    }

    /// Little-endian base 128 (LEB128): seven bits an octet, the eighth says that more follow.
    pub fn unsigned(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7F) << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Malformed)
    }

    pub fn signed(&mut self) -> Result<i64> {
        let folded = self.unsigned()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

pub(super) fn put_unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Folded so that small negative numbers are short too: 0, -1, 1, -2, …
pub(super) fn put_signed(value: i64, out: &mut Vec<u8>) {
    put_unsigned(((value << 1) ^ (value >> 63)) as u64, out);
}
