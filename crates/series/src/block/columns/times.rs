//! Times in ascending order: the first, and the differences, which are all the same for a metric on a clock.

use super::ints::{self, Ints};
use crate::block::octets::{Octets, put_signed};
use crate::block::{Error, Result};

pub(in crate::block) fn write(times: &[i64], out: &mut Vec<u8>) {
    let Some(&first) = times.first() else { return };
    put_signed(first, out);
    // From one end of time to the other it is more than an i64 holds: the difference wraps.
    let steps: Vec<i64> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    ints::write(&steps, out);
}

/// # Errors
/// [`Error::Malformed`], also where they would not ascend.
pub(in crate::block) fn read(octets: &mut Octets<'_>, count: usize) -> Result<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let first = octets.signed()?;
    let steps = Ints::read(octets, count - 1)?;
    let mut times = Vec::with_capacity(count);
    times.push(first);
    match steps {
        Ints::Same(step) => extend(&mut times, first, (1..count).map(|_| step))?,
        Ints::Each(steps) => extend(&mut times, first, steps.into_iter())?,
    }
    Ok(times)
}

fn extend(times: &mut Vec<i64>, mut at: i64, steps: impl Iterator<Item = i64>) -> Result<()> {
    let mut is_over = false;
    times.extend(steps.map(|step| {
        let (next, over) = at.overflowing_add_unsigned(step as u64);
        is_over |= over;
        at = next;
        next
    }));
    if is_over { Err(Error::Malformed) } else { Ok(()) }
}
