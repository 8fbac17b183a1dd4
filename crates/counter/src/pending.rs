//! Increments of one counter that are committed and not in its row yet.
//!
//! They are kept as sums that only grow: what came in (`added`), how much of it is in the row's last committed version
//! (`flushed`), and how much in a version that is being written (`writing`). A write that is rolled back needs nothing
//! put back.

/// Hours whose increments can be pending at once. Two meet at the turn of an hour; more only where a flush has been held
/// up for as long.
pub const HOURS: usize = 3;

/// What came in during one hour of the camera's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hour {
    start: i64,
    /// When the last of it was made.
    at: i64,
    /// `added >= writing >= flushed >= 0`, always.
    added: i64,
    writing: i64,
    flushed: i64,
}

/// Increments of one hour, summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// When the hour began.
    pub hour: i64,
    /// When the last of them was made.
    pub at: i64,
    /// Their sum.
    pub value: i64,
}

/// How much had come in at a moment: what a row version has that is written from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut([i64; HOURS]);

/// How far the row version before goes: to be kept for [`Pending::undo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    writer: u32,
    writing: [i64; HOURS],
}

/// A counter's pending increments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    hours: [Hour; HOURS],
    /// Who is writing the row; 0 for nobody, and then `writing == flushed`.
    writer: u32,
}

impl Pending {
    /// The sum of what the row's last committed version lacks.
    #[must_use]
    pub fn sum(&self) -> i64 {
        self.hours.iter().map(|hour| hour.added - hour.flushed).sum()
    }

    /// Nothing is pending and nobody is writing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.writer == 0 && self.sum() == 0
    }

    /// Whether [`Pending::add`] would count for this hour.
    #[must_use]
    pub fn has_room(&self, hour: i64) -> bool {
        self.hours.iter().any(|known| known.start == hour || known.is_free())
    }

    /// An increment was committed. It counts for another hour, the latest, where [`Pending::has_room`] has not been
    /// asked.
    pub fn add(&mut self, addition: Addition) {
        let hours = &self.hours;
        let known = hours.iter().position(|hour| hour.start == addition.hour && !hour.is_free());
        let place = known.or_else(|| hours.iter().position(Hour::is_free));
        let place = place.or_else(|| (0..HOURS).max_by_key(|&place| hours[place].start)).unwrap_or(0);
        let hour = &mut self.hours[place];
        if hour.is_free() {
            *hour = Hour { start: addition.hour, at: addition.at, ..Hour::default() };
        }
        hour.at = hour.at.max(addition.at);
        hour.added = hour.added.saturating_add(addition.value.max(0));
    }

    /// What the row lacks, oldest first: its last committed version, or that of the writer.
    pub fn lacking(&self, of_writer: bool) -> impl Iterator<Item = Addition> {
        let mut hours = self.hours;
        hours.sort_by_key(|hour| hour.start);
        hours.into_iter().filter_map(move |hour| {
            let value = hour.added - if of_writer { hour.writing } else { hour.flushed };
            (value > 0).then_some(Addition { hour: hour.start, at: hour.at, value })
        })
    }

    /// What has come in by now: to be taken together with [`Pending::lacking`].
    #[must_use]
    pub fn cut(&self) -> Cut {
        Cut(self.hours.map(|hour| hour.added))
    }

    /// Who is writing the row; 0 for nobody.
    #[must_use]
    pub fn writer(&self) -> u32 {
        self.writer
    }

    /// A version of the row has been written that has everything up to the cut. One writer at a time, from the cut to the
    /// end; it may write again.
    pub fn begin(&mut self, writer: u32, cut: Cut) -> Mark {
        let mark = Mark { writer: self.writer, writing: self.hours.map(|hour| hour.writing) };
        self.writer = writer;
        for (hour, writing) in self.hours.iter_mut().zip(cut.0) {
            hour.writing = writing;
        }
        mark
    }

    /// That version was rolled back.
    pub fn undo(&mut self, mark: Mark) {
        self.writer = mark.writer;
        for (hour, writing) in self.hours.iter_mut().zip(mark.writing) {
            hour.writing = writing;
        }
    }

    /// That version was committed.
    pub fn finish(&mut self) {
        self.writer = 0;
        for hour in &mut self.hours {
            hour.flushed = hour.writing;
            if hour.added == hour.flushed {
                *hour = Hour::default();
            }
        }
    }
}

impl Hour {
    /// All sums are 0: see [`Pending::finish`].
    fn is_free(&self) -> bool {
        self.added == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addition(hour: i64, value: i64) -> Addition {
        Addition { hour, at: hour, value }
    }

    #[test]
    fn what_comes_in_while_the_row_is_written_stays() {
        let mut pending = Pending::default();
        pending.add(addition(1, 5));
        let cut = pending.cut();
        pending.add(addition(2, 4));
        pending.begin(7, cut);
        pending.add(addition(1, 2));
        assert_eq!((pending.sum(), pending.lacking(true).count()), (11, 2));
        pending.finish();
        assert_eq!(pending.lacking(false).collect::<Vec<_>>(), [addition(1, 2), addition(2, 4)]);
    }

    #[test]
    fn a_write_that_is_rolled_back_has_flushed_nothing() {
        let mut pending = Pending::default();
        pending.add(addition(1, 5));
        let outer = pending.begin(7, pending.cut());
        pending.add(addition(1, 1));
        let inner = pending.begin(8, pending.cut());
        assert_eq!(pending.lacking(true).count(), 0);
        pending.undo(inner);
        assert_eq!((pending.writer(), pending.lacking(true).next()), (7, Some(addition(1, 1))));
        pending.undo(outer);
        assert_eq!((pending.writer(), pending.sum()), (0, 6));
    }

    #[test]
    fn hours_are_kept_apart_and_used_again() {
        let mut pending = Pending::default();
        for hour in 1..=HOURS as i64 {
            assert!(pending.has_room(hour));
            pending.add(addition(hour, hour));
        }
        assert!(!pending.has_room(9) && pending.has_room(1));
        pending.add(addition(9, 1));
        assert_eq!(pending.lacking(false).last(), Some(Addition { hour: 3, at: 9, value: 4 }));
        pending.begin(7, pending.cut());
        pending.finish();
        assert!(pending.is_idle() && pending.has_room(9));
    }

    proptest! {
        /// Whatever is written, rolled back and committed: the row and what it lacks are what came in.
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in prop::collection::vec((0..4, 1..4_i64, 0..100_i64), 0..200)) {
            let (mut pending, mut row, mut came_in) = (Pending::default(), 0, 0);
            for (step, hour, value) in steps {
                match step {
                    0 | 1 => {
                        pending.add(addition(hour, value));
                        came_in += value;
                    }
                    step => {
                        let written: i64 = pending.lacking(false).map(|addition| addition.value).sum();
                        let mark = pending.begin(7, pending.cut());
                        pending.add(addition(hour, value));
                        came_in += value;
                        if step == 2 {
                            row += written;
                            pending.finish();
                        } else {
                            pending.undo(mark);
                        }
                    }
                }
                prop_assert_eq!(row + pending.sum(), came_in);
                prop_assert_eq!(pending.lacking(true).map(|addition| addition.value).sum::<i64>(), pending.sum());
            }
        }
    }
}
