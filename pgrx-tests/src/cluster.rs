//! One cluster of its own for one test: made, started, stopped, crashed, and removed at the end.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::server::{Server, own_uid};
use crate::wait::wait_until;

/// The superuser of every test cluster.
pub const SUPERUSER: &str = "postgres";
const START_TIMEOUT: Duration = Duration::from_secs(60);
const LOG_TAIL_LINES: usize = 60;

/// Small, quick and unsafe against power cuts, which no test makes.
const BASE_SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "64MB"),
    ("max_connections", "30"),
    ("max_worker_processes", "16"),
    ("timezone", "UTC"),
];

/// How a server is told to stop.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// Ends sessions and writes a checkpoint.
    Fast,
    /// Ends at once; the next start recovers.
    Immediate,
}

impl Shutdown {
    fn mode(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A running cluster, reached through a socket in its own folder, so that no two clusters share a port.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    folder: TempDir,
}

/// Runs a test on a fresh cluster with these settings. One cluster runs at a time, over all test processes.
///
/// # Errors
/// Those of making the cluster and of the test; with the server's log.
pub fn with_cluster(
    server: &Server,
    settings: &[(&str, String)],
    test: impl FnOnce(&Cluster) -> Result<()>,
) -> Result<()> {
    let turn =
        File::create(std::env::temp_dir().join(format!("camcount-cluster-tests.{}.lock", own_uid()?)))?;
    turn.lock().context("cannot wait for other test clusters to end")?;
    let cluster = Cluster::create(server, settings)?;
    test(&cluster).with_context(|| cluster.log_tail())
}

impl Cluster {
    fn create(server: &Server, settings: &[(&str, String)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("camcount-").tempdir()?;
        server.hand_over(folder.path())?;
        let cluster = Self { server: server.clone(), folder };
        let data = cluster.path("data");
        server.run(
            "initdb",
            &["-D", &data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        )?;

        let mut configuration =
            fs::OpenOptions::new().append(true).open(cluster.path("data/postgresql.conf"))?;
        let sockets = cluster.path("");
        let own = [("unix_socket_directories", sockets.as_str())];
        let asked = settings.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in BASE_SETTINGS.iter().copied().chain(own).chain(asked) {
            writeln!(configuration, "{name} = '{}'", value.replace('\'', "''"))?;
        }
        cluster.start().with_context(|| cluster.log_tail())?;
        Ok(cluster)
    }

    /// A path in the cluster's folder, which the server's user may write to.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<()> {
        let (data, log) = (self.path("data"), self.path("log"));
        self.server.run("pg_ctl", &["-D", &data, "-l", &log, "-w", "-s", "start"]).map(drop)
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self, how: Shutdown) -> Result<()> {
        self.server.run("pg_ctl", &["-D", &self.path("data"), "-w", "-s", "-m", how.mode(), "stop"]).map(drop)
    }

    /// How a client reaches a database.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user(SUPERUSER).dbname(database);
        config
    }

    /// Connects to a database.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub fn connect(&self, database: &str) -> Result<Client> {
        self.config(database).connect(NoTls).with_context(|| format!("cannot connect to database {database}"))
    }

    /// Waits until the server takes connections again, as it does some time after one of its processes was killed.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn connect_when_up(&self, database: &str) -> Result<Client> {
        let mut client = None;
        wait_until("the server accepts connections", START_TIMEOUT, || {
            client = self.connect(database).ok();
            Ok(client.is_some())
        })?;
        client.context("the connection is gone")
    }

    /// Runs a client program (psql, pg_dump, pg_restore) against this cluster.
    ///
    /// # Errors
    /// When it fails; with what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let sockets = self.path("");
        let mut all = vec!["-h", sockets.as_str(), "-U", SUPERUSER];
        all.extend_from_slice(arguments);
        self.server.run(program, &all)
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        fs::read(self.path("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        format!("test failed; the server's log ends with:\n{}\n", tail.join("\n"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        let running = PathBuf::from(self.path("data/postmaster.pid")).exists();
        if running && let Err(error) = self.stop(Shutdown::Immediate) {
            eprintln!("a test's server may still run: {error:#}");
        }
    }
}
