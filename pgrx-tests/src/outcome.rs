//! What a run has counted, for comparison with another run.

use anyhow::{Result, bail};
use postgres::Client;

/// Everything that must not depend on how often something was killed, as JSON rows in a fixed order.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Totals for each line.
    pub line_counts: Vec<String>,
    /// Each crossing.
    pub crossings: Vec<String>,
    /// Each box of each track on each frame.
    pub tracks: Vec<String>,
}

/// What differs from run to run, whatever is counted: numbers from sequences and wall-clock times.
const INCIDENTAL: &str = "ARRAY['id', 'crossing_id', 'created_at', 'updated_at', 'recorded_at']";

impl Outcome {
    /// Reads a camera's counts, without the camera's name, so that cameras can be compared.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of_camera(client: &mut Client, camera: &str) -> Result<Self> {
        let mut rows = |relation: &str, row: &str| -> Result<Vec<String>> {
            let statement = format!(
                "SELECT line FROM (SELECT ({row} - {INCIDENTAL} - ARRAY['camera_id', 'ingestion_id'])::text AS line \
                 FROM camcount.{relation} r WHERE camera_id = $1) lines ORDER BY line COLLATE \"C\""
            );
            let found = client.query(&statement, &[&camera])?;
            Ok(found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        };
        Ok(Self {
            line_counts: rows("line_counts", "to_jsonb(r)")?,
            crossings: rows("line_crossings", "to_jsonb(r)")?,
            tracks: rows("frame_tracks", "to_jsonb(r)")?,
        })
    }

    /// Fails with the first difference.
    ///
    /// # Errors
    /// When the two are not the same.
    pub fn ensure_same(&self, other: &Self) -> Result<()> {
        let parts = [
            ("line counts", &self.line_counts, &other.line_counts),
            ("crossings", &self.crossings, &other.crossings),
            ("tracks", &self.tracks, &other.tracks),
        ];
        for (what, ours, theirs) in parts {
            if ours != theirs {
                let only_ours = ours.iter().find(|row| !theirs.contains(row));
                let only_theirs = theirs.iter().find(|row| !ours.contains(row));
                bail!(
                    "{what} differ: {} rows and {} rows\nonly in the first: {only_ours:?}\nonly in the second: \
                     {only_theirs:?}",
                    ours.len(),
                    theirs.len()
                );
            }
        }
        Ok(())
    }
}
