//! A table of counters that lies in shared memory: a fixed number of places, found by hash.

use crate::pending::Pending;

/// Places that a counter may be in: a look-up goes through all of them.
const WINDOW: usize = 32;

/// Identifies a counter among those of all databases, also after the extension was dropped and made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// The database's OID; 0 for none.
    pub database: u32,
    /// The OID of its table of counters.
    pub table: u32,
    /// The counter's id there.
    pub counter: i64,
}

/// A counter's place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    key: Key,
    /// The current count in the row's last committed version, where it is known.
    stored: Option<i64>,
    /// What is not in the row yet.
    pub pending: Pending,
    /// Transactions that will add to it when they commit.
    pins: u32,
    /// Changes with everything that makes a row that was read out of date.
    version: u32,
    used_at: i64,
}

impl Place {
    /// The current count with what is pending; `None` where the row has to be read first.
    #[must_use]
    pub fn count(&self) -> Option<i64> {
        self.stored.map(|stored| stored.saturating_add(self.pending.sum()))
    }

    /// The counter has a new version of its row, whose current count is `stored`, and everything that was pending at its
    /// [`begin`](Pending::begin).
    pub fn finish(&mut self, stored: i64) {
        self.pending.finish();
        self.version = self.version.wrapping_add(1);
        // What somebody else wrote is not known by this.
        self.stored = self.stored.map(|_| stored);
    }

    /// The row was changed by somebody who does not know of pending increments.
    pub fn spoil(&mut self) {
        self.stored = None;
        self.version = self.version.wrapping_add(1);
    }

    /// The current count of the row as it was read after `version` was.
    pub fn refresh(&mut self, version: u32, stored: i64) {
        if self.version == version {
            self.stored = Some(stored);
        }
    }

    /// See [`Place::refresh`].
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A transaction is going to add: the place stays the counter's until it is released.
    pub fn pin(&mut self) {
        self.pins += 1;
    }

    /// That transaction has ended.
    pub fn unpin(&mut self) {
        self.pins = self.pins.saturating_sub(1);
    }

    /// Whose place it is.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    fn is_free(&self) -> bool {
        self.key.database == 0
    }

    fn is_idle(&self) -> bool {
        self.pins == 0 && self.pending.is_idle()
    }
}

/// The places of `SIZE` counters.
#[derive(Clone, Copy, Debug)]
pub struct Table<const SIZE: usize>([Place; SIZE]);

impl<const SIZE: usize> Default for Table<SIZE> {
    fn default() -> Self {
        Self([Place::default(); SIZE])
    }
}

impl<const SIZE: usize> Table<SIZE> {
    /// A counter's place, where it has one.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<usize> {
        places::<SIZE>(key).find(|&index| self.0[index].key == key)
    }

    /// A counter's place, which it is given where it has none: a free one, or that of the counter whose increments are
    /// all in its row and that was not used for the longest. `None` where there is none to be had.
    pub fn enter(&mut self, key: Key, now: i64) -> Option<usize> {
        let index = self.find(key).or_else(|| {
            let usable =
                places::<SIZE>(key).filter(|&index| self.0[index].is_free() || self.0[index].is_idle());
            usable.min_by_key(|&index| (!self.0[index].is_free(), self.0[index].used_at))
        })?;
        if self.0[index].key != key {
            self.0[index] = Place { key, ..Place::default() };
        }
        self.0[index].used_at = now;
        Some(index)
    }

    /// The place of this number, if it still is this counter's.
    pub fn place(&mut self, index: usize, key: Key) -> Option<&mut Place> {
        self.0.get_mut(index).filter(|place| place.key == key)
    }

    /// A counter's place, where it has one.
    #[must_use]
    pub fn look(&self, key: Key) -> Option<&Place> {
        self.find(key).map(|index| &self.0[index])
    }

    /// A counter's place, where it has one.
    pub fn get(&mut self, key: Key) -> Option<&mut Place> {
        self.find(key).map(|index| &mut self.0[index])
    }

    /// All that are in use.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| !place.is_free())
    }

    /// All that are in use.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.0.iter_mut().filter(|place| !place.is_free())
    }

    /// Gives up the places of counters that are gone, with what is pending for them.
    pub fn remove(&mut self, is_gone: impl Fn(Key) -> bool) {
        for place in self.iter_mut().filter(|place| is_gone(place.key)) {
            *place = Place::default();
        }
    }
}

fn places<const SIZE: usize>(key: Key) -> impl Iterator<Item = usize> {
    // Fibonacci hashing: ids that follow each other are spread.
    let words = (u64::from(key.database) << 32 | u64::from(key.table)) ^ (key.counter as u64).rotate_left(17);
    let first = (words.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
    (0..WINDOW.min(SIZE)).map(move |step| first.wrapping_add(step) % SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending::Addition;

    fn key(counter: i64) -> Key {
        Key { database: 1, table: 2, counter }
    }

    fn addition(value: i64) -> Addition {
        Addition { hour: 0, at: 0, value }
    }

    #[test]
    fn half_of_the_places_are_always_to_be_had() {
        let mut table = Table::<1024>::default();
        for counter in 1..=512 {
            let index = table.enter(key(counter), counter).unwrap();
            table.place(index, key(counter)).unwrap().pin();
        }
        assert!((1..=512).all(|counter| table.find(key(counter)).is_some()));
    }

    #[test]
    fn a_full_table_gives_up_idle_places_alone() {
        let mut table = Table::<3>::default();
        for counter in 1..=3 {
            table.enter(key(counter), counter).unwrap();
        }
        table.get(key(1)).unwrap().pending.add(addition(1));
        table.get(key(2)).unwrap().pin();
        assert_eq!(table.enter(key(4), 4), table.find(key(4)));
        assert!(table.find(key(3)).is_none());
        table.get(key(4)).unwrap().pin();
        assert_eq!(table.enter(key(5), 5), None);
        table.get(key(2)).unwrap().unpin();
        assert!(table.enter(key(5), 5).is_some() && table.find(key(2)).is_none());
    }

    #[test]
    fn a_place_that_became_anothers_is_not_mistaken() {
        let mut table = Table::<1>::default();
        let index = table.enter(key(1), 1).unwrap();
        table.enter(key(2), 2).unwrap();
        assert!(table.place(index, key(1)).is_none() && table.place(index, key(2)).is_some());
    }

    #[test]
    fn a_count_is_known_until_somebody_else_writes_the_row() {
        let mut table = Table::<1>::default();
        table.enter(key(1), 1);
        let place = table.get(key(1)).unwrap();
        place.pending.add(addition(2));
        assert_eq!(place.count(), None);
        place.refresh(place.version(), 40);
        assert_eq!(place.count(), Some(42));

        place.pending.begin(7, place.pending.cut());
        let version = place.version();
        place.finish(42);
        assert_eq!(place.count(), Some(42));
        place.refresh(version, 40);
        assert_eq!(place.count(), Some(42));

        place.pending.begin(7, place.pending.cut());
        place.spoil();
        place.finish(42);
        assert_eq!(place.count(), None);
    }
}
