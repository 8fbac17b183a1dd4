//! What is given out, to whom and for how long: a hash table of a fixed size with open addressing.

/// Which item of which database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Identifies the database.
    pub database: u32,
    /// Identifies its queues: others, where the database's queues were dropped and made again.
    pub queues: u32,
    /// Identifies the item; 0 is none.
    pub item: i64,
}

/// Where an item's row was last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The block.
    pub block: u32,
    /// The line in the block.
    pub line: u16,
}

/// An item that is given out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease {
    /// Which item.
    pub key: Key,
    /// When its frame was taken.
    pub frame_timestamp: i64,
    /// When it was claimed.
    pub claimed_at: i64,
    /// Until when it is the worker's alone.
    pub until: i64,
    /// Which queue it is of.
    pub queue: i64,
    /// Where its row was when it was claimed.
    pub row: Row,
    /// Who has it.
    pub worker: u16,
    /// Higher goes first.
    pub priority: i16,
    /// How often it was claimed, this time included.
    pub attempts: u16,
    /// It waits in the table of retries.
    pub is_retry: bool,
    /// A transaction that is still open has finished it.
    pub is_finishing: bool,
}

impl Lease {
    /// Whether it can be given to somebody else.
    #[must_use]
    pub fn has_expired(&self, now: i64) -> bool {
        self.until <= now && !self.is_finishing
    }
}

/// No more items can be leased.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// All leases. A quarter of the slots stays free, so that a search meets one soon.
#[derive(Clone, Copy)]
pub struct Leases<const SLOTS: usize> {
    slots: [Lease; SLOTS],
    count: usize,
}

impl<const SLOTS: usize> Default for Leases<SLOTS> {
    fn default() -> Self {
        Self { slots: [Lease::default(); SLOTS], count: 0 }
    }
}

impl<const SLOTS: usize> Leases<SLOTS> {
    /// How many there can be.
    pub const CAPACITY: usize = SLOTS / 4 * 3;

    /// How many more there can be.
    #[must_use]
    pub fn room(&self) -> usize {
        Self::CAPACITY - self.count
    }

    /// The lease of an item.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Lease> {
        let slot = self.find(key);
        (self.slots[slot].key == key).then(|| &mut self.slots[slot])
    }

    /// Whether an item is given out.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.slots[self.find(key)].key == key
    }

    /// Adds a lease, or takes the place of the one that the item has.
    ///
    /// # Errors
    /// [`Full`] where there is no room for another.
    pub fn insert(&mut self, lease: Lease) -> Result<(), Full> {
        let slot = self.find(lease.key);
        if self.slots[slot].key != lease.key {
            if self.room() == 0 {
                return Err(Full);
            }
            self.count += 1;
        }
        self.slots[slot] = lease;
        Ok(())
    }

    /// Ends a lease.
    pub fn remove(&mut self, key: Key) -> Option<Lease> {
        let slot = self.find(key);
        let lease = self.slots[slot];
        if lease.key != key || key.item == 0 {
            return None;
        }
        self.count -= 1;
        self.close_gap(slot);
        Some(lease)
    }

    /// All leases.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.slots.iter().filter(|lease| lease.key.item != 0)
    }

    /// The slot that holds the key, or that it would take.
    fn find(&self, key: Key) -> usize {
        let mut slot = Self::home(key);
        while self.slots[slot].key.item != 0 && self.slots[slot].key != key {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }

    /// Moves those up that a search would no longer find behind the free slot.
    fn close_gap(&mut self, mut gap: usize) {
        let mut next = (gap + 1) % SLOTS;
        while self.slots[next].key.item != 0 {
            let distance = |from: usize, to: usize| (to + SLOTS - from) % SLOTS;
            if distance(Self::home(self.slots[next].key), next) >= distance(gap, next) {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = (next + 1) % SLOTS;
        }
        self.slots[gap] = Lease::default();
    }

    /// Where the search for a key begins. Multiplying by the golden ratio spreads consecutive ids (Knuth, The Art of
    /// Computer Programming 3, 6.4).
    fn home(key: Key) -> usize {
        let mixed = (key.item as u64 ^ (u64::from(key.database) << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % SLOTS
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type Few = Leases<512>;

    fn lease(item: i64, attempts: u16) -> Lease {
        Lease { key: key(item), attempts, ..Lease::default() }
    }

    fn key(item: i64) -> Key {
        Key { database: 5, queues: 7, item }
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut leases = Few::default();
        for item in 1..=Few::CAPACITY as i64 {
            leases.insert(lease(item, 1)).unwrap();
        }
        assert_eq!(leases.room(), 0);
        assert_eq!(leases.insert(lease(-1, 1)), Err(Full));
        assert_eq!(leases.insert(lease(1, 2)), Ok(()));
        assert!(leases.remove(key(7)).is_some());
        assert_eq!(leases.insert(lease(-1, 1)), Ok(()));
        assert_eq!(leases.iter().count(), Few::CAPACITY);
    }

    #[test]
    fn databases_are_kept_apart() {
        let mut leases = Few::default();
        leases.insert(lease(1, 1)).unwrap();
        for other in [Key { database: 6, ..key(1) }, Key { queues: 8, ..key(1) }] {
            assert!(!leases.contains(other));
            assert!(leases.remove(other).is_none());
        }
    }

    #[test]
    fn what_is_being_finished_does_not_expire() {
        let mut held = lease(1, 1);
        assert!(held.has_expired(0));
        held.is_finishing = true;
        assert!(!held.has_expired(0));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_map(steps in prop::collection::vec((1i64..200, any::<bool>(), any::<u16>()), 1..600)) {
            let mut leases = Few::default();
            let mut map = HashMap::new();
            for (item, insert, attempts) in steps {
                if insert {
                    leases.insert(lease(item, attempts)).unwrap();
                    map.insert(item, attempts);
                } else {
                    prop_assert_eq!(leases.remove(key(item)).map(|lease| lease.attempts), map.remove(&item));
                }
                prop_assert_eq!(leases.room(), Few::CAPACITY - map.len());
                for item in 1..200 {
                    let found = leases.get_mut(key(item)).map(|lease| lease.attempts);
                    prop_assert_eq!(found, map.get(&item).copied());
                }
            }
        }
    }
}
