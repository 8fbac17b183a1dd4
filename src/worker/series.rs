//! What the maintenance worker does for time series: rollups, compression, and the end of rollups by the minute.

use std::time::{Duration, Instant};

use super::process;
use crate::database;
use crate::error::Result;
use crate::settings;
use crate::timeseries::compress::{self, Due};

/// Work at a time; other duties wait for it.
const SLICE: Duration = Duration::from_millis(200);

/// What is due, and when next.
pub struct Series {
    next_roll_up: Instant,
    next_search: Instant,
    due: Vec<Due>,
}

impl Series {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { next_roll_up: now, next_search: now, due: Vec::new() }
    }

    /// When there is something to do again.
    pub fn next(&self) -> Instant {
        let search = if self.due.is_empty() { self.next_search } else { Instant::now() };
        if settings::rollup_interval().is_some() { self.next_roll_up.min(search) } else { search }
    }

    pub fn keep(&mut self) -> Result<()> {
        self.roll_up()?;
        self.compress()
    }

    /// A long backlog is worked off in passes, each its own transaction.
    fn roll_up(&mut self) -> Result<()> {
        const ROLL_UP: &str = "SELECT camcount.roll_up_timeseries(interval '100 ms', $1)";
        const IDS: i64 = 100_000;
        let Some(interval) = settings::rollup_interval() else { return Ok(()) };
        if self.next_roll_up > Instant::now() {
            return Ok(());
        }
        self.next_roll_up = Instant::now() + interval;
        let passed = process::transaction(|| database::value::<i64>(ROLL_UP, &[IDS.into()]))?;
        if passed >= Some(IDS) {
            self.next_roll_up = Instant::now();
        }
        Ok(())
    }

    fn compress(&mut self) -> Result<()> {
        const REMOVE: &str = "SELECT camcount.remove_old_minutes()";
        let started = Instant::now();
        if self.due.is_empty() && self.next_search <= started {
            self.next_search = started + settings::maintenance_interval();
            process::transaction(|| database::value::<i32>(REMOVE, &[]))?;
            self.due = process::transaction(compress::due)?;
        }
        while let Some(series) = self.due.last()
            && started.elapsed() < SLICE
        {
            let outcome = process::transaction(|| series.compress_some());
            // One that cannot be compressed keeps no other waiting.
            if !matches!(outcome, Ok(1..)) {
                self.due.pop();
            }
            outcome?;
        }
        Ok(())
    }
}
