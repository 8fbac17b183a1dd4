//! The region as blocks of one size, chained to whatever length is needed; those that nobody has are chained too.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Words of a block; the first says what it is and which one follows.
pub const BLOCK: usize = 32;
/// Blocks of the smallest region.
const FEWEST: usize = 64;
/// Words at the beginning of the region.
const HEADER: usize = 16;
/// Says that the region has been formatted, by this layout.
const MAGIC: u64 = 0x6361_6d63_6163_6801;

/// Words of the header.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    Magic,
    /// 1 while the region is being changed: who finds it so, without anybody at it, finds it half changed.
    IsChanging,
    /// Of the hashes, so that nobody can choose names that collide.
    Seed,
    FreeFirst,
    FreeCount,
    /// Where eviction looks next.
    Hand,
    LastId,
    Entries,
    Hits,
    Misses,
    Evictions,
    Expirations,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Free,
    /// An entry's first.
    Head,
    /// Another one of an entry.
    More,
}

/// The region.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    words: &'a [AtomicU64],
    /// A power of two.
    buckets: usize,
    count: usize,
}

impl<'a> Blocks<'a> {
    /// A region that has been formatted or is going to be; `None` where it is too small.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let room = words.len().checked_sub(HEADER)?;
        // Each block is to have half a bucket, or a whole one.
        let most = (room / (BLOCK + 1)).min(u32::MAX as usize - 1);
        let buckets = (most / 2 + 1).next_power_of_two();
        let count = room.saturating_sub(buckets) / BLOCK;
        (count >= FEWEST).then_some(Self { words, buckets, count: count.min(most) })
    }

    pub fn is_formatted(&self) -> bool {
        self.get(Field::Magic) == MAGIC
    }

    /// Makes all blocks free.
    pub fn format(&self, seed: u64) {
        let before = HEADER + self.buckets;
        self.words.iter().take(before).for_each(|word| word.store(0, Relaxed));
        self.put(Field::Seed, seed);
        for block in (0..self.count).rev() {
            self.release(block);
        }
        self.put(Field::Magic, MAGIC);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn get(&self, field: Field) -> u64 {
        self.words[field as usize].load(Relaxed)
    }

    pub fn put(&self, field: Field, value: u64) {
        self.words[field as usize].store(value, Relaxed);
    }

    pub fn add(&self, field: Field, amount: u64) {
        self.words[field as usize].fetch_add(amount, Relaxed);
    }

    /// The bucket of a hash: 0, or a head and 1.
    pub fn bucket(&self, hash: u64) -> &'a AtomicU64 {
        &self.words[HEADER + (hash as usize & (self.buckets - 1))]
    }

    /// A block's words.
    pub fn words(&self, block: usize) -> &'a [AtomicU64] {
        let start = HEADER + self.buckets + block * BLOCK;
        &self.words[start..start + BLOCK]
    }

    pub fn kind(&self, block: usize) -> Kind {
        match self.words(block)[0].load(Relaxed) >> 32 {
            1 => Kind::Head,
            2 => Kind::More,
            _ => Kind::Free,
        }
    }

    /// The block that follows.
    pub fn next(&self, block: usize) -> Option<usize> {
        let next = self.words(block)[0].load(Relaxed) as u32;
        (next as usize).checked_sub(1).filter(|&next| next < self.count)
    }

    fn mark(&self, block: usize, kind: Kind, next: Option<usize>) {
        let next = next.map_or(0, |next| next as u64 + 1);
        self.words(block)[0].store((kind as u64) << 32 | next, Relaxed);
    }

    /// Takes a free block.
    pub fn take(&self, kind: Kind) -> Option<usize> {
        let block = (self.get(Field::FreeFirst) as usize).checked_sub(1)?;
        let next = self.next(block).map_or(0, |next| next as u64 + 1);
        self.put(Field::FreeFirst, next);
        self.put(Field::FreeCount, self.get(Field::FreeCount) - 1);
        self.mark(block, kind, None);
        Some(block)
    }

    /// Makes `next` follow `block`.
    pub fn chain(&self, block: usize, next: usize) {
        self.mark(block, self.kind(block), Some(next));
    }

    fn release(&self, block: usize) {
        let first = (self.get(Field::FreeFirst) as usize).checked_sub(1);
        self.mark(block, Kind::Free, first);
        self.put(Field::FreeFirst, block as u64 + 1);
        self.put(Field::FreeCount, self.get(Field::FreeCount) + 1);
    }

    /// Frees a block and those that follow.
    pub fn release_all(&self, block: usize) {
        let mut next = Some(block);
        while let Some(block) = next {
            next = self.next(block);
            self.release(block);
        }
    }

    /// Frees those that follow.
    pub fn cut(&self, block: usize) {
        if let Some(next) = self.next(block) {
            self.release_all(next);
        }
        self.mark(block, self.kind(block), None);
    }

    /// The words of a chain, in order: those of the first block from `skipped` on, all but the first of the others.
    pub fn chained(self, block: usize, skipped: usize) -> impl Iterator<Item = &'a AtomicU64> {
        let first = (skipped..BLOCK, block);
        let parts =
            std::iter::successors(Some(first), move |(_, block)| Some((1..BLOCK, self.next(*block)?)));
        parts.flat_map(move |(range, block): (Range<usize>, usize)| &self.words(block)[range])
    }
}
