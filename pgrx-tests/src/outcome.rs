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
    /// Each stay in a zone.
    pub visits: Vec<String>,
    /// Values over time.
    pub series: Vec<String>,
    /// What the counters stand at.
    pub counters: Vec<String>,
    /// Each event, with its version.
    pub events: Vec<String>,
    /// Time spent in each cell of the density grid.
    pub density: Vec<String>,
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
                "SELECT line FROM (SELECT (({row}) - {INCIDENTAL} - ARRAY['camera_id', 'ingestion_id'])::text AS line \
                 FROM {relation} r WHERE camera_id = $1) lines ORDER BY line COLLATE \"C\""
            );
            let found = client.query(&statement, &[&camera])?;
            Ok(found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        };
        Ok(Self {
            line_counts: rows("camcount.line_counts", "to_jsonb(r)")?,
            crossings: rows("camcount.line_crossings", "to_jsonb(r)")?,
            tracks: rows("camcount.frame_tracks", "to_jsonb(r)")?,
            visits: rows("camcount.zone_visits", "to_jsonb(r)")?,
            // How long frames waited is never the same twice.
            series: rows(
                "(SELECT * FROM camcount.timeseries_data WHERE metric_name <> 'latency_ms')",
                "to_jsonb(r)",
            )?,
            counters: rows(
                "camcount.realtime_counters",
                "jsonb_build_object('name', counter_name, 'count', current_count, 'total', total_count)",
            )?,
            events: rows(
                "(SELECT aggregate_id AS camera_id, * FROM camcount.event_store WHERE aggregate_type = 'camera')",
                "jsonb_build_object('type', event_type, 'version', event_version, 'data', event_data - 'ingestion_id')",
            )?,
            // Sums of the same seconds in another order differ in their last digits.
            density: rows(
                "camcount.density_cells",
                "to_jsonb(r) || jsonb_build_object('person_seconds', round(person_seconds::numeric, 9))",
            )?,
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
            ("zone visits", &self.visits, &other.visits),
            ("series", &self.series, &other.series),
            ("counters", &self.counters, &other.counters),
            ("events", &self.events, &other.events),
            ("density", &self.density, &other.density),
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
