//! What can be done with the cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::blocks::{Blocks, Field, Kind};
use crate::entry::{Entry, Figures, Key, LONGEST_NAME, Place, Space, Word};

/// A value takes no more than this part of the region.
const LARGEST_SHARE: usize = 16;
/// Entries that eviction compares: of these, the one that was not used for longest goes. More would find one that is
/// nearer to being the very oldest, and take longer.
const COMPARED: usize = 16;
const MICROSECONDS: i64 = 1_000_000;

/// The cache in a region.
#[derive(Debug)]
pub struct Cache<'a> {
    blocks: Blocks<'a>,
}

/// A value, or a name, that is larger than the cache takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {limit} octets")]
pub struct TooLarge {
    /// Octets that it may have.
    pub limit: usize,
}

/// What the cache holds and has done since it was formatted, for all spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries, those that have expired and were not removed included.
    pub entries: u64,
    /// Octets of the blocks that they take.
    pub used: u64,
    /// Octets of the other blocks.
    pub free: u64,
    /// Values that were returned.
    pub hits: u64,
    /// Values that were asked for and were not there, or had expired.
    pub misses: u64,
    /// Entries that made room for others before they had expired.
    pub evictions: u64,
    /// Entries that were removed after they had expired.
    pub expirations: u64,
}

impl<'a> Cache<'a> {
    /// Makes a region an empty cache; whatever was in it is gone. `seed` is any number that others do not know. `None`
    /// where the region is too small, which no region of 64 KB is.
    pub fn format(words: &'a [AtomicU64], seed: u64) -> Option<Self> {
        let blocks = Blocks::new(words)?;
        blocks.format(seed);
        Some(Self { blocks })
    }

    /// The cache in a region; `None` where there is none, or where somebody has left it half changed.
    pub fn attach(words: &'a [AtomicU64]) -> Option<Self> {
        let blocks = Blocks::new(words)?;
        let is_whole = blocks.is_formatted() && blocks.get(Field::IsChanging) == 0;
        is_whole.then_some(Self { blocks })
    }

    /// Octets of the largest value.
    pub fn largest_value(&self) -> usize {
        Place::room(self.blocks.count() / LARGEST_SHARE)
    }

    /// Blocks that [`Self::entries`] and [`Self::remove_expired`] may be asked to go through, from 0 on.
    pub fn extent(&self) -> usize {
        self.blocks.count()
    }

    /// The value of a key, where there is one that has not expired.
    pub fn get(&self, key: Key<'_>, now: i64) -> Option<Vec<u8>> {
        let found = self.find(key);
        if let Some(place) = found {
            place.put(Word::AccessedAt, now as u64);
            if place.expires_at() > now {
                self.blocks.add(Field::Hits, 1);
                place.add(Word::Hits, 1);
                return Some(place.value());
            }
            place.add(Word::Misses, 1);
        }
        self.blocks.add(Field::Misses, 1);
        None
    }

    /// Writes a value, valid for so many seconds. What was not used for long makes room.
    ///
    /// # Errors
    /// When the value or the name is too large; nothing has changed then.
    pub fn set(&mut self, key: Key<'_>, value: &[u8], ttl_seconds: u32, now: i64) -> Result<(), TooLarge> {
        let expires_at = now.saturating_add(i64::from(ttl_seconds).saturating_mul(MICROSECONDS));
        let known = self.find(key).map(|place| place.figures());
        let new = Figures {
            id: 0,
            created_at: now,
            written_at: now,
            ttl_seconds,
            expires_at,
            accessed_at: now,
            hits: 0,
            misses: 0,
        };
        let figures = match known {
            Some(Figures { id, created_at, hits, misses, .. }) => {
                Figures { id, created_at, hits, misses, ..new }
            }
            None => Figures { id: self.blocks.get(Field::LastId) + 1, ..new },
        };
        self.place(key, value, &figures, now)
    }

    /// Writes an entry as it is.
    pub(crate) fn place(
        &mut self,
        key: Key<'_>,
        value: &[u8],
        figures: &Figures,
        now: i64,
    ) -> Result<(), TooLarge> {
        for (length, limit) in [(key.name.len(), LONGEST_NAME), (value.len(), self.largest_value())] {
            if length > limit {
                return Err(TooLarge { limit });
            }
        }
        let size = Place::size(key.name.len(), value.len());
        self.change(|cache| {
            let place = cache.find(key).or_else(|| cache.add(key, now)).ok_or(TooLarge { limit: 0 })?;
            cache.blocks.cut(place.head);
            cache.make_room(size - 1, Some(place.head), now);
            let mut last = place.head;
            for _ in 1..size {
                let Some(block) = cache.blocks.take(Kind::More) else {
                    cache.remove(place);
                    return Err(TooLarge { limit: 0 });
                };
                cache.blocks.chain(last, block);
                last = block;
            }
            place.put_content(key.name, value);
            place.put_figures(figures, value.len());
            cache.blocks.put(Field::LastId, cache.blocks.get(Field::LastId).max(figures.id));
            Ok(())
        })
    }

    /// Deletes a value; whether there was one that had not expired.
    pub fn delete(&mut self, key: Key<'_>, now: i64) -> bool {
        let Some(place) = self.find(key) else { return false };
        let was_valid = place.expires_at() > now;
        self.change(|cache| cache.remove(place));
        was_valid
    }

    /// Removes what has expired, of one space or of all, from these blocks, and returns how many entries.
    pub fn remove_expired(&mut self, space: Option<Space>, blocks: Range<usize>, now: i64) -> u64 {
        let expired: Vec<_> = self
            .places(blocks)
            .filter(|place| place.expires_at() <= now && space.is_none_or(|space| space == place.space()))
            .collect();
        let count = expired.len() as u64;
        if count > 0 {
            self.change(|cache| expired.into_iter().for_each(|place| cache.remove(place)));
            self.blocks.add(Field::Expirations, count);
        }
        count
    }

    /// The entries that begin in these blocks and have not expired, of one space or of all. An entry stays in its block
    /// until it is removed.
    pub fn entries(
        &self,
        space: Option<Space>,
        blocks: Range<usize>,
        now: i64,
    ) -> impl Iterator<Item = Entry> {
        self.places(blocks)
            .filter(move |place| place.expires_at() > now && space.is_none_or(|space| space == place.space()))
            .map(|place| place.entry())
    }

    /// What it holds and has done.
    pub fn statistics(&self) -> Statistics {
        let get = |field| self.blocks.get(field);
        let octets = |blocks: u64| blocks * (crate::blocks::BLOCK * size_of::<u64>()) as u64;
        let free = get(Field::FreeCount);
        Statistics {
            entries: get(Field::Entries),
            used: octets(self.blocks.count() as u64 - free),
            free: octets(free),
            hits: get(Field::Hits),
            misses: get(Field::Misses),
            evictions: get(Field::Evictions),
            expirations: get(Field::Expirations),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.blocks.format(self.blocks.get(Field::Seed));
    }

    #[cfg(test)]
    pub(crate) fn blocks(&self) -> Blocks<'a> {
        self.blocks
    }

    pub(crate) fn places(&self, blocks: Range<usize>) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let all = self.blocks;
        let within = blocks.start..blocks.end.min(all.count());
        within
            .filter(move |&block| all.kind(block) == Kind::Head)
            .map(move |head| Place { blocks: all, head })
    }

    /// Runs what changes the region. Should it end in the middle, nobody takes the region for a cache again.
    fn change<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        self.blocks.put(Field::IsChanging, 1);
        let result = body(self);
        self.blocks.put(Field::IsChanging, 0);
        result
    }

    fn hash(&self, key: Key<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.blocks.get(Field::Seed));
        key.hash(&mut hasher);
        hasher.finish()
    }

    fn find(&self, key: Key<'_>) -> Option<Place<'a>> {
        let hash = self.hash(key);
        self.in_bucket(hash).find(|place| place.get(Word::Hash) == hash && place.is_of(key))
    }

    fn in_bucket(&self, hash: u64) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let blocks = self.blocks;
        let place = move |link: u64| (link as usize).checked_sub(1).map(|head| Place { blocks, head });
        let first = place(blocks.bucket(hash).load(Relaxed));
        std::iter::successors(first, move |found| place(found.get(Word::NextInBucket)))
    }

    /// A new entry without a value.
    fn add(&mut self, key: Key<'_>, now: i64) -> Option<Place<'a>> {
        self.make_room(1, None, now);
        let hash = self.hash(key);
        let place = Place { blocks: self.blocks, head: self.blocks.take(Kind::Head)? };
        let bucket = self.blocks.bucket(hash);
        place.put(Word::Hash, hash);
        place.put(Word::NextInBucket, bucket.load(Relaxed));
        place.put_key(key);
        bucket.store(place.head as u64 + 1, Relaxed);
        self.blocks.add(Field::Entries, 1);
        Some(place)
    }

    fn remove(&mut self, place: Place<'_>) {
        let hash = place.get(Word::Hash);
        let (link, next) = (place.head as u64 + 1, place.get(Word::NextInBucket));
        match self.in_bucket(hash).find(|before| before.get(Word::NextInBucket) == link) {
            Some(before) => before.put(Word::NextInBucket, next),
            None => self.blocks.bucket(hash).store(next, Relaxed),
        }
        self.blocks.release_all(place.head);
        self.blocks.put(Field::Entries, self.blocks.get(Field::Entries) - 1);
    }

    /// Evicts until so many blocks are free, or nothing is left but the entry that is to stay.
    fn make_room(&mut self, blocks: usize, staying: Option<usize>, now: i64) {
        while self.blocks.get(Field::FreeCount) < blocks as u64 {
            let Some(place) = self.least_wanted(staying, now) else { return };
            let is_expired = place.expires_at() <= now;
            self.blocks.add(if is_expired { Field::Expirations } else { Field::Evictions }, 1);
            self.remove(place);
        }
    }

    /// Of the next few entries, the one that was not used for longest; one that has expired goes before.
    fn least_wanted(&self, staying: Option<usize>, now: i64) -> Option<Place<'a>> {
        let hand = (self.blocks.get(Field::Hand) as usize).min(self.blocks.count());
        let mut hand_after = hand;
        let round = self.places(hand..usize::MAX).chain(self.places(0..hand));
        let compared = round
            .filter(|place| Some(place.head) != staying)
            .take(COMPARED)
            .inspect(|place| hand_after = place.head + 1);
        let found =
            compared.min_by_key(|place| (place.expires_at() > now, place.get(Word::AccessedAt) as i64));
        self.blocks.put(Field::Hand, hand_after as u64);
        found
    }
}
