//! Many clients, few workers, and workers that are killed at any moment: nothing is lost, and nothing is done twice.
//!
//! `CAMCOUNT_STRESS_SECONDS` says for how long; 10 unless it is set.

use std::collections::HashMap;
use std::env;
use std::error::Error as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::queue::{Answer, Item, Queue, complete, fail, ids, is_full, join, with_queue};
use camcount_cluster_tests::site::{STREAM, Site};
use camcount_cluster_tests::wait::wait_until;
use postgres::error::SqlState;
use postgres::{Client, GenericClient, NoTls};

const CLIENTS: usize = 64;
const WORKERS: usize = 4;
/// Small enough for the queue to be full now and then.
const SETTINGS: &str = "max_size = 2000, processing_rate = 1000000";
const LEASE: &str = "1 second";
/// No worker can process a message with a multiple of this as its number.
const POISON: i64 = 50;
const DRAIN: Duration = Duration::from_secs(120);
/// How long a client waits that found the queue full, and a worker that found it empty.
const PAUSE: Duration = Duration::from_millis(20);
const KILL_EVERY_MS: std::ops::RangeInclusive<u64> = 10..=300;
const WORKER_NAME: &str = "stress worker";

/// No key: what is done twice is to be seen twice.
const RECORD: &str = "CREATE TABLE public.done (ingestion_id text NOT NULL)";

#[test]
fn each_accepted_message_is_completed_once_or_a_dead_letter() -> Result<()> {
    let duration = duration()?;
    with_queue(SETTINGS, |site, queue| {
        let mut client = site.connect()?;
        client.batch_execute(RECORD)?;
        let run = Run { site, queue, until: Instant::now() + duration, drained: AtomicBool::new(false) };
        let Figures { sent, killed, ended } = run.press(&mut client)?;
        let (completed, dead) = ensure_each_once(&mut client, queue, &sent.accepted)?;
        // Where a test passes, what macros print is not shown.
        writeln!(
            io::stderr(),
            "{} messages accepted within {} s: {completed} completed once, {dead} dead letters; \
             {} transactions refused by the full queue; {ended} workers' sessions ended, {killed} of them killed",
            sent.accepted.len(),
            duration.as_secs(),
            sent.refused
        )?;
        ensure!(completed > 0 && dead > 0 && killed > 0, "the run proves nothing");
        Ok(())
    })
}

fn duration() -> Result<Duration> {
    let seconds = env::var("CAMCOUNT_STRESS_SECONDS").unwrap_or_else(|_| "10".into());
    let seconds = seconds.parse().context("CAMCOUNT_STRESS_SECONDS must be a whole number of seconds")?;
    Ok(Duration::from_secs(seconds))
}

struct Run<'a> {
    site: &'a Site<'a>,
    queue: Queue<'a>,
    /// When clients and killer end.
    until: Instant,
    /// Whether the workers may end.
    drained: AtomicBool,
}

/// What a run came to.
struct Figures {
    sent: Sent,
    killed: u64,
    /// Sessions of workers, the killed ones included.
    ended: u64,
}

/// What clients sent.
#[derive(Default)]
struct Sent {
    /// The ids whose transactions were committed.
    accepted: Vec<String>,
    /// Transactions that met a full queue.
    refused: u64,
}

impl Run<'_> {
    /// Clients send and workers are killed until the time is up; the workers then finish what is left.
    fn press(&self, client: &mut Client) -> Result<Figures> {
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..WORKERS).map(|n| scope.spawn(move || self.work(&format!("worker {n}")))).collect();
            let clients: Vec<_> =
                (0..CLIENTS).map(|n| scope.spawn(move || self.send(&format!("camera {n}")))).collect();
            let killer = scope.spawn(|| self.kill());

            let sent: Vec<Result<Sent>> = clients.into_iter().map(join).collect();
            let killed = join(killer);
            let drained = wait_until("the queue is drained", DRAIN, || {
                ensure!(workers.iter().all(|worker| !worker.is_finished()), "a worker gave up");
                Ok(self.queue.count(client, "current_size")? == 0)
            });
            // Whatever has failed: the workers must end before this can.
            self.drained.store(true, Ordering::Relaxed);
            let ended = workers.into_iter().map(join).sum::<Result<u64>>()?;
            drained?;
            Ok(Figures { sent: all(sent)?, killed: killed?, ended })
        })
    }

    fn is_time_left(&self) -> bool {
        Instant::now() < self.until
    }

    /// A client: sends transactions of a few messages, and rolls some of them back.
    fn send(&self, camera: &str) -> Result<Sent> {
        let (mut client, mut sent) = (self.site.connect()?, Sent::default());
        let mut numbers = 0..;
        while self.is_time_left() {
            let mut transaction = client.transaction()?;
            let few = numbers.by_ref().take(fastrand::usize(1..=4));
            let answer = few.map(|number| ingest(&mut transaction, self.queue, camera, number));
            match answer.collect::<Answer<Vec<String>>>() {
                Ok(_) if fastrand::u8(..) < 25 => transaction.rollback()?,
                Ok(ids) => {
                    transaction.commit()?;
                    sent.accepted.extend(ids);
                }
                refusal => {
                    ensure!(is_full(refusal)?);
                    transaction.rollback()?;
                    sent.refused += 1;
                    thread::sleep(PAUSE);
                }
            }
        }
        Ok(sent)
    }

    /// A worker: begins a new session whenever one has ended. How many did.
    fn work(&self, name: &str) -> Result<u64> {
        let mut ended = 0;
        while !self.drained.load(Ordering::Relaxed) {
            match self.serve(name) {
                Err(error) if !is_gone(&error) => return Err(error.into()),
                _ => ended += 1,
            }
        }
        Ok(ended)
    }

    /// One session of a worker, which goes away in the middle of its work now and then.
    fn serve(&self, name: &str) -> Answer<()> {
        let mut config = self.site.cluster.config(self.site.database);
        let mut session = config.application_name(WORKER_NAME).connect(NoTls)?;
        while !self.drained.load(Ordering::Relaxed) {
            let items = self.queue.claim_for(&mut session, name, fastrand::i32(1..=100), LEASE)?;
            if items.is_empty() {
                thread::sleep(PAUSE);
                continue;
            }
            if goes_away() {
                return Ok(());
            }
            for poisonous in items.iter().filter(|item| item.frame_number % POISON == 0) {
                fail_if_held(&mut session, poisonous.id, name)?;
            }
            session.batch_execute("BEGIN")?;
            let completed = complete(&mut session, &ids(&items), Some(name))?;
            record(&mut session, &items, &completed)?;
            if goes_away() {
                return Ok(());
            }
            session.batch_execute("COMMIT")?;
        }
        Ok(())
    }

    /// Ends workers' sessions at any moment of their work. How many.
    fn kill(&self) -> Result<u64> {
        let statement = "SELECT pg_terminate_backend(pid)
            FROM (SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY random() LIMIT 1) AS victim";
        let (mut client, mut killed) = (self.site.connect()?, 0);
        while self.is_time_left() {
            thread::sleep(Duration::from_millis(fastrand::u64(KILL_EVERY_MS)));
            killed += client.execute(statement, &[&WORKER_NAME])?;
        }
        Ok(killed)
    }
}

fn goes_away() -> bool {
    fastrand::u8(..) < 5
}

fn all(sent: Vec<Result<Sent>>) -> Result<Sent> {
    sent.into_iter().try_fold(Sent::default(), |mut total, sent| {
        let sent = sent?;
        total.accepted.extend(sent.accepted);
        total.refused += sent.refused;
        Ok(total)
    })
}

fn ingest(client: &mut impl GenericClient, queue: Queue<'_>, camera: &str, number: i64) -> Answer<String> {
    let statement = "SELECT camcount.ingest_realtime_data($1, $2, now(), $3, 'counting', '[]', $4)";
    client.query_one(statement, &[&camera, &STREAM, &number, &queue.0])?.try_get(0)
}

/// The lease may have expired in the meantime; the item is then another's.
fn fail_if_held(session: &mut Client, id: i64, worker: &str) -> Answer<()> {
    match fail(session, id, None, Some(worker)) {
        Err(error) if error.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => Ok(()),
        answer => answer.map(drop),
    }
}

/// Notes the messages of the items that were completed.
fn record(session: &mut Client, items: &[Item], completed: &[i64]) -> Answer<()> {
    let done = items.iter().filter(|item| completed.binary_search(&item.id).is_ok());
    let messages: Vec<&str> = done.map(|item| item.ingestion_id.as_str()).collect();
    session.execute("INSERT INTO public.done SELECT unnest($1::text[])", &[&messages]).map(drop)
}

/// Whether an error says that the session is gone, as a killed one is.
fn is_gone(error: &postgres::Error) -> bool {
    let is_broken = error.source().is_some_and(|source| source.is::<io::Error>());
    error.is_closed() || is_broken || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)
}

/// Compares what was accepted with what was done and what the queue says. How many are completed and dead letters.
fn ensure_each_once(client: &mut Client, queue: Queue<'_>, accepted: &[String]) -> Result<(i64, i64)> {
    let items = client
        .query("SELECT ingestion_id, status FROM camcount.queue_items WHERE queue_id = $1", &[&queue.0])?;
    ensure!(items.len() == accepted.len(), "{} items of {} messages", items.len(), accepted.len());
    let statuses: HashMap<String, String> = items.iter().map(|row| (row.get(0), row.get(1))).collect();
    let done = client.query("SELECT ingestion_id, count(*) FROM public.done GROUP BY ingestion_id", &[])?;
    let done: HashMap<String, i64> = done.iter().map(|row| (row.get(0), row.get(1))).collect();

    let (mut completed, mut dead, mut wrong) = (0, 0, Vec::new());
    for message in accepted {
        match (statuses.get(message).map(String::as_str), done.get(message)) {
            (Some("completed"), Some(1)) => completed += 1,
            (Some("failed"), None) => dead += 1,
            (status, times) => wrong.push(format!("{message}: {status:?}, done {times:?} times")),
        }
    }
    let some = &wrong[..wrong.len().min(10)];
    ensure!(wrong.is_empty(), "{} of {} messages, such as {some:#?}", wrong.len(), accepted.len());
    ensure!(done.len() as i64 == completed, "{} done, {completed} completed", done.len());
    ensure_counted(client, queue, [("completed", completed), ("failed", dead), ("current_size", 0)])?;
    Ok((completed, dead))
}

fn ensure_counted(client: &mut Client, queue: Queue<'_>, expected: [(&str, i64); 3]) -> Result<()> {
    for (column, count) in expected {
        let shown = queue.count(client, column)?;
        ensure!(shown == count, "queue_status.{column} is {shown} instead of {count}");
    }
    Ok(())
}
