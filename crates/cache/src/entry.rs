//! What an entry is, and how its blocks hold it: figures, name and value, one after the other.

use std::sync::atomic::Ordering::Relaxed;

use crate::blocks::{BLOCK, Blocks};

/// Octets of the longest name: 200 characters in UTF-8.
pub const LONGEST_NAME: usize = 800;

/// Whose a name is: the same name in another space is another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    /// The database.
    pub database: u32,
    /// What tells it from another one that had its number before.
    pub identity: i64,
}

/// What an entry is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    /// Whose it is.
    pub space: Space,
    /// At most [`LONGEST_NAME`] octets.
    pub name: &'a [u8],
}

/// What is known of an entry. Times are microseconds of the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Order of creation.
    pub id: u64,
    /// When its key was first written, without having been deleted or evicted since.
    pub created_at: i64,
    /// When its value was written.
    pub written_at: i64,
    /// How long it was to be valid.
    pub ttl_seconds: u32,
    /// It is no longer returned from then on.
    pub expires_at: i64,
    /// When it was last written or asked for.
    pub accessed_at: i64,
    /// How often it was returned.
    pub hits: u64,
    /// How often it was asked for when it had expired.
    pub misses: u64,
}

/// An entry, taken out of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub space: Space,
    /// What it is found by.
    pub name: Vec<u8>,
    /// What it holds.
    pub value: Vec<u8>,
    /// What is known of it.
    pub figures: Figures,
}

impl Entry {
    /// What it is found by.
    pub fn key(&self) -> Key<'_> {
        Key { space: self.space, name: &self.name }
    }
}

/// Words of an entry's first block, after the block's own.
#[derive(Clone, Copy)]
pub enum Word {
    Hash = 1,
    /// 0, or the next head in the bucket and 1.
    NextInBucket,
    /// The database, and in the high half the octets of the name.
    DatabaseAndName,
    Identity,
    /// Octets of the value, and in the high half `ttl_seconds`.
    ValueAndTtl,
    Id,
    CreatedAt,
    WrittenAt,
    ExpiresAt,
    AccessedAt,
    Hits,
    Misses,
    /// Where the name begins; the value begins with the word after it.
    Content,
}

/// Octets in a word.
const WIDTH: usize = 8;

/// An entry in its blocks, by the first of them.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub blocks: Blocks<'a>,
    pub head: usize,
}

impl<'a> Place<'a> {
    /// Blocks that a name and a value take.
    pub fn size(name: usize, value: usize) -> usize {
        let words = name.div_ceil(WIDTH) + value.div_ceil(WIDTH);
        let first = BLOCK - Word::Content as usize;
        1 + words.saturating_sub(first).div_ceil(BLOCK - 1)
    }

    /// Octets that a value may have in so many blocks, beside the longest name.
    pub fn room(blocks: usize) -> usize {
        let words = (BLOCK - Word::Content as usize) + blocks.saturating_sub(1) * (BLOCK - 1);
        words.saturating_sub(LONGEST_NAME / WIDTH) * WIDTH
    }

    pub fn get(&self, word: Word) -> u64 {
        self.blocks.words(self.head)[word as usize].load(Relaxed)
    }

    pub fn put(&self, word: Word, value: u64) {
        self.blocks.words(self.head)[word as usize].store(value, Relaxed);
    }

    pub fn add(&self, word: Word, amount: u64) {
        self.blocks.words(self.head)[word as usize].fetch_add(amount, Relaxed);
    }

    pub fn space(&self) -> Space {
        Space { database: self.get(Word::DatabaseAndName) as u32, identity: self.get(Word::Identity) as i64 }
    }

    fn name_length(&self) -> usize {
        (self.get(Word::DatabaseAndName) >> 32) as usize
    }

    fn value_length(&self) -> usize {
        self.get(Word::ValueAndTtl) as u32 as usize
    }

    pub fn expires_at(&self) -> i64 {
        self.get(Word::ExpiresAt) as i64
    }

    pub fn is_of(&self, key: Key<'_>) -> bool {
        self.name_length() == key.name.len()
            && self.space() == key.space
            && self
                .content()
                .zip(key.name.chunks(WIDTH))
                .all(|(word, octets)| word.load(Relaxed) == packed(octets))
    }

    fn content(&self) -> impl Iterator<Item = &'a std::sync::atomic::AtomicU64> + use<'a> {
        self.blocks.chained(self.head, Word::Content as usize)
    }

    /// Writes the name, of a new entry or the one that it had.
    pub fn put_key(&self, key: Key<'_>) {
        self.put(Word::DatabaseAndName, u64::from(key.space.database) | (key.name.len() as u64) << 32);
        self.put(Word::Identity, key.space.identity as u64);
    }

    /// Writes name and value, for which there are blocks enough.
    pub fn put_content(&self, name: &[u8], value: &[u8]) {
        let octets = name.chunks(WIDTH).chain(value.chunks(WIDTH));
        self.content().zip(octets).for_each(|(word, octets)| word.store(packed(octets), Relaxed));
    }

    pub fn put_figures(&self, figures: &Figures, value_length: usize) {
        self.put(Word::ValueAndTtl, value_length as u64 | u64::from(figures.ttl_seconds) << 32);
        self.put(Word::Id, figures.id);
        self.put(Word::CreatedAt, figures.created_at as u64);
        self.put(Word::WrittenAt, figures.written_at as u64);
        self.put(Word::ExpiresAt, figures.expires_at as u64);
        self.put(Word::AccessedAt, figures.accessed_at as u64);
        self.put(Word::Hits, figures.hits);
        self.put(Word::Misses, figures.misses);
    }

    pub fn figures(&self) -> Figures {
        Figures {
            id: self.get(Word::Id),
            created_at: self.get(Word::CreatedAt) as i64,
            written_at: self.get(Word::WrittenAt) as i64,
            ttl_seconds: (self.get(Word::ValueAndTtl) >> 32) as u32,
            expires_at: self.expires_at(),
            accessed_at: self.get(Word::AccessedAt) as i64,
            hits: self.get(Word::Hits),
            misses: self.get(Word::Misses),
        }
    }

    pub fn name(&self) -> Vec<u8> {
        unpacked(self.content(), self.name_length())
    }

    pub fn value(&self) -> Vec<u8> {
        unpacked(self.content().skip(self.name_length().div_ceil(WIDTH)), self.value_length())
    }

    pub fn entry(&self) -> Entry {
        Entry { space: self.space(), name: self.name(), value: self.value(), figures: self.figures() }
    }
}

/// Up to eight octets in a word, the rest 0.
fn packed(octets: &[u8]) -> u64 {
    let mut word = [0; WIDTH];
    word[..octets.len()].copy_from_slice(octets);
    u64::from_ne_bytes(word)
}

fn unpacked<'a>(words: impl Iterator<Item = &'a std::sync::atomic::AtomicU64>, length: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(length.next_multiple_of(WIDTH));
    for word in words.take(length.div_ceil(WIDTH)) {
        octets.extend_from_slice(&word.load(Relaxed).to_ne_bytes());
    }
    octets.truncate(length);
    octets
}
