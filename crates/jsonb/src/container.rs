//! Arrays and objects: a header, an entry for each child, the children's bytes.
//!
//! An entry has the child's type and its length; every 32nd has where the child ends instead, so that finding one of many
//! need not add up all lengths before it. An object has its keys first, shorter ones before longer ones, then its values.

use crate::number::Number;
use crate::{Error, Result, Value};

/// Octets of a header, and of an entry.
const WORD: usize = 4;

/// Of a container's header.
const COUNT: u32 = 0x0FFF_FFFF;
const SCALAR: u32 = 0x1000_0000;
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

/// Of an entry.
const LENGTH: u32 = 0x0FFF_FFFF;
const KIND: u32 = 0x7000_0000;
const IS_END: u32 = 0x8000_0000;
const STRING: u32 = 0;
const NUMBER: u32 = 0x1000_0000;
const FALSE: u32 = 0x2000_0000;
const TRUE: u32 = 0x3000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;

/// A list of values.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a>(Container<'a>);

/// Values by key.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(Container<'a>);

/// Has all its entries. No more than the bytes, so that values stay small.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a>(&'a [u8]);

/// The value whose container these bytes are.
pub fn read(bytes: &[u8]) -> Result<Value<'_>> {
    let container = Container::read(bytes)?;
    if container.is_object() {
        Ok(Value::Object(Object(container)))
    } else if container.header() & SCALAR == 0 {
        Ok(Value::Array(Array(container)))
    } else if container.count() == 1 && !matches!(container.span(0, 0)?.kind, Kind::Container) {
        container.child(0, 0).map(|(value, _)| value)
    } else {
        Err(Error::Malformed)
    }
}

impl<'a> Array<'a> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in order. After an error there are no more.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Value<'a>>> + use<'a> {
        self.children()
    }

    pub(crate) fn children(&self) -> Children<'a> {
        Children { container: self.0, next: 0, end: self.len(), offset: 0 }
    }

    /// The container, which is a jsonb once a length word is put before it.
    pub fn bytes(&self) -> &'a [u8] {
        self.0.0
    }

    pub(crate) fn container(&self) -> Container<'a> {
        self.0
    }
}

impl<'a> Object<'a> {
    /// How many keys.
    pub fn len(&self) -> usize {
        self.0.count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under a key; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Encoding`].
    pub fn get(&self, key: &str) -> Result<Option<Value<'a>>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let found = self.0.octets(&self.0.span(middle, self.0.offset(middle)?)?)?;
            match (found.len(), found).cmp(&(key.len(), key.as_bytes())) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let index = self.len() + middle;
                    return self.0.child(index, self.0.offset(index)?).map(|(value, _)| Some(value));
                }
            }
        }
        Ok(None)
    }

    /// Shorter ones before longer ones; the values are in the same order.
    pub(crate) fn keys(&self) -> Children<'a> {
        Children { container: self.0, next: 0, end: self.len(), offset: 0 }
    }

    pub(crate) fn values(&self) -> Result<Children<'a>> {
        let (next, end) = (self.len(), 2 * self.len());
        Ok(Children { container: self.0, next, end, offset: self.0.offset(next)? })
    }

    /// The container, which is a jsonb once a length word is put before it.
    pub fn bytes(&self) -> &'a [u8] {
        self.0.0
    }

    pub(crate) fn container(&self) -> Container<'a> {
        self.0
    }
}

/// What a child is, and where among its siblings' bytes it begins and ends.
pub struct Span {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// What a child is.
#[derive(Clone, Copy)]
pub enum Kind {
    String,
    Number,
    False,
    True,
    Null,
    Container,
}

impl<'a> Container<'a> {
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let header = word(bytes, 0)?;
        let container = Self(bytes);
        let is_one = (header & OBJECT == 0) != (header & ARRAY == 0);
        if is_one && container.data() <= bytes.len() { Ok(container) } else { Err(Error::Malformed) }
    }

    #[inline]
    fn header(&self) -> u32 {
        word(self.0, 0).unwrap_or(0)
    }

    fn is_object(&self) -> bool {
        self.header() & OBJECT != 0
    }

    /// How many values.
    #[inline]
    pub fn count(&self) -> usize {
        (self.header() & COUNT) as usize
    }

    /// How many children: an object's keys are some too.
    #[inline]
    pub fn entries(&self) -> usize {
        if self.is_object() { 2 * self.count() } else { self.count() }
    }

    /// Where the children's bytes begin.
    #[inline]
    fn data(&self) -> usize {
        WORD + self.entries() * WORD
    }

    #[inline]
    fn entry(&self, index: usize) -> Result<u32> {
        word(self.0, WORD + index * WORD)
    }

    /// Where a child begins.
    fn offset(&self, index: usize) -> Result<usize> {
        let mut offset = 0;
        for before in (0..index).rev() {
            let entry = self.entry(before)?;
            offset += (entry & LENGTH) as usize;
            if entry & IS_END != 0 {
                break;
            }
        }
        Ok(offset)
    }

    /// The child that begins at `start`.
    #[inline]
    pub fn span(&self, index: usize, start: usize) -> Result<Span> {
        let entry = self.entry(index)?;
        let length = (entry & LENGTH) as usize;
        let kind = match entry & KIND {
            STRING => Kind::String,
            NUMBER => Kind::Number,
            FALSE => Kind::False,
            TRUE => Kind::True,
            NULL => Kind::Null,
            CONTAINER => Kind::Container,
            _ => return Err(Error::Malformed),
        };
        Ok(Span { kind, start, end: if entry & IS_END == 0 { start + length } else { length } })
    }

    /// A child's bytes.
    #[inline]
    pub fn octets(&self, span: &Span) -> Result<&'a [u8]> {
        let data = self.data();
        self.0.get(data + span.start..data + span.end).ok_or(Error::Malformed)
    }

    /// A child's bytes without those in front that make numbers and containers begin at a multiple of four.
    #[inline]
    pub fn aligned(&self, span: &Span) -> Result<&'a [u8]> {
        let start = span.start.next_multiple_of(WORD);
        self.octets(&Span { start, ..*span })
    }

    /// A child, and where the next one begins.
    #[inline]
    fn child(&self, index: usize, start: usize) -> Result<(Value<'a>, usize)> {
        let span = self.span(index, start)?;
        let value = match span.kind {
            Kind::String => {
                Value::String(std::str::from_utf8(self.octets(&span)?).map_err(|_| Error::Encoding)?)
            }
            Kind::Number => Value::Number(Number::read(self.aligned(&span)?)?),
            Kind::Container => read(self.aligned(&span)?)?,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Null => Value::Null,
        };
        Ok((value, span.end))
    }
}

/// Some of a container's children in order.
pub struct Children<'a> {
    container: Container<'a>,
    next: usize,
    end: usize,
    offset: usize,
}

impl<'a> Children<'a> {
    /// The next one.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<Value<'a>>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let (value, offset) = self.container.child(self.next, self.offset)?;
        self.next += 1;
        self.offset = offset;
        Ok(Some(value))
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<Value<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let child = self.advance();
        if child.is_err() {
            self.next = self.end;
        }
        child.transpose()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Children<'_> {}

#[inline]
fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + WORD).and_then(|word| word.try_into().ok());
    word.map(u32::from_ne_bytes).ok_or(Error::Malformed)
}
