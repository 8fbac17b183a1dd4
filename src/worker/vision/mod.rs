//! The vision worker: claim, infer, apply, round after round.

mod apply;
pub mod claim;
mod figures;
pub mod intake;
mod models;
mod output;
mod pipelines;
mod publish;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camcount_vision::pipeline::steps::DataType;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

use super::registry::{self, Kind};
use super::status::Status;
use super::{process, wake};
use crate::error::{Error, Result};
use crate::settings;
use apply::Found;
use claim::{Claim, Content};
use figures::Pending;
use intake::Intake;
use models::Models;
use pipelines::{Pipeline, Pipelines};

/// Pause after a round that failed as a whole, and before items are tried again that lack a model.
const PAUSE: Duration = Duration::from_secs(5);

/// Pause before another look at a queue whose rate allows no more.
const HELD_BACK: Duration = Duration::from_millis(200);

/// Entry point of a vision worker; the argument is the database's OID, the extra data its maintenance worker's pid.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn camcount_vision_main(argument: pg_sys::Datum) {
    // SAFETY: the maintenance worker passes an OID.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or(pg_sys::InvalidOid);
    process::start(database, c"camcount vision");
    let maintenance = BackgroundWorker::get_extra().parse().unwrap_or(0);
    registry::enter(process::my_pid(), wake::my_database(), Kind::Vision);
    Vision::new(maintenance).run();
    process::exit(0);
}

struct Vision {
    maintenance: i32,
    status: Status,
    models: Models,
    pipelines: Pipelines,
    intake: Intake,
    figures: Pending,
    /// When an item that was put up for another attempt may be due.
    retry_at: Option<Instant>,
    /// Why a stream's frames were put back, while they wait.
    waiting_for: Option<String>,
}

/// How a round ended.
enum Round {
    /// There may be more to do.
    Worked,
    /// Nothing is due.
    Idle,
    /// The extension is gone.
    Over,
}

impl Vision {
    fn new(maintenance: i32) -> Self {
        let status = Status::register("vision");
        Self {
            maintenance,
            status,
            models: Models::default(),
            pipelines: Pipelines::default(),
            intake: Intake::default(),
            figures: Pending::default(),
            retry_at: None,
            waiting_for: None,
        }
    }

    fn run(&mut self) {
        while !process::stopping() && registry::is_alive(self.maintenance) {
            process::reload_if_asked();
            match self.round() {
                Ok(Round::Worked) => {}
                Ok(Round::Idle) => process::sleep(self.longest_sleep()),
                Ok(Round::Over) => return,
                Err(error) => {
                    self.status.note_error(&error);
                    self.release(PAUSE);
                    process::sleep(PAUSE);
                }
            }
        }
        self.release(Duration::ZERO);
    }

    fn longest_sleep(&mut self) -> Duration {
        let retry = self.retry_at.take().map(|at| at.saturating_duration_since(Instant::now()));
        retry.unwrap_or(Duration::MAX).min(settings::poll_interval())
    }

    fn expect_retry(&mut self) {
        self.retry_at =
            Some(Instant::now() + Duration::from_millis(settings::retry_backoff_ms().unsigned_abs().into()));
    }

    fn round(&mut self) -> Result<Round> {
        let worker_id = self.status.worker_id;
        let capacity = self.models.capacity();
        let (pipelines, intake) = (&mut self.pipelines, &mut self.intake);
        // Apart from the claims: outside workers wait for it.
        let reclaimed = process::transaction(|| {
            if !process::extension_exists() {
                return Ok(None);
            }
            let reclaimed = claim::reclaim()?;
            pipelines.refresh()?;
            intake.take(pipelines.versions())?;
            Ok(Some(reclaimed))
        })?;
        let Some(reclaimed) = reclaimed else { return Ok(Round::Over) };
        intake.confirm();
        let is_held_back = intake.is_held_back;
        let work = process::transaction(|| take_work(worker_id, capacity, pipelines))?;
        if reclaimed > 0 {
            self.expect_retry();
        }
        if is_held_back {
            self.retry_at = Some(Instant::now() + HELD_BACK);
        }
        if self.figures.is_due() || work.is_empty() {
            self.roll_up(!work.is_empty())?;
        }
        if work.is_empty() {
            let waiting_for = self.waiting_for.clone().filter(|_| self.retry_at.is_some());
            self.status.set_state(if waiting_for.is_some() { "waiting" } else { "idle" }, waiting_for);
            return Ok(Round::Idle);
        }
        self.process(work)
    }

    fn process(&mut self, mut work: Vec<Work>) -> Result<Round> {
        let places = places_by_model(&work);
        if let Err(error) = self.open_models(&places) {
            if work.len() > 1 {
                // One stream's missing model must not hold up the others of its batch.
                work.into_iter().try_for_each(|work| self.process(vec![work]).map(drop))?;
            } else {
                self.wait_for_model(&work, &error)?;
            }
            return Ok(Round::Worked);
        }
        self.waiting_for = None;
        self.status.set_state("running", None);
        match self.infer(&mut work, &places) {
            Ok(true) => {}
            Ok(false) => {
                self.release(Duration::ZERO);
                return Ok(Round::Worked);
            }
            Err(error) => {
                work.iter().try_for_each(|work| self.fail(&work.claim, &error))?;
                return Ok(Round::Worked);
            }
        }
        for work in &work {
            self.apply(work)?;
        }
        Ok(Round::Worked)
    }

    /// Nothing is wrong with the items: they wait, untouched, until the model is there, and other streams go on.
    fn wait_for_model(&mut self, work: &[Work], error: &Error) -> Result<()> {
        let worker_id = self.status.worker_id;
        self.waiting_for = Some(error.to_string());
        self.status.set_state("waiting", self.waiting_for.clone());
        self.retry_at = Some(Instant::now() + PAUSE);
        process::transaction(|| {
            work.iter().try_for_each(|work| claim::put_back(worker_id, &work.claim, PAUSE.as_secs_f64()))
        })
    }

    fn open_models(&mut self, places: &Places) -> Result<()> {
        if let Some(remark) = self.models.prepare(places.keys())? {
            log!("camcount worker {}: {remark}", self.status.worker_id);
        }
        if let Some(provider) = self.models.provider() {
            self.status.set_provider(provider);
        }
        Ok(())
    }

    /// Runs every model over the pictures that need it. False where the worker was told to end meanwhile.
    fn infer(&mut self, work: &mut [Work], places: &Places) -> Result<bool> {
        let mut lease = Lease::new(self.status.worker_id);
        let (batch_size, limits) = (settings::batch_size(), settings::image_limits());
        for (model, places) in places {
            let pool = self.models.get(model)?;
            let threshold = pool.detector().model().score_threshold;
            pool.set_min_score(lowest_score(work, model, threshold));
            let pictures: Vec<&[u8]> =
                places.iter().filter_map(|place| work[place.0].picture(place.1)).collect();
            let outcomes = pool
                .detect(&pictures, batch_size, limits, || !process::stopping() && lease.keep())
                .map_err(|source| Error::Model { name: model.clone(), source })?;
            for (&(claim, item), outcome) in places.iter().zip(outcomes) {
                let Some(outcome) = outcome else { return Ok(false) };
                work[claim].found[item].push((model.clone(), threshold, outcome.map_err(Error::from)));
            }
        }
        Ok(true)
    }

    fn apply(&mut self, work: &Work) -> Result<()> {
        let worker_id = self.status.worker_id;
        match process::transaction(|| apply::apply(worker_id, &work.claim, &work.pipelines, &work.found)) {
            Ok(figures) => {
                self.status.add_frames(work.claim.items.len());
                self.figures.add(figures);
                Ok(())
            }
            Err(Error::LeaseLost { .. }) => Ok(()),
            Err(error) => self.fail(&work.claim, &error),
        }
    }

    fn roll_up(&mut self, running: bool) -> Result<()> {
        let figures = std::mem::take(&mut self.figures);
        if figures.is_empty() { Ok(()) } else { process::transaction(|| figures.roll_up(running)) }
    }

    fn fail(&mut self, claim: &Claim, error: &Error) -> Result<()> {
        self.status.note_error(error);
        self.expect_retry();
        process::transaction(|| claim::fail_attempt(self.status.worker_id, claim, error))
    }

    fn release(&mut self, pause: Duration) {
        let worker_id = self.status.worker_id;
        if let Err(error) = process::transaction(|| {
            if process::extension_exists() { claim::release(worker_id, pause.as_secs_f64()) } else { Ok(()) }
        }) {
            self.status.note_error(&error);
        }
    }
}

/// Claims items, and looks at the pipelines only then: those of an item's transaction are there with it.
fn take_work(worker_id: i64, capacity: usize, pipelines: &mut Pipelines) -> Result<Vec<Work>> {
    let claims = claim::claim(worker_id, capacity)?;
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    pipelines.refresh()?;
    let (ready, orphaned): (Vec<_>, Vec<_>) =
        claims.into_iter().map(|claim| Work::new(pipelines, claim)).partition(Work::is_ready);
    // Their pipeline has gone meanwhile: they wait for another.
    orphaned.iter().try_for_each(|work| claim::put_back(worker_id, &work.claim, 0.0))?;
    Ok(ready)
}

/// A claim with the pipelines that serve it and, item by item, what the models found.
struct Work {
    claim: Claim,
    pipelines: Vec<Rc<Pipeline>>,
    found: Vec<Found>,
}

impl Work {
    fn new(pipelines: &Pipelines, claim: Claim) -> Self {
        let found = claim.items.iter().map(|_| Found::new()).collect();
        Self { pipelines: pipelines.serving(&claim.camera_id), found, claim }
    }

    /// All but counts need a pipeline.
    fn is_ready(&self) -> bool {
        !self.pipelines.is_empty() || self.claim.items.iter().all(|item| item.data_type == DataType::Counting)
    }

    fn picture(&self, item: usize) -> Option<&[u8]> {
        match &self.claim.items[item].content {
            Content::Picture(picture) => Some(picture),
            _ => None,
        }
    }

    fn needs_detections(&self, item: usize) -> bool {
        self.picture(item).is_some() && !self.claim.items[item].is_late(self.claim.last_frame)
    }
}

/// By model, the places (claim, item) of the pictures that it is to look at.
type Places = BTreeMap<String, Vec<(usize, usize)>>;

fn places_by_model(work: &[Work]) -> Places {
    let mut by_model = Places::new();
    for (claim, work) in work.iter().enumerate() {
        for item in (0..work.claim.items.len()).filter(|&item| work.needs_detections(item)) {
            for pipeline in &work.pipelines {
                let places = by_model.entry(pipeline.config.model.clone()).or_default();
                if places.last() != Some(&(claim, item)) {
                    places.push((claim, item));
                }
            }
        }
    }
    by_model
}

/// The lowest score that any pipeline can use of a model's detections.
fn lowest_score(work: &[Work], model: &str, threshold: f64) -> f64 {
    let pipelines =
        work.iter().flat_map(|work| &work.pipelines).filter(|pipeline| pipeline.config.model == model);
    pipelines.map(|pipeline| pipeline.config.thresholds(threshold).low).fold(threshold, f64::min)
}

/// Renews the worker's leases when half of their time has gone.
struct Lease {
    worker_id: i64,
    renewed: Instant,
}

impl Lease {
    fn new(worker_id: i64) -> Self {
        Self { worker_id, renewed: Instant::now() }
    }

    fn keep(&mut self) -> bool {
        if self.renewed.elapsed() > settings::lease() / 2 {
            self.renewed = Instant::now();
            if let Err(error) = process::transaction(|| claim::renew(self.worker_id)) {
                log!("camcount worker {}: lease not renewed: {error}", self.worker_id);
                return false;
            }
        }
        true
    }
}
