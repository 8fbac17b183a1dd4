//! The cache as a file: all entries that have not expired, and a checksum. What is not such a file, whole, is refused.

use std::io::{self, Read, Write};

use crc32fast::Hasher;

use crate::cache::Cache;
use crate::entry::{Entry, Figures, LONGEST_NAME, Space};

const MAGIC: [u8; 8] = *b"camcache";
/// Of the format.
const VERSION: u32 = 1;
/// Before an entry, and after the last one.
const MORE: u8 = 1;
const END: u8 = 0;
/// Octets of the numbers of an entry.
const NUMBERS: usize = 80;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read, or ends too early.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no such file, or of another version.
    #[error("it is of another version")]
    Version,
    /// It is not as it was written.
    #[error("it is damaged")]
    Damaged,
}

/// Passes octets on, and sums them up.
struct Summed<T> {
    inner: T,
    sum: Hasher,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Self { inner, sum: Hasher::new() }
    }
}

impl<T: Write> Summed<T> {
    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sum.update(octets);
        self.inner.write_all(octets)
    }
}

impl<T: Read> Summed<T> {
    fn take<const LENGTH: usize>(&mut self) -> io::Result<[u8; LENGTH]> {
        let mut octets = [0; LENGTH];
        self.inner.read_exact(&mut octets)?;
        self.sum.update(&octets);
        Ok(octets)
    }

    /// The memory it takes grows with what is there, whatever `length` says.
    fn take_some(&mut self, length: usize) -> Result<Vec<u8>, LoadError> {
        let mut octets = Vec::new();
        (&mut self.inner).take(length as u64).read_to_end(&mut octets)?;
        self.sum.update(&octets);
        if octets.len() == length { Ok(octets) } else { Err(LoadError::Damaged) }
    }
}

impl Cache<'_> {
    /// Writes what has not expired, and returns how many entries. `version` is that of whoever understands the values.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, version: u32, now: i64, target: impl Write) -> io::Result<usize> {
        let mut target = Summed::new(target);
        target.put(&MAGIC)?;
        target.put(&VERSION.to_le_bytes())?;
        target.put(&version.to_le_bytes())?;
        let mut count = 0;
        for entry in self.entries(None, 0..self.extent(), now) {
            target.put(&[MORE])?;
            target.put(&numbers(&entry))?;
            target.put(&entry.name)?;
            target.put(&entry.value)?;
            count += 1;
        }
        target.put(&[END])?;
        let sum = target.sum.clone().finalize();
        target.put(&sum.to_le_bytes())?;
        Ok(count)
    }

    /// Takes the place of all entries by those of a file that was written with the same `version`, and returns how many
    /// there were in it that have not expired. What is too large for this cache is left out.
    ///
    /// # Errors
    /// When it is not such a file, whole; the cache is empty then.
    pub fn load(&mut self, version: u32, now: i64, source: impl Read) -> Result<usize, LoadError> {
        self.clear();
        let loaded = self.load_entries(version, now, &mut Summed::new(source));
        if loaded.is_err() {
            self.clear();
        }
        loaded
    }

    fn load_entries(
        &mut self,
        version: u32,
        now: i64,
        source: &mut Summed<impl Read>,
    ) -> Result<usize, LoadError> {
        let is_ours = source.take()? == MAGIC && source.take()? == VERSION.to_le_bytes();
        if !is_ours || source.take()? != version.to_le_bytes() {
            return Err(LoadError::Version);
        }
        let mut count = 0;
        loop {
            match source.take()? {
                [MORE] => {}
                [END] => break,
                _ => return Err(LoadError::Damaged),
            }
            let entry = read_entry(source)?;
            if entry.figures.expires_at > now
                && self.place(entry.key(), &entry.value, &entry.figures, now).is_ok()
            {
                count += 1;
            }
        }
        let expected = source.sum.clone().finalize();
        let is_whole = source.take()? == expected.to_le_bytes() && source.inner.read(&mut [0])? == 0;
        if is_whole { Ok(count) } else { Err(LoadError::Damaged) }
    }
}

fn read_entry(source: &mut Summed<impl Read>) -> Result<Entry, LoadError> {
    let numbers = source.take::<NUMBERS>()?;
    let mut rest = numbers.as_slice();
    let mut long = || {
        let (octets, after) = rest.split_first_chunk::<8>().ok_or(LoadError::Damaged)?;
        rest = after;
        Ok::<_, LoadError>(u64::from_le_bytes(*octets))
    };
    let (identity, id, created_at, written_at) = (long()? as i64, long()?, long()? as i64, long()? as i64);
    let (expires_at, accessed_at, hits, misses) = (long()? as i64, long()? as i64, long()?, long()?);
    let (database, ttl_seconds) = halves(long()?);
    let (name, value) = halves(long()?);
    let figures = Figures { id, created_at, written_at, ttl_seconds, expires_at, accessed_at, hits, misses };
    if name as usize > LONGEST_NAME {
        return Err(LoadError::Damaged);
    }
    Ok(Entry {
        space: Space { database, identity },
        name: source.take_some(name as usize)?,
        value: source.take_some(value as usize)?,
        figures,
    })
}

fn halves(long: u64) -> (u32, u32) {
    (long as u32, (long >> 32) as u32)
}

fn numbers(entry: &Entry) -> [u8; NUMBERS] {
    let figures = &entry.figures;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let longs = [
        entry.space.identity as u64,
        figures.id,
        figures.created_at as u64,
        figures.written_at as u64,
        figures.expires_at as u64,
        figures.accessed_at as u64,
        figures.hits,
        figures.misses,
        join(entry.space.database, figures.ttl_seconds),
        join(entry.name.len() as u32, entry.value.len() as u32),
    ];
    let mut octets = [0; NUMBERS];
    octets
        .chunks_exact_mut(8)
        .zip(longs)
        .for_each(|(place, long)| place.copy_from_slice(&long.to_le_bytes()));
    octets
}
