//! The maintenance worker: one for each database that has the extension. It runs the vision workers, keeps partitions
//! ahead of the data, drops expired ones, measures ingestion, notes silent cameras, and looks after queues and time
//! series.

use std::time::{Duration, Instant};

use pgrx::JsonB;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::prelude::*;
use serde_json::json;

use super::registry::{self, Kind};
use super::series::Series;
use super::stalls::Stalls;
use super::upkeep::Upkeep;
use super::{process, status};
use crate::database;
use crate::error::{Error, Result};
use crate::queue::notify;
use crate::realtime::flush::Flusher;
use crate::settings;

/// Pauses before a vision worker that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// However much is due, unless workers are to look more often.
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);
/// A worker that ran this long is not in a crash loop.
const STEADY: Duration = Duration::from_secs(60);

/// Entry point of the maintenance worker; the argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn camcount_maintenance_main(argument: pg_sys::Datum) {
    // SAFETY: the launcher and start_workers pass an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or(pg_sys::InvalidOid);
    process::start(database, c"camcount maintenance");
    match process::transaction(|| {
        Ok(!registry::is_barred(database) && process::extension_exists() && lock_database()?)
    }) {
        Ok(true) => {}
        Ok(false) => process::exit(0),
        Err(error) => {
            warning!("camcount maintenance: {error}");
            process::exit(1);
        }
    }
    registry::enter(process::my_pid(), database, Kind::Maintenance);
    Maintenance::new(database).run();
    process::exit(0);
}

/// One maintenance worker for each database: the lock is held until the process ends.
fn lock_database() -> Result<bool> {
    const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('camcount maintenance', 0))";
    Ok(database::value::<bool>(LOCK, &[])? == Some(true))
}

struct Maintenance {
    database: pg_sys::Oid,
    vision: Vec<Child>,
    next_expiry: Instant,
    next_sample: Option<Instant>,
    /// End of the stretch that was measured last.
    sampled_until: Option<TimestampWithTimeZone>,
    queues: Queues,
    series: Series,
    stalls: Stalls,
    upkeep: Upkeep,
    counters: Flusher,
}

/// What is done for the queues, and when next.
struct Queues {
    next: Instant,
    next_removal: Instant,
    rolled_up: Instant,
    /// The figures as they were then.
    figures: JsonB,
}

/// One vision worker's place. `handle` is `None` while it waits to be started.
struct Child {
    handle: Option<DynamicBackgroundWorker>,
    started: Instant,
    due: Instant,
    pause: Duration,
}

impl Child {
    fn new() -> Self {
        let now = Instant::now();
        Self { handle: None, started: now, due: now, pause: RESTART_PAUSE }
    }

    fn has_ended(&self) -> bool {
        self.handle
            .as_ref()
            .is_some_and(|handle| matches!(handle.pid(), Err(BackgroundWorkerStatus::Stopped)))
    }

    fn note_end(&mut self) {
        let now = Instant::now();
        self.pause =
            if self.started.elapsed() > STEADY { RESTART_PAUSE } else { LONGEST_PAUSE.min(self.pause * 2) };
        self.handle = None;
        self.due = now + self.pause;
    }
}

impl Maintenance {
    fn new(database: pg_sys::Oid) -> Self {
        Self {
            database,
            vision: Vec::new(),
            next_expiry: Instant::now(),
            next_sample: None,
            sampled_until: None,
            queues: Queues::new(),
            series: Series::new(),
            stalls: Stalls::new(),
            upkeep: Upkeep::new(),
            counters: Flusher::new(),
        }
    }

    const DUTIES: [fn(&mut Self) -> Result<()>; 7] = [
        Self::keep_vision_workers,
        Self::keep_partitions,
        Self::sample_ingestion,
        |worker| worker.queues.keep(),
        |worker| worker.series.keep(),
        |worker| worker.stalls.keep(),
        |worker| worker.upkeep.keep(),
    ];

    fn run(&mut self) {
        let mut status = status::Status::register("maintenance");
        while !process::stopping() {
            match process::transaction(|| Ok(process::extension_exists())) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Nothing can be written either while a DROP EXTENSION has not been committed.
                    if !error.is_lock_timeout() {
                        status.note_error(&error);
                    }
                    process::sleep(self.until_next_duty());
                    continue;
                }
            }
            status.set_state("running", None);
            for duty in Self::DUTIES {
                // Buffered increments are not kept waiting by what takes its time.
                for duty in [duty, |worker: &mut Self| worker.counters.keep()] {
                    if let Err(error) = duty(self) {
                        status.note_error(&error);
                    }
                }
            }
            process::sleep(self.until_next_duty());
        }
        self.stop_vision_workers();
        if let Err(error) = self.counters.stop() {
            status.note_error(&error);
        }
    }

    fn keep_vision_workers(&mut self) -> Result<()> {
        let wanted = settings::vision_workers();
        while self.vision.len() > wanted {
            if let Some(handle) = self.vision.pop().and_then(|child| child.handle) {
                let _ = handle.terminate();
            }
        }
        self.vision.resize_with(wanted, Child::new);
        for child in &mut self.vision {
            if child.has_ended() {
                child.note_end();
            }
            if child.handle.is_none() && child.due <= Instant::now() {
                child.handle = Some(start_vision(self.database)?);
                child.started = Instant::now();
            }
        }
        Ok(())
    }

    fn stop_vision_workers(&mut self) {
        let ending: Vec<_> = self
            .vision
            .drain(..)
            .filter_map(|child| child.handle)
            .map(DynamicBackgroundWorker::terminate)
            .collect();
        for worker in ending {
            let _ = worker.wait_for_shutdown();
        }
    }

    /// Partitions appear with the first stream or rollup: a database that pg_restore is still filling has none yet, and must
    /// not be given any beside those that it brings.
    fn keep_partitions(&mut self) -> Result<()> {
        const IN_USE: &str = "SELECT EXISTS (SELECT FROM camcount.stream_state)
            OR EXISTS (SELECT FROM camcount.timeseries_progress)";
        let is_in_use = process::transaction(|| {
            let is_in_use = database::value::<bool>(IN_USE, &[])? == Some(true);
            if is_in_use {
                database::run("SELECT camcount.create_partitions()", &[])?;
            }
            Ok(is_in_use)
        })?;
        if self.next_expiry <= Instant::now() {
            if is_in_use {
                process::transaction(|| database::run("SELECT camcount.drop_expired_partitions()", &[]))?;
            }
            self.next_expiry = Instant::now() + settings::maintenance_interval();
        }
        Ok(())
    }

    /// Measures the stretch since the last sample. It ends a second ago, so that what is being committed is in it.
    fn sample_ingestion(&mut self) -> Result<()> {
        const END: &str = "SELECT now() - interval '1 second'";
        const SAMPLE: &str =
            "SELECT camcount.sample_ingestion(coalesce($1, $2 - $3 * interval '1 second'), $2)";
        let Some(interval) = settings::monitor_interval() else {
            self.next_sample = None;
            self.sampled_until = None;
            return Ok(());
        };
        if self.next_sample.is_some_and(|due| due <= Instant::now()) {
            self.next_sample = Some(Instant::now() + interval);
            let (from, seconds) = (self.sampled_until, interval.as_secs() as i64);
            self.sampled_until = process::transaction(|| {
                let end = database::value::<TimestampWithTimeZone>(END, &[])?;
                database::run(SAMPLE, &[from.into(), end.into(), seconds.into()])?;
                Ok(end)
            })?;
        }
        self.next_sample.get_or_insert_with(|| Instant::now() + interval);
        Ok(())
    }

    fn until_next_duty(&self) -> Duration {
        let now = Instant::now();
        let restarts = self.vision.iter().filter(|child| child.handle.is_none()).map(|child| child.due);
        let next = restarts
            .chain([self.next_expiry, self.queues.next, self.upkeep.next, self.series.next()])
            .chain(self.next_sample)
            .chain(self.stalls.next())
            .chain(self.counters.next())
            .min()
            .unwrap_or(now);
        let longest = settings::poll_interval();
        next.saturating_duration_since(now).clamp(SHORTEST_SLEEP.min(longest), longest)
    }
}

impl Queues {
    fn new() -> Self {
        let now = Instant::now();
        Self { next: now, next_removal: now, rolled_up: now, figures: JsonB(json!([])) }
    }

    /// Notifications that were put off, figures, and entries that nobody needs: each second while items come or go.
    fn keep(&mut self) -> Result<()> {
        const ROLL_UP: &str = "SELECT camcount.roll_up_queues($1, $2)";
        if self.next > Instant::now() {
            return Ok(());
        }
        let seconds = self.rolled_up.elapsed().as_secs_f64().max(0.001);
        self.next = Instant::now() + Self::PAUSE;
        let before = JsonB(self.figures.0.clone());
        let figures = process::transaction(|| {
            notify::send_owed()?;
            database::value::<JsonB>(ROLL_UP, &[seconds.into(), before.into()])
        })?;
        self.rolled_up = Instant::now();
        self.figures = figures.unwrap_or(JsonB(json!([])));
        let removed = self.remove_entries()?;
        let is_busy = self.figures.0.as_array().is_some_and(|queues| {
            queues
                .iter()
                .any(|queue| queue["size"] != 0 || queue["new_completed"] != 0 || queue["new_failed"] != 0)
        });
        let pause = if is_busy || removed > 0 { Self::PAUSE } else { settings::poll_interval() };
        self.next = Instant::now() + pause.max(Self::PAUSE);
        Ok(())
    }

    const PAUSE: Duration = Duration::from_secs(1);

    /// Takes a small part of the time, however long each look takes: behind a transaction that stays open, entries that
    /// were removed are still in the way.
    fn remove_entries(&mut self) -> Result<i64> {
        const MOST: i32 = 100;
        const REMOVE: &str =
            "SELECT camcount.remove_finished_entries($1, CASE WHEN $2 THEN random() ELSE 0 END)";
        if self.next_removal > Instant::now() {
            return Ok(0);
        }
        let started = Instant::now();
        let mut removed = 0;
        // From the front, and then from anywhere: at the front may be what nobody wants.
        for from_anywhere in [false, true] {
            loop {
                let some = process::transaction(|| {
                    database::value::<i64>(REMOVE, &[MOST.into(), from_anywhere.into()])
                })?
                .unwrap_or(0);
                removed += some;
                if some < i64::from(MOST) || started.elapsed() > Self::PAUSE / 10 {
                    break;
                }
            }
        }
        self.next_removal = Instant::now() + started.elapsed() * 30;
        Ok(removed)
    }
}

fn start_vision(database: pg_sys::Oid) -> Result<DynamicBackgroundWorker> {
    BackgroundWorkerBuilder::new("camcount vision")
        .set_library("camcount")
        .set_function("camcount_vision_main")
        .set_argument(database.into_datum())
        .set_extra(&process::my_pid().to_string())
        .set_notify_pid(process::my_pid())
        .enable_spi_access()
        .load_dynamic()
        .map_err(|_| Error::NoWorkerSlot)
}
