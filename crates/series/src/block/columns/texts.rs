//! Texts, each different one once.

use std::collections::HashMap;
use std::sync::Arc;

use super::deflated;
use super::ints::{self, Ints};
use crate::block::octets::{Octets, put_unsigned};
use crate::block::{Error, Result};

/// In place of an index: no text.
const NONE: u32 = 0;

#[derive(Debug, Default)]
pub(in crate::block) struct TextsBuilder {
    /// From 1, in order of appearance.
    numbers: HashMap<Arc<str>, u32>,
    chosen: Vec<u32>,
    /// Points mostly have the text of the one before them.
    last: Option<(Arc<str>, u32)>,
    /// Octets of the different texts.
    length: usize,
}

impl TextsBuilder {
    #[inline]
    pub fn push(&mut self, text: Option<&str>) {
        let number = text.map_or(NONE, |text| self.number(text));
        self.chosen.push(number);
    }

    #[inline]
    fn number(&mut self, text: &str) -> u32 {
        match &self.last {
            Some((last, number)) if **last == *text => *number,
            _ => self.look_up(text),
        }
    }

    fn look_up(&mut self, text: &str) -> u32 {
        let (text, number) = match self.numbers.get_key_value(text) {
            Some((text, number)) => (Arc::clone(text), *number),
            None => {
                self.length += text.len();
                let (text, number) = (Arc::<str>::from(text), self.numbers.len() as u32 + 1);
                self.numbers.insert(Arc::clone(&text), number);
                (text, number)
            }
        };
        self.last = Some((text, number));
        number
    }

    pub fn length(&self) -> usize {
        self.length
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let chosen: Vec<i64> = self.chosen.iter().copied().map(i64::from).collect();
        ints::write(&chosen, out);
        let mut texts: Vec<(u32, &str)> =
            self.numbers.iter().map(|(text, number)| (*number, &**text)).collect();
        texts.sort_unstable();
        if texts.is_empty() {
            return;
        }
        put_unsigned(texts.len() as u64, out);
        let lengths: Vec<i64> = texts.iter().map(|(_, text)| text.len() as i64).collect();
        ints::write(&lengths, out);
        let text: String = texts.iter().map(|(_, text)| *text).collect();
        deflated::write(text.as_bytes(), out);
    }
}

/// A column of texts as it was read.
#[derive(Debug)]
pub(in crate::block) struct Texts {
    chosen: Ints,
    /// One behind the other.
    text: Box<str>,
    /// Where each begins, and where the last one ends.
    bounds: Vec<usize>,
}

impl Texts {
    pub fn read(octets: &mut Octets<'_>, count: usize) -> Result<Self> {
        let chosen = Ints::read(octets, count)?;
        if count == 0 || matches!(chosen, Ints::Same(0)) {
            return Ok(Self { chosen: Ints::Same(0), text: "".into(), bounds: vec![0] });
        }
        // Each text is some point's.
        let different = usize::try_from(octets.unsigned()?).ok().filter(|different| *different <= count);
        let different = different.ok_or(Error::Malformed)?;
        let chosen = chosen.check(0..=different as i64)?;
        let bounds = bounds(Ints::read(octets, different)?, different)?;
        let length = bounds.last().copied().unwrap_or(0);
        let text = String::from_utf8(deflated::read(octets, length)?).map_err(|_| Error::Malformed)?;
        if !bounds.iter().all(|bound| text.is_char_boundary(*bound)) {
            return Err(Error::Malformed);
        }
        Ok(Self { chosen, text: text.into(), bounds })
    }

    pub fn get(&self, index: usize) -> Option<&str> {
        let number = self.chosen.get(index) as usize;
        let first = number.checked_sub(1)?;
        Some(&self.text[self.bounds[first]..self.bounds[number]])
    }

    pub fn is_empty(&self) -> bool {
        self.bounds.len() == 1
    }
}

fn bounds(lengths: Ints, count: usize) -> Result<Vec<usize>> {
    let mut bounds = Vec::with_capacity(count + 1);
    let mut end = 0_usize;
    bounds.push(end);
    for index in 0..count {
        let length = usize::try_from(lengths.get(index)).map_err(|_| Error::Malformed)?;
        end = end.checked_add(length).ok_or(Error::Malformed)?;
        bounds.push(end);
    }
    Ok(bounds)
}
