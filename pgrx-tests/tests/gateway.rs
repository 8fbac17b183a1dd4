//! The gateway against a server that crashes under it. Needs no extension: a stub takes the frames.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::{Cluster, Shutdown, with_cluster};
use camcount_cluster_tests::server::Server;
use camcount_cluster_tests::wait::wait_until;
use camcount_gateway::feed::{FeedOptions, Summary, feed};
use camcount_gateway::pace::Rate;
use camcount_gateway::progress::Progress;
use camcount_gateway::sink::DatabaseSink;
use camcount_gateway::source::{Frame, FrameRate, Source, SourceError};
use camcount_gateway::stop::{Stop, SystemClock};
use chrono::DateTime;
use serde_json::json;

const FRAMES: i64 = 600;

/// Counts calls beside accepting frames, and refuses them while `room` is used up.
const STUB: &str = "
    CREATE SCHEMA camcount;
    CREATE TABLE room (frames bigint);
    INSERT INTO room VALUES (1000000);
    CREATE TABLE taken (frame_number bigint PRIMARY KEY, frame_timestamp timestamptz, image bytea, metadata jsonb);
    CREATE FUNCTION camcount.ingest_frame(p_camera_id text, p_stream_id text, p_frame_timestamp timestamptz,
        p_frame_number bigint, p_image bytea, p_metadata jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM taken) >= (SELECT frames FROM room) THEN
            RAISE 'queue is full' USING ERRCODE = '53400';
        END IF;
        INSERT INTO taken VALUES (p_frame_number, p_frame_timestamp, p_image, p_metadata)
            ON CONFLICT (frame_number) DO NOTHING;
        RETURN p_camera_id || '_' || p_frame_number;
    END $$;";

struct Pictures(i64);

impl Source for Pictures {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        self.0 += 1;
        let number = self.0;
        let timestamp = DateTime::from_timestamp(number, 0).unwrap_or_default();
        let image = number.to_be_bytes().repeat(1000);
        let metadata = json!({ "number": number });
        Ok((number <= FRAMES).then_some(Frame { number, timestamp, image, metadata }))
    }

    fn frame_rate(&self) -> FrameRate {
        FrameRate::COMMON
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn take_remark(&mut self) -> Option<String> {
        None
    }
}

/// Shows the test how far the feed is, and how often it had to say something.
#[derive(Default)]
struct Watched {
    frames: AtomicU64,
    notes: AtomicU64,
}

impl Progress for &Watched {
    fn acknowledged(&mut self, frames: u64, _bytes: u64) {
        self.frames.fetch_add(frames, Ordering::SeqCst);
    }

    fn note(&mut self, _text: &str) {
        self.notes.fetch_add(1, Ordering::SeqCst);
    }
}

fn feed_all(cluster: &Cluster, rate: &str, watched: &Watched) -> Result<Summary> {
    let mut sink = DatabaseSink::connect(cluster.config("postgres"), "camera", "main")?;
    let options =
        FeedOptions { rate: rate.parse::<Rate>()?, limit: None, retry_for: Duration::from_secs(60) };
    Ok(feed(&mut Pictures(0), &mut sink, &SystemClock::new(Stop::default()), &mut &*watched, options)?)
}

fn ensure_each_frame_once(cluster: &Cluster, summary: &Summary) -> Result<()> {
    let row = cluster.connect("postgres")?.query_one(
        "SELECT count(*), min(frame_number), max(frame_number), \
         bool_and(image = decode(repeat(lpad(to_hex(frame_number), 16, '0'), 1000), 'hex')), \
         bool_and(frame_timestamp = to_timestamp(frame_number)), \
         bool_and(metadata = jsonb_build_object('number', frame_number)) FROM taken",
        &[],
    )?;
    let numbers: (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    ensure!(numbers == (FRAMES, 1, FRAMES), "count, first, last: {numbers:?}");
    for column in 3..6 {
        ensure!(row.try_get::<_, bool>(column)?, "column {column}: a frame arrived changed");
    }
    ensure!(summary.volume.frames == FRAMES as u64 && !summary.stopped, "{summary:?}");
    Ok(())
}

#[test]
fn each_frame_arrives_once_although_the_server_crashes_three_times() -> Result<()> {
    let Some(server) = Server::find()? else { return Ok(()) };
    // Durable commits: what is acknowledged has to survive the crash.
    with_cluster(&server, &[("fsync", "on".into())], |cluster| {
        cluster.connect("postgres")?.batch_execute(STUB)?;
        let watched = Watched::default();
        let summary = thread::scope(|scope| {
            let feeding = scope.spawn(|| feed_all(cluster, "300", &watched));
            for crash in 1..=3 {
                wait_until("the feed has come further", Duration::from_secs(60), || {
                    Ok(watched.frames.load(Ordering::SeqCst) >= crash * 100 || feeding.is_finished())
                })?;
                cluster.stop(Shutdown::Immediate)?;
                cluster.start()?;
            }
            feeding.join().ok().context("the feed panicked")?
        })?;
        ensure!(watched.notes.load(Ordering::SeqCst) >= 3, "the feed has not noticed all crashes");
        ensure_each_frame_once(cluster, &summary)
    })
}

#[test]
fn a_full_queue_holds_the_feed_until_there_is_room() -> Result<()> {
    let Some(server) = Server::find()? else { return Ok(()) };
    with_cluster(&server, &[], |cluster| {
        let mut client = cluster.connect("postgres")?;
        client.batch_execute(STUB)?;
        client.execute("UPDATE room SET frames = 203", &[])?;
        let watched = Watched::default();
        let summary = thread::scope(|scope| {
            let feeding = scope.spawn(|| feed_all(cluster, "max", &watched));
            // Up to the last place: a batch that does not fit as a whole is taken frame by frame.
            wait_until("the queue is full", Duration::from_secs(60), || {
                Ok(watched.frames.load(Ordering::SeqCst) == 203 || feeding.is_finished())
            })?;
            ensure!(!feeding.is_finished(), "the feed ended at a full queue");
            client.execute("UPDATE room SET frames = 1000000", &[])?;
            feeding.join().ok().context("the feed panicked")?
        })?;
        ensure_each_frame_once(cluster, &summary)
    })
}
