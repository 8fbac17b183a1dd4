//! Figures of pipelines and their steps, gathered in memory and rolled up into their rows every few seconds: a row
//! that every worker wrote with every frame would make them wait for each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::database;
use crate::error::Result;

const INTERVAL: Duration = Duration::from_secs(5);

/// Executions of a pipeline or step since the last roll-up.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: i64,
    failures: i64,
    milliseconds: f64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.count += other.count;
        self.failures += other.failures;
        self.milliseconds += other.milliseconds;
    }
}

/// Tallies of pipelines, and of steps under their pipeline.
#[derive(Default)]
pub struct Figures {
    pipelines: BTreeMap<String, Tally>,
    steps: BTreeMap<(String, String), Tally>,
    last_step: BTreeMap<String, String>,
}

impl Figures {
    /// A frame went through a pipeline.
    pub fn frame(&mut self, pipeline_id: &str, elapsed: Duration, last_step: &str) {
        let tally = Tally { count: 1, failures: 0, milliseconds: elapsed.as_secs_f64() * 1e3 };
        self.pipelines.entry(pipeline_id.to_owned()).or_default().add(tally);
        self.last_step.insert(pipeline_id.to_owned(), last_step.to_owned());
    }

    /// A frame failed in a pipeline.
    pub fn failed_frame(&mut self, pipeline_id: &str) {
        self.pipelines.entry(pipeline_id.to_owned()).or_default().failures += 1;
    }

    /// A step ran.
    pub fn step(&mut self, pipeline_id: &str, step: &str, failed: bool, microseconds: u64) {
        let milliseconds = microseconds as f64 / 1e3;
        let tally = Tally { count: 1, failures: failed.into(), milliseconds };
        self.steps.entry((pipeline_id.to_owned(), step.to_owned())).or_default().add(tally);
    }

    fn merge(&mut self, other: Figures) {
        for (pipeline, tally) in other.pipelines {
            self.pipelines.entry(pipeline).or_default().add(tally);
        }
        for (step, tally) in other.steps {
            self.steps.entry(step).or_default().add(tally);
        }
        self.last_step.extend(other.last_step);
    }

    fn pipeline_rows(&self) -> Value {
        let row = |(pipeline, tally): (&String, &Tally)| {
            json!({"pipeline_id": pipeline, "current_step": self.last_step.get(pipeline), "count": tally.count,
                   "failures": tally.failures, "milliseconds": tally.milliseconds})
        };
        self.pipelines.iter().map(row).collect()
    }

    fn step_rows(&self) -> Value {
        let row = |((pipeline, step), tally): (&(String, String), &Tally)| {
            json!({"pipeline_id": pipeline, "step_name": step, "count": tally.count, "failures": tally.failures,
                   "milliseconds": tally.milliseconds})
        };
        self.steps.iter().map(row).collect()
    }
}

/// Figures that are not yet in the tables.
pub struct Pending {
    figures: Figures,
    since: Instant,
}

impl Default for Pending {
    fn default() -> Self {
        Self { figures: Figures::default(), since: Instant::now() }
    }
}

impl Pending {
    /// Adds figures of a transaction that committed.
    pub fn add(&mut self, figures: Figures) {
        if self.figures.pipelines.is_empty() {
            self.since = Instant::now();
        }
        self.figures.merge(figures);
    }

    /// Whether there is something that should not wait longer.
    pub fn is_due(&self) -> bool {
        !self.figures.pipelines.is_empty() && self.since.elapsed() > INTERVAL
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.figures.pipelines.is_empty()
    }

    /// Writes the figures, in the caller's transaction. `running` is false when the worker has run out of work.
    pub fn roll_up(&self, running: bool) -> Result<()> {
        const PIPELINES: &str = include_str!("write/pipeline_figures.sql");
        const STEPS: &str = include_str!("write/step_figures.sql");
        let pipelines = self.figures.pipeline_rows().to_string();
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        database::run(PIPELINES, &[pipelines.as_str().into(), seconds.into(), running.into()])?;
        if !self.figures.steps.is_empty() {
            let steps = self.figures.step_rows().to_string();
            database::run(STEPS, &[steps.as_str().into()])?;
        }
        Ok(())
    }
}
