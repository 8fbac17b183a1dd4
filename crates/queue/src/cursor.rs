//! A position in an order of arrival that skips nothing, though transactions do not commit in the order of their ids:
//! those that were open when the position passed them are remembered, and read once they have ended.

/// Open transactions that a cursor remembers at most; where there are more it waits.
pub const MOST_OPEN: usize = 64;

/// A place in the order: before an entry of a transaction, of which so many items have been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The transaction that wrote the entry.
    pub transaction: i64,
    /// The entry; entries of a transaction are in ascending order.
    pub entry: i64,
    /// Items of the entry that lie behind.
    pub taken: u32,
}

impl Place {
    /// Before everything that a transaction has written.
    #[must_use]
    pub fn before(transaction: i64) -> Self {
        Self { transaction, ..Self::default() }
    }
}

/// Which transactions have ended, as of a moment.
#[derive(Clone, Debug)]
pub struct Horizon {
    /// No transaction from this one on has ended.
    pub next: i64,
    /// Those before it that have not ended, ascending.
    pub open: Vec<i64>,
}

/// How far an order has been read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    place: Place,
    /// What was passed by, of which `left_count` count: transactions that were open, and what has been read of them.
    left: [Place; MOST_OPEN],
    left_count: usize,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { place: Place::default(), left: [Place::default(); MOST_OPEN], left_count: 0 }
    }
}

/// A stretch to be read: from a place to the end of its transaction, or to the beginning of a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// The rest of one transaction.
    Transaction(Place),
    /// Everything before the transaction `end`.
    Until {
        /// Where it begins.
        from: Place,
        /// The first transaction that does not belong to it.
        end: i64,
    },
}

impl Cursor {
    /// What is to be read now, in this order.
    #[must_use]
    pub fn stretches(&self, horizon: &Horizon) -> Vec<Stretch> {
        let ended = self.left[..self.left_count]
            .iter()
            .filter(|left| left.transaction < horizon.next && !horizon.is_open(left.transaction));
        let end = self.end(horizon);
        let rest = (end > self.place.transaction).then_some(Stretch::Until { from: self.place, end });
        ended.map(|left| Stretch::Transaction(*left)).chain(rest).collect()
    }

    /// A stretch has been read up to `place`, or to its end.
    pub fn advance(&mut self, stretch: Stretch, place: Option<Place>, horizon: &Horizon) {
        match stretch {
            Stretch::Transaction(from) => {
                let found =
                    self.left[..self.left_count].iter().position(|left| left.transaction == from.transaction);
                match (found, place) {
                    (Some(index), Some(place)) => self.left[index] = place,
                    (Some(index), None) => self.forget(index),
                    (None, _) => {}
                }
            }
            Stretch::Until { end, .. } => {
                let place = place.unwrap_or(Place::before(end));
                let passed = self.place.transaction..place.transaction;
                for &open in horizon.open.iter().filter(|open| passed.contains(open)) {
                    self.remember(open);
                }
                self.place = place;
            }
        }
    }

    fn remember(&mut self, transaction: i64) {
        let known = self.left[..self.left_count].iter().any(|left| left.transaction == transaction);
        if !known && self.left_count < MOST_OPEN {
            self.left[self.left_count] = Place::before(transaction);
            self.left_count += 1;
        }
    }

    fn forget(&mut self, index: usize) {
        self.left_count -= 1;
        self.left[index] = self.left[self.left_count];
    }

    /// How far it may go: as long as all open transactions before can be remembered.
    fn end(&self, horizon: &Horizon) -> i64 {
        let first = horizon.open.partition_point(|&open| open < self.place.transaction);
        let room = MOST_OPEN - self.left_count;
        horizon.open.get(first + room).map_or(horizon.next, |open| (*open).min(horizon.next))
    }
}

impl Horizon {
    fn is_open(&self, transaction: i64) -> bool {
        self.open.binary_search(&transaction).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn horizon(next: i64, open: &[i64]) -> Horizon {
        Horizon { next, open: open.to_vec() }
    }

    fn read_all(cursor: &mut Cursor, horizon: &Horizon) -> Vec<Stretch> {
        let stretches = cursor.stretches(horizon);
        for &stretch in &stretches {
            cursor.advance(stretch, None, horizon);
        }
        stretches
    }

    #[test]
    fn an_open_transaction_is_read_once_it_has_ended() {
        let mut cursor = Cursor::default();
        let all = Stretch::Until { from: Place::default(), end: 20 };
        assert_eq!(read_all(&mut cursor, &horizon(20, &[7])), [all]);
        assert_eq!(read_all(&mut cursor, &horizon(20, &[7])), []);
        assert_eq!(read_all(&mut cursor, &horizon(20, &[])), [Stretch::Transaction(Place::before(7))]);
        assert_eq!(read_all(&mut cursor, &horizon(20, &[])), []);
    }

    #[test]
    fn a_stretch_goes_on_where_it_was_left() {
        let mut cursor = Cursor::default();
        let now = horizon(20, &[7]);
        let stretch = cursor.stretches(&now)[0];
        let middle = Place { transaction: 9, entry: 4, taken: 3 };
        cursor.advance(stretch, Some(middle), &now);
        let later = horizon(20, &[]);
        assert_eq!(
            cursor.stretches(&later),
            [Stretch::Transaction(Place::before(7)), Stretch::Until { from: middle, end: 20 }]
        );
        let part = Place { transaction: 7, entry: 2, taken: 1 };
        cursor.advance(Stretch::Transaction(Place::before(7)), Some(part), &later);
        assert_eq!(cursor.stretches(&later)[0], Stretch::Transaction(part));
    }

    #[test]
    fn it_waits_where_it_cannot_remember_more() {
        let open: Vec<i64> = (1..=200).map(|n| n * 2).collect();
        let mut cursor = Cursor::default();
        let now = horizon(500, &open);
        read_all(&mut cursor, &now);
        assert_eq!(cursor.place.transaction, open[MOST_OPEN]);
        read_all(&mut cursor, &horizon(500, &[]));
        read_all(&mut cursor, &horizon(500, &[]));
        assert_eq!((cursor.place.transaction, cursor.left_count), (500, 0));
    }

    proptest! {
        /// Transactions begin in order and end in any; whatever ends with an entry is read once, and nothing else is.
        #[test]
        fn everything_is_read_once(ends in prop::collection::vec((1i64..40, 0u8..3), 1..40), most in 1usize..4) {
            let mut open: Vec<i64> = (1..=40).collect();
            let mut written = Vec::new();
            let mut read: Vec<i64> = Vec::new();
            let mut cursor = Cursor::default();
            let mut step = |open: &[i64], written: &[i64], most: usize| {
                let now = Horizon { next: 41, open: open.to_vec() };
                for stretch in cursor.stretches(&now) {
                    let mut found: Vec<i64> = written.iter().copied().filter(|&transaction| match stretch {
                        Stretch::Transaction(place) => transaction == place.transaction,
                        Stretch::Until { from, end } => transaction >= from.transaction && transaction < end,
                    }).collect();
                    found.sort_unstable();
                    let rest = found.get(most).map(|&transaction| Place::before(transaction));
                    read.extend(found.iter().take(most));
                    cursor.advance(stretch, rest, &now);
                }
                read.len()
            };
            for (transaction, writes) in ends {
                if let Ok(index) = open.binary_search(&transaction) {
                    open.remove(index);
                    if writes > 0 {
                        written.push(transaction);
                    }
                }
                step(&open, &written, most);
            }
            for _ in 0..50 {
                step(&[], &written, most);
            }
            written.sort_unstable();
            read.sort_unstable();
            prop_assert_eq!(read, written);
        }
    }
}
