//! What a worker says of itself: one row in `worker_status`, shown by the view `workers`.

use std::time::{Duration, Instant};

use camcount_vision::model::ExecutionProvider;
use pgrx::prelude::*;

use super::process;
use crate::database;
use crate::error::{Error, Result};

/// Progress is written this often at most.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// This process's row. Writing it never fails the worker: what goes wrong is logged.
pub struct Status {
    /// Identifies this run of the worker; claims carry it.
    pub worker_id: i64,
    state: &'static str,
    detail: Option<String>,
    frames: i64,
    last_error: Option<String>,
    provider: Option<ExecutionProvider>,
    written: Instant,
}

impl Status {
    /// Adds the row and removes those of workers that are gone.
    pub fn register(kind: &'static str) -> Self {
        const BURY: &str = "DELETE FROM camcount.worker_status w WHERE NOT EXISTS (
            SELECT FROM pg_stat_get_activity(NULL) a WHERE a.pid = w.pid AND a.backend_start = w.backend_start)";
        const ADD: &str = "INSERT INTO camcount.worker_status (kind, pid, backend_start, state)
            SELECT $1, pid, backend_start, 'starting' FROM pg_stat_get_activity(pg_backend_pid()) RETURNING worker_id";
        let added = process::transaction(|| {
            database::run(BURY, &[])?;
            database::value::<i64>(ADD, &[kind.into()])?.ok_or_else(|| Error::Runtime("no worker id".into()))
        });
        let worker_id = added.unwrap_or_else(|error| {
            log!("camcount {kind}: {error}");
            process::exit(1)
        });
        Self {
            worker_id,
            state: "starting",
            detail: None,
            frames: 0,
            last_error: None,
            provider: None,
            written: Instant::now(),
        }
    }

    /// Records what the worker does now, and in `detail` what it waits for; written where it changed.
    pub fn set_state(&mut self, state: &'static str, detail: Option<String>) {
        if self.state != state || self.detail != detail {
            if let Some(detail) = detail.as_ref().filter(|_| self.detail != detail) {
                log!("camcount worker {}: {state}: {detail}", self.worker_id);
            }
            self.state = state;
            self.detail = detail;
            self.write();
        } else if self.written.elapsed() > PROGRESS_INTERVAL {
            self.write();
        }
    }

    /// Adds frames to the count shown; written with the next state.
    pub fn add_frames(&mut self, frames: usize) {
        self.frames += frames as i64;
    }

    /// Which execution provider the models run on.
    pub fn set_provider(&mut self, provider: ExecutionProvider) {
        const SET: &str = "UPDATE camcount.worker_status SET execution_provider = $2 WHERE worker_id = $1";
        if self.provider != Some(provider) {
            let name = format!("{provider:?}").to_lowercase();
            self.report(process::transaction(|| {
                database::run(SET, &[self.worker_id.into(), name.as_str().into()])
            }));
            self.provider = Some(provider);
        }
    }

    /// Logs an error once and keeps it for the view.
    pub fn note_error(&mut self, error: &Error) {
        const NOTE: &str = "UPDATE camcount.worker_status
            SET last_error = $2, last_error_at = clock_timestamp(), updated_at = clock_timestamp() WHERE worker_id = $1";
        let message = error.to_string();
        if self.last_error.as_ref() != Some(&message) {
            log!("camcount worker {}: {message}", self.worker_id);
        }
        self.report(process::transaction(|| {
            database::run(NOTE, &[self.worker_id.into(), message.as_str().into()])
        }));
        self.last_error = Some(message);
    }

    fn write(&mut self) {
        const WRITE: &str = "UPDATE camcount.worker_status
            SET state = $2, detail = $3, frames_processed = $4, updated_at = clock_timestamp() WHERE worker_id = $1";
        let arguments =
            [self.worker_id.into(), self.state.into(), self.detail.as_deref().into(), self.frames.into()];
        self.report(process::transaction(|| database::run(WRITE, &arguments)));
        self.written = Instant::now();
    }

    fn report(&self, outcome: Result<usize>) {
        if let Err(error) = outcome {
            log!("camcount worker {}: status not written: {error}", self.worker_id);
        }
    }
}
