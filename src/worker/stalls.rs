//! What the maintenance worker does about cameras that fall silent.

use std::time::{Duration, Instant};

use super::process;
use crate::database;
use crate::error::Result;
use crate::settings;

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// When to look next.
pub struct Stalls {
    next: Instant,
}

impl Stalls {
    pub fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// When there is something to do again.
    pub fn next(&self) -> Option<Instant> {
        settings::stall_after().map(|_| self.next)
    }

    /// Looks ten times within `camcount.stall_after`, but no more often than each second.
    pub fn keep(&mut self) -> Result<()> {
        const NOTE: &str = "SELECT camcount.note_stalled_cameras($1 * interval '1 second')";
        let Some(after) = settings::stall_after() else { return Ok(()) };
        if self.next > Instant::now() {
            return Ok(());
        }
        self.next = Instant::now() + (after / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        process::transaction(|| database::run(NOTE, &[(after.as_secs() as i64).into()])).map(drop)
    }
}
