//! Two workers share two streams, and neither stream notices.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::Material;
use camcount_cluster_tests::outcome::Outcome;
use camcount_cluster_tests::site::{Site, plaza_pipeline, preloaded};

const FRAMES: usize = 150;
const RUN: Duration = Duration::from_secs(180);

/// Notes each claim and each acknowledgement as it happens, with the process that made it.
const WITNESS: &str = "
    CREATE TABLE public.seen (step bigint GENERATED ALWAYS AS IDENTITY, pid int, camera_id text, frame_number bigint,
                              status text);
    CREATE FUNCTION public.witness() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO public.seen (pid, camera_id, frame_number, status)
        VALUES (pg_backend_pid(), OLD.camera_id, OLD.frame_number, TG_ARGV[0]);
        RETURN NULL;
    END $$;
    CREATE TRIGGER witness_claim AFTER UPDATE OF status ON camcount.stream_items
        FOR EACH ROW WHEN (NEW.status = 'processing') EXECUTE FUNCTION public.witness('processing');
    CREATE TRIGGER witness_end AFTER DELETE ON camcount.stream_items
        FOR EACH ROW EXECUTE FUNCTION public.witness('completed');";

#[test]
fn two_cameras_count_as_one_does_each_in_order_under_one_worker_at_a_time() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    let settings = preloaded(&[("camcount.vision_workers", "2"), ("camcount.intra_op_threads", "1")]);
    with_cluster(&material.server, &settings, |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        site.ingest("alone", &material.frames)?;
        site.drain(RUN)?;
        let mut client = site.connect()?;
        let expected = Outcome::of_camera(&mut client, "alone")?;
        ensure!(!expected.tracks.is_empty(), "nobody was seen: the run proves nothing");

        client.batch_execute(WITNESS)?;
        site.await_vision_workers(2)?;
        for half in material.frames.chunks(FRAMES / 2) {
            site.ingest("north", half)?;
            site.ingest("south", half)?;
        }
        let queue = site.drain(RUN)?;
        ensure!(queue.completed == 3 * FRAMES as i64 && queue.failed == 0, "{queue:?}");

        for camera in ["north", "south"] {
            let outcome = Outcome::of_camera(&mut client, camera)?;
            outcome.ensure_same(&expected).with_context(|| format!("camera {camera} against one alone"))?;
        }
        ensure_orderly(&steps(&mut client)?)
    })
}

struct Step {
    pid: i32,
    camera: String,
    frame: i64,
    completed: bool,
}

fn steps(client: &mut postgres::Client) -> Result<Vec<Step>> {
    let statement =
        "SELECT pid, camera_id, frame_number, status = 'completed' FROM public.seen ORDER BY step";
    let read = |row: &postgres::Row| -> Result<Step> {
        Ok(Step {
            pid: row.try_get(0)?,
            camera: row.try_get(1)?,
            frame: row.try_get(2)?,
            completed: row.try_get(3)?,
        })
    };
    client.query(statement, &[])?.iter().map(read).collect()
}

/// Replays the steps: a stream's claimed frames are one worker's, and are acknowledged in frame order.
fn ensure_orderly(steps: &[Step]) -> Result<()> {
    let mut claimed: HashMap<&str, HashMap<i64, i32>> = HashMap::new();
    let mut last: HashMap<&str, i64> = HashMap::new();
    for step in steps {
        let held = claimed.entry(&step.camera).or_default();
        if !step.completed {
            let other = held.values().find(|pid| **pid != step.pid);
            ensure!(other.is_none(), "{} is worked on by {} and {other:?}", step.camera, step.pid);
            held.insert(step.frame, step.pid);
            continue;
        }
        let holder = held.remove(&step.frame);
        ensure!(holder == Some(step.pid), "frame {} of {} was {holder:?}'s", step.frame, step.camera);
        let before = last.insert(&step.camera, step.frame).unwrap_or(0);
        ensure!(step.frame == before + 1, "{}: frame {} after {before}", step.camera, step.frame);
    }
    ensure!(last.values().all(|frame| *frame == FRAMES as i64) && last.len() == 2, "{last:?}");
    let workers: BTreeSet<i32> = steps.iter().map(|step| step.pid).collect();
    ensure!(workers.len() == 2, "the work was done by {workers:?}");
    Ok(())
}
