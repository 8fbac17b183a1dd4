use super::columns::{FloatsBuilder, NumbersBuilder, TextsBuilder, write_times};
use super::octets::put_unsigned;
use super::{Error, FORMAT, MAGIC, MAX_POINTS, MAX_TEXT, Point, Result, checksum};

/// Collects the points of one block.
#[derive(Debug, Default)]
pub struct Builder {
    times: Vec<i64>,
    values: NumbersBuilder,
    confidences: FloatsBuilder,
    qualities: FloatsBuilder,
    units: TextsBuilder,
    tags: TextsBuilder,
}

impl Builder {
    /// A builder without points.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a point that is no earlier than the last one. Points of equal time stay in the order they came in.
    ///
    /// # Errors
    /// [`Error::Full`] where the block has [`MAX_POINTS`], or its different texts [`MAX_TEXT`] octets or more;
    /// [`Error::Order`]. The builder stays as it was.
    #[inline]
    pub fn push(&mut self, point: &Point<'_>) -> Result<()> {
        if self.is_full() {
            return Err(Error::Full);
        }
        if let Some(&last) = self.times.last().filter(|last| point.at < **last) {
            return Err(Error::Order { at: point.at, last });
        }
        self.times.push(point.at);
        self.values.push(point.value);
        self.confidences.push(point.confidence);
        self.qualities.push(point.quality);
        self.units.push(point.unit);
        self.tags.push(point.tags);
        Ok(())
    }

    /// How many points it has.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it has no points yet.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Whether no other point fits.
    pub fn is_full(&self) -> bool {
        let text = self.values.text_length() + self.units.length() + self.tags.length();
        self.times.len() >= MAX_POINTS || text >= MAX_TEXT
    }

    /// The block.
    pub fn finish(self) -> Vec<u8> {
        let mut body = Vec::new();
        put_unsigned(self.times.len() as u64, &mut body);
        write_times(&self.times, &mut body);
        self.values.write(&mut body);
        self.confidences.write(&mut body);
        self.qualities.write(&mut body);
        self.units.write(&mut body);
        self.tags.write(&mut body);
        let header = [&MAGIC[..], &[FORMAT]].concat();
        [&header, &checksum(&header, &body)[..], &body].concat()
    }
}
