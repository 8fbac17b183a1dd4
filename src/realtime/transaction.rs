//! What one transaction does to buffered counters, by subtransaction.

use std::collections::HashMap;

use camcount_counter::pending::{Addition, Mark};
use camcount_counter::table::{Key, Place};
use pgrx::prelude::*;

use super::buffer::{self, BUFFER, Buffer};
use crate::queue::shared::now;

pub type Id = pg_sys::SubTransactionId;

/// Rows changed by others than this module that one transaction tells of one by one.
const MOST_SPOILED: usize = 1024;

/// Increments of one counter; its place is pinned.
pub struct Own {
    pub place: usize,
    /// At most one for each (sub)transaction and hour. Those that the transaction has put into the row itself are here
    /// again as negative values.
    pub additions: Vec<(Id, Addition)>,
}

/// A version of a counter's row with everything that was pending.
pub struct Write {
    pub by: Id,
    pub key: Key,
    pub before: Mark,
    /// The current count that was written.
    pub stored: i64,
}

/// Rows that were changed by others than this module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Spoiled {
    One(Key),
    /// All of the table.
    All(u32),
    /// The table is empty.
    Truncated(u32),
}

/// All of it.
#[derive(Default)]
pub struct Transaction {
    pub own: HashMap<Key, Own>,
    pub writes: Vec<Write>,
    pub spoiled: Vec<(Id, Spoiled)>,
}

impl Own {
    /// Adds an increment.
    pub fn add(&mut self, id: Id, addition: Addition) {
        let mut known = self.additions.iter_mut();
        match known.find(|(other, known)| *other == id && known.hour == addition.hour) {
            Some((_, known)) => {
                known.value = known.value.saturating_add(addition.value);
                known.at = known.at.max(addition.at);
            }
            None => self.additions.push((id, addition)),
        }
    }

    /// Of all.
    pub fn sum(&self) -> i64 {
        self.additions.iter().map(|(_, addition)| addition.value).sum()
    }

    /// By hour.
    pub fn summed(&self) -> Vec<Addition> {
        let mut summed = Self { place: self.place, additions: Vec::new() };
        self.additions.iter().for_each(|&(_, addition)| summed.add(0, addition));
        summed
            .additions
            .into_iter()
            .map(|(_, addition)| addition)
            .filter(|addition| addition.value != 0)
            .collect()
    }
}

impl Transaction {
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.writes.is_empty() && self.spoiled.is_empty()
    }

    /// Whether it has changed the counter's row itself, so that what others see is not what it sees.
    pub fn has_changed(&self, key: Key) -> bool {
        self.writes.iter().any(|write| write.key == key)
            || self.spoiled.iter().any(|(_, spoiled)| match spoiled {
                Spoiled::One(known) => *known == key,
                Spoiled::All(table) | Spoiled::Truncated(table) => *table == key.table,
            })
    }

    /// It was committed.
    pub fn apply(self) {
        if self.is_empty() {
            return;
        }
        let now = now();
        let mut buffer = BUFFER.exclusive();
        for write in &self.writes {
            if let Some(place) = buffer.counters.get(write.key) {
                place.finish(write.stored);
            }
        }
        let mut is_pending = false;
        for (key, own) in self.own {
            let Some(place) = buffer.counters.place(own.place, key) else { continue };
            place.unpin();
            for addition in own.summed() {
                place.pending.add(addition);
                is_pending = true;
            }
        }
        for (_, spoiled) in self.spoiled {
            spoiled.apply(&mut buffer);
        }
        let must_wake = is_pending && buffer.must_wake(now);
        drop(buffer);
        if must_wake {
            buffer::wake_flusher();
        }
    }

    /// It was rolled back.
    pub fn undo(self) {
        if self.own.is_empty() && self.writes.is_empty() {
            return;
        }
        let mut buffer = BUFFER.exclusive();
        undo_writes(&mut buffer, self.writes);
        for (key, own) in self.own {
            if let Some(place) = buffer.counters.place(own.place, key) {
                place.unpin();
            }
        }
    }

    /// A subtransaction has become part of its parent.
    pub fn hand_over(&mut self, own: Id, parent: Id) {
        for counter in self.own.values_mut() {
            let (moved, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut counter.additions).into_iter().partition(|(id, _)| *id == own);
            counter.additions = kept;
            moved.into_iter().for_each(|(_, addition)| counter.add(parent, addition));
        }
        let (moved, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.writes).into_iter().partition(|write| write.by == own);
        self.writes = kept;
        moved.into_iter().for_each(|write| self.note(Write { by: parent, ..write }));
        let (moved, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.spoiled).into_iter().partition(|(id, _)| *id == own);
        self.spoiled = kept;
        moved.into_iter().for_each(|(_, spoiled)| self.spoil(parent, spoiled));
    }

    /// A row was written. At most one is kept for each counter and (sub)transaction: the first is what an abort goes back to.
    pub fn note(&mut self, write: Write) {
        let mut known = self.writes.iter_mut();
        match known.find(|known| (known.by, known.key) == (write.by, write.key)) {
            Some(known) => known.stored = write.stored,
            None => self.writes.push(write),
        }
    }

    /// Rows were changed by others than this module. Of many, it is not kept which.
    pub fn spoil(&mut self, by: Id, spoiled: Spoiled) {
        let Spoiled::One(key) = spoiled else {
            self.spoiled.push((by, spoiled));
            return;
        };
        let is_all = |known: &(Id, Spoiled)| known.0 == by && known.1 == Spoiled::All(key.table);
        if self.spoiled.len() < MOST_SPOILED {
            self.spoiled.push((by, spoiled));
        } else if !self.spoiled[MOST_SPOILED..].iter().any(is_all) {
            self.spoiled.push((by, Spoiled::All(key.table)));
        }
    }

    /// A subtransaction was rolled back.
    pub fn undo_part(&mut self, own: Id) {
        for counter in self.own.values_mut() {
            counter.additions.retain(|(id, _)| *id != own);
        }
        self.spoiled.retain(|(id, _)| *id != own);
        let (undone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.writes).into_iter().partition(|write| write.by == own);
        self.writes = kept;
        if !undone.is_empty() {
            undo_writes(&mut BUFFER.exclusive(), undone);
        }
    }
}

/// Backwards, to the first.
fn undo_writes(buffer: &mut Buffer, writes: Vec<Write>) {
    for write in writes.into_iter().rev() {
        if let Some(place) = buffer.counters.get(write.key) {
            place.pending.undo(write.before);
        }
    }
}

impl Spoiled {
    fn apply(self, buffer: &mut Buffer) {
        match self {
            Self::One(key) => {
                if let Some(place) = buffer.counters.get(key) {
                    place.spoil();
                }
            }
            Self::All(table) => {
                let places = buffer.counters.iter_mut().filter(|place| place.key().table == table);
                places.for_each(Place::spoil);
            }
            Self::Truncated(table) => {
                let database = buffer::key(table, 0).database;
                buffer.counters.remove(|key| (key.database, key.table) == (database, table));
            }
        }
    }
}
