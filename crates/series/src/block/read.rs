use super::columns::{Floats, Numbers, Texts, read_times};
use super::octets::Octets;
use super::{Error, FORMAT, HEADER, MAGIC, MAX_POINTS, Number, Point, Result, checksum};

/// The points of a block.
#[derive(Debug)]
pub struct Block {
    times: Vec<i64>,
    values: Numbers,
    confidences: Floats,
    qualities: Floats,
    units: Texts,
    tags: Texts,
}

/// The values of a block as whole numbers, to count with.
#[derive(Clone, Copy, Debug)]
pub struct Decimals<'a> {
    /// Digits after the point, the same for all: a value is its mantissa · 10^-`scale`.
    pub scale: u16,
    /// One for each point; 0 where there is a gap.
    pub mantissas: &'a [i64],
    /// Which points have a value; `None` where all have.
    pub present: Option<&'a [bool]>,
}

impl Block {
    /// Reads a block, and keeps none of its octets.
    ///
    /// Any octets may be given. What is read takes memory for [`MAX_POINTS`] points at most (128 octets each), beside
    /// the texts, of which each of three columns has [`MAX_TEXT`](super::MAX_TEXT) at most, or as many as there are
    /// octets.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Format`], [`Error::Checksum`], [`Error::Malformed`].
    pub fn read(octets: &[u8]) -> Result<Self> {
        let mut octets = Octets::new(checked(octets)?);
        let count = usize::try_from(octets.unsigned()?).ok().filter(|count| *count <= MAX_POINTS);
        let count = count.ok_or(Error::Malformed)?;
        let block = Self {
            times: read_times(&mut octets, count)?,
            values: Numbers::read(&mut octets, count)?,
            confidences: Floats::read(&mut octets, count)?,
            qualities: Floats::read(&mut octets, count)?,
            units: Texts::read(&mut octets, count)?,
            tags: Texts::read(&mut octets, count)?,
        };
        if octets.is_empty() { Ok(block) } else { Err(Error::Malformed) }
    }

    /// How many points it has.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it has no points.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Times of all points in microseconds, ascending.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// The values as whole numbers of one scale. `None` where there is no such scale, one of them is a text, or all
    /// are gaps: then there are [`Block::points`].
    pub fn decimals(&self) -> Option<Decimals<'_>> {
        self.values.decimals()
    }

    /// The value of the point with this index; `None` also beyond the last one.
    #[inline]
    pub fn value(&self, index: usize) -> Option<Number<'_>> {
        if index < self.len() { self.values.get(index) } else { None }
    }

    /// The point with this index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Point<'_>> {
        Some(Point {
            at: *self.times.get(index)?,
            value: self.values.get(index),
            confidence: self.confidences.get(index),
            quality: self.qualities.get(index),
            unit: self.units.get(index),
            tags: self.tags.get(index),
        })
    }

    /// All points, in the order in which they were pushed.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = Point<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// What follows header and checksum, if they are those of a block.
fn checked(octets: &[u8]) -> Result<&[u8]> {
    let (header, rest) = octets.split_at_checked(HEADER).ok_or(Error::Foreign)?;
    match header.strip_prefix(&MAGIC) {
        Some([FORMAT]) => (),
        Some([format]) => return Err(Error::Format(*format)),
        _ => return Err(Error::Foreign),
    }
    let (found, body) = rest.split_first_chunk().ok_or(Error::Checksum)?;
    if *found == checksum(header, body) { Ok(body) } else { Err(Error::Checksum) }
}
