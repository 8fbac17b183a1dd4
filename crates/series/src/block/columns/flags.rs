//! Which points have something, and what they have spread over all points.

use super::ints::{self, Ints};
use crate::block::Result;
use crate::block::octets::Octets;

/// A column of yes and no as it was read.
#[derive(Debug)]
pub(super) enum Flags {
    All,
    None,
    Each(Vec<bool>),
}

impl Flags {
    pub fn read(octets: &mut Octets<'_>, count: usize) -> Result<Self> {
        Ok(match Ints::read(octets, count)?.check(0..=1)? {
            Ints::Same(0) => Self::None,
            Ints::Same(_) => Self::All,
            Ints::Each(flags) => Self::Each(flags.into_iter().map(|flag| flag != 0).collect()),
        })
    }

    #[inline]
    pub fn get(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Each(flags) => flags[index],
        }
    }

    /// How many of so many say yes.
    pub fn count(&self, all: usize) -> usize {
        match self {
            Self::All => all,
            Self::None => 0,
            Self::Each(flags) => flags.iter().filter(|&&flag| flag).count(),
        }
    }

    /// One value for each flag: where it says yes the next of those given, else the default one.
    pub fn spread<T: Copy + Default>(&self, values: Vec<T>) -> Vec<T> {
        let Self::Each(flags) = self else { return values };
        let mut values = values.into_iter();
        flags.iter().map(|&flag| flag.then(|| values.next()).flatten().unwrap_or_default()).collect()
    }
}

pub(super) fn write(flags: &[bool], out: &mut Vec<u8>) {
    let flags: Vec<i64> = flags.iter().map(|&flag| flag.into()).collect();
    ints::write(&flags, out);
}
