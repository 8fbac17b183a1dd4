//! What the maintenance worker removes row by row, a little at a time.

use std::time::{Duration, Instant};

use super::process;
use crate::error::Result;
use crate::realtime::aggregation::{self, MOST_REMOVED};
use crate::realtime::cache;
use crate::settings;

/// Longest time at a stretch; other duties wait meanwhile.
const STRETCH: Duration = Duration::from_millis(200);

/// When something is to be removed next.
pub struct Upkeep {
    pub next: Instant,
}

impl Upkeep {
    pub fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// Removes what has expired, where it is time.
    pub fn keep(&mut self) -> Result<()> {
        let started = Instant::now();
        if self.next > started {
            return Ok(());
        }
        self.next = started + settings::maintenance_interval();
        cache::remove_expired(true)?;
        while process::transaction(aggregation::remove_expired)? == MOST_REMOVED {
            if started.elapsed() > STRETCH || process::stopping() {
                self.next = Instant::now() + STRETCH;
                break;
            }
        }
        Ok(())
    }
}
