//! A database with the extension in it, and what an application, a DBA or a misfortune does to it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camcount_gateway::sink::{DatabaseSink, Sink};
use camcount_gateway::source::Frame;
use postgres::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::material::Model;
use crate::wait::wait_until;

/// The stream that tests feed.
pub const STREAM: &str = "main";
/// For everything that workers do without a model run.
pub const SOON: Duration = Duration::from_secs(30);
const FRAMES_AT_ONCE: usize = 20;

/// Settings of a server that preloads the library, with short back-off and leases.
pub fn preloaded<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
    let mut settings = unloaded(more);
    settings.push(("shared_preload_libraries", "camcount".into()));
    settings
}

/// Settings of a server that does not preload the library.
pub fn unloaded<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
    let mut settings =
        vec![("camcount.retry_backoff", "50ms".into()), ("camcount.lease_seconds", "5".into())];
    if let Ok(library) = std::env::var("CAMCOUNT_ONNXRUNTIME") {
        settings.push(("camcount.onnxruntime_library", library));
    }
    settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_string())));
    settings
}

/// A cluster's database.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Where it is.
    pub cluster: &'a Cluster,
    /// Its name.
    pub database: &'a str,
}

/// The states of all queues' items, summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Not yet claimed, or waiting for the next try.
    pub queued: i64,
    /// Claimed.
    pub processing: i64,
    /// Acknowledged.
    pub completed: i64,
    /// Given up.
    pub failed: i64,
}

impl QueueState {
    fn read(client: &mut Client) -> Result<Self> {
        let statement = "SELECT count(*) FILTER (WHERE status = 'queued'), \
            count(*) FILTER (WHERE status = 'processing'), count(*) FILTER (WHERE status = 'completed'), \
            count(*) FILTER (WHERE status = 'failed') FROM camcount.queue_items";
        let row = client.query_one(statement, &[])?;
        Ok(Self {
            queued: row.try_get(0)?,
            processing: row.try_get(1)?,
            completed: row.try_get(2)?,
            failed: row.try_get(3)?,
        })
    }
}

impl<'a> Site<'a> {
    /// Creates the database and the extension in it.
    ///
    /// # Errors
    /// When either fails.
    pub fn create(cluster: &'a Cluster, database: &'a str) -> Result<Self> {
        cluster.connect("postgres")?.batch_execute(&format!("CREATE DATABASE {database}"))?;
        let site = Self { cluster, database };
        site.connect()?.batch_execute("CREATE EXTENSION camcount")?;
        Ok(site)
    }

    /// Connects.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub fn connect(&self) -> Result<Client> {
        self.cluster.connect(self.database)
    }

    /// Registers a model. Its version.
    ///
    /// # Errors
    /// When it is refused.
    pub fn register(&self, name: &str, model: &Model) -> Result<i32> {
        let statement = "SELECT camcount.register_model(p_model_name => $1, p_onnx => $2, p_config => $3)";
        Ok(self.connect()?.query_one(statement, &[&name, &model.onnx, &model.config])?.try_get(0)?)
    }

    /// Creates a pipeline of type `analytics`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn create_pipeline(&self, id: &str, config: &Value) -> Result<()> {
        let statement = "SELECT camcount.create_pipeline(p_pipeline_id => $1, p_pipeline_name => $1, \
            p_pipeline_type => 'analytics', p_pipeline_config => $2)";
        self.connect()?.execute(statement, &[&id, config])?;
        Ok(())
    }

    /// Feeds frames of a camera through the gateway's sink, as fast as they are taken.
    ///
    /// # Errors
    /// When one is refused.
    pub fn ingest(&self, camera: &str, frames: &[Frame]) -> Result<()> {
        let mut sink = DatabaseSink::connect(self.cluster.config(self.database), camera, STREAM)?;
        for batch in frames.chunks(FRAMES_AT_ONCE) {
            sink.send(batch)?;
        }
        Ok(())
    }

    /// The queues as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn queue(&self) -> Result<QueueState> {
        QueueState::read(&mut self.connect()?)
    }

    /// Whether a worker that is alive holds items; those of a killed one stay claimed for a moment.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub fn is_claimed(&self) -> Result<bool> {
        let statement = "SELECT EXISTS (SELECT FROM camcount.stream_items i \
            JOIN camcount.workers w ON w.worker_id = i.claimed_by WHERE i.status = 'processing')";
        Ok(self.connect()?.query_one(statement, &[])?.try_get(0)?)
    }

    /// Waits until nothing is queued or claimed. The queues then.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn drain(&self, timeout: Duration) -> Result<QueueState> {
        self.await_queue("the queues are empty", timeout, |queue| queue.queued + queue.processing == 0)
    }

    /// Waits until so many items are acknowledged.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn await_completed(&self, items: i64, timeout: Duration) -> Result<QueueState> {
        self.await_queue(&format!("{items} items are completed"), timeout, |queue| queue.completed >= items)
    }

    fn await_queue(
        &self,
        what: &str,
        timeout: Duration,
        holds: impl Fn(&QueueState) -> bool,
    ) -> Result<QueueState> {
        let mut client = self.connect()?;
        let mut queue = QueueState::read(&mut client)?;
        wait_until(what, timeout, || {
            queue = QueueState::read(&mut client)?;
            Ok(holds(&queue))
        })
        .with_context(|| format!("{queue:?}"))?;
        Ok(queue)
    }

    /// The processes of this database's vision workers.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn vision_workers(&self) -> Result<Vec<i32>> {
        let statement = "SELECT w.pid FROM camcount.workers w JOIN pg_stat_activity a ON a.pid = w.pid \
            WHERE w.kind = 'vision' ORDER BY w.pid";
        let rows = self.connect()?.query(statement, &[])?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Waits for so many vision workers. Their processes.
    ///
    /// # Errors
    /// When there are not so many in time.
    pub fn await_vision_workers(&self, count: usize) -> Result<Vec<i32>> {
        let mut workers = Vec::new();
        wait_until(&format!("{count} vision workers run"), SOON, || {
            workers = self.vision_workers()?;
            Ok(workers.len() == count)
        })
        .with_context(|| format!("vision workers: {workers:?}"))?;
        Ok(workers)
    }

    /// Kills a vision worker with SIGKILL. The server then restarts all its processes: waits for it to be back.
    ///
    /// # Errors
    /// When there is no worker to kill, or the server does not come back.
    pub fn kill_a_vision_worker(&self) -> Result<()> {
        let mut victim = None;
        wait_until("a vision worker runs", SOON, || {
            victim = self.vision_workers()?.first().copied();
            Ok(victim.is_some())
        })?;
        self.kill(victim.context("no vision worker")?)
    }

    /// Kills one of the server's processes with SIGKILL. The server then restarts all of them: waits for it to be back.
    ///
    /// # Errors
    /// When there is no such process, or the server does not come back.
    pub fn kill(&self, pid: i32) -> Result<()> {
        // Held until the server has ended it: only then is a new connection one to the recovered server.
        let mut witness = self.connect()?;
        let status =
            Command::new("kill").args(["-KILL", &pid.to_string()]).status().context("cannot run kill")?;
        ensure!(status.success(), "cannot kill process {pid}");
        wait_until("the server has noticed the killed process", SOON, || {
            Ok(witness.is_valid(Duration::from_secs(1)).is_err())
        })?;
        self.cluster.connect_when_up(self.database).map(drop)
    }
}

/// A pipeline on every camera with the three lines, the zone and the density grid of the tests on PETS.
pub fn plaza_pipeline(model: &str) -> Value {
    json!({
        "model": model,
        "lines": [
            { "name": "a", "from": [0.45, 0.24], "to": [0.45, 0.56] },
            { "name": "b", "from": [0.0, 0.45], "to": [1.0, 0.45] },
            { "name": "c", "from": [0.7, 0.2], "to": [0.7, 1.0] },
        ],
        "zones": [{ "name": "lawn", "polygon": [[0.3, 0.3], [0.9, 0.3], [0.9, 0.9], [0.3, 0.9]] }],
        "density": { "columns": 12, "rows": 9, "half_life_seconds": 60 },
        "outputs": { "events": ["line_crossed", "zone_entered", "zone_left"] },
    })
}
