//! What is no frame fails by itself, with its reason, while the stream goes on.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::{Material, black_png, installed_server};
use camcount_cluster_tests::site::{STREAM, Site, plaza_pipeline, preloaded};
use camcount_gateway::source::Frame;
use postgres::Client;

const RUN: Duration = Duration::from_secs(120);
const WORKER_MEMORY_KIB: u64 = 400 * 1024;
const BOMB_SIDE: u32 = 20_000;
/// One more than there are bad images.
const FRAMES: usize = 9;

/// Such a database takes any bytes; what could not be read later is refused at once.
#[test]
fn text_that_is_not_in_utf8_is_refused() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        cluster.connect("postgres")?.batch_execute(
            "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        )?;
        let mut client = cluster.connect("bytes")?;
        client.batch_execute("CREATE EXTENSION camcount")?;
        let element = |number: i32, weather: &str| {
            format!(
                r#"{{"camera_id": "gate", "stream_id": "main", "frame_timestamp": "2026-01-05T08:00:00Z",
                     "frame_number": {number}, "data_type": "detection",
                     "data_payload": {{"width": 9, "height": 9, "detections": [], "weather": "{weather}"}}}}"#
            )
        };
        let batch = |weather: &str| {
            format!(
                "SELECT camcount.batch_ingest_data(E'[{}, {}]', 'skip')",
                element(1, "rain"),
                element(2, weather)
            )
        };
        for call in [
            batch(r"caf\xe9"),
            r#"SELECT camcount.ingest_realtime_data('gate', 'main', now(), 1, 'counting', E'["caf\xe9"]')"#
                .into(),
        ] {
            let refusal = client.batch_execute(&call).err().with_context(|| format!("{call} was taken"))?;
            let code = refusal.code().map(|code| code.code().to_owned());
            ensure!(code.as_deref() == Some("22023"), "{call}: {refusal:?}");
        }
        client.batch_execute(&batch("café"))?;
        Ok(())
    })
}

#[test]
fn bad_frames_fail_with_a_reason_and_the_good_ones_count() -> Result<()> {
    let Some(material) = Material::find(FRAMES)? else { return Ok(()) };
    let bad = bad_images(&material.frames[0].image)?;
    ensure!(bad.len() + 1 == FRAMES, "{} bad images want another number of frames", bad.len());
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.register("default", &material.model)?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        let workers = site.await_vision_workers(1)?;
        let mut client = site.connect()?;

        // Good and bad frames take turns: 1, 3, 5 and so on are good.
        let mut accepted = Vec::new();
        let (first, rest) = material.frames.split_first().context("no frames")?;
        send(&mut client, first, 1, &first.image)?;
        for (frame, (what, state, bytes)) in rest.iter().zip(&bad) {
            let number = frame.number * 2 - 2;
            match send(&mut client, frame, number, bytes) {
                Ok(ingestion_id) => accepted.push((*what, *state, ingestion_id)),
                Err(error) => ensure_told(what, &error, state, "p_image")?,
            }
            send(&mut client, frame, number + 1, &frame.image)?;
        }

        let queue = site.drain(RUN)?;
        ensure!(
            queue.completed == material.frames.len() as i64,
            "not all good frames are completed: {queue:?}"
        );
        ensure!(queue.failed == accepted.len() as i64, "of {accepted:?} failed: {queue:?}");
        for (what, state, ingestion_id) in &accepted {
            let row = client.query_one(
                "SELECT i.processing_status = 'failed' AND i.error_code = d.error_code, d.error_code, d.error_message
                 FROM camcount.realtime_data_ingestion i JOIN camcount.dead_letters d USING (ingestion_id)
                 WHERE ingestion_id = $1",
                &[ingestion_id],
            )?;
            let (alike, code, reason): (bool, String, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            ensure!(alike && code == *state && reason.contains("image"), "{what}: {alike} {code} {reason}");
        }
        ensure!(site.vision_workers()? == workers, "a worker was lost over a bad frame");
        ensure_modest_memory(&workers)
    })
}

#[test]
fn bad_arguments_are_refused_with_their_names() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        site.create_pipeline("plaza", &plaza_pipeline("default"))?;
        let mut client = site.connect()?;
        for (statement, state, names) in REFUSED {
            let Err(error) = client.batch_execute(statement) else { bail!("was taken: {statement}") };
            ensure_told(statement, &error, state, names)?;
        }
        Ok(())
    })
}

/// Statements, their errors' SQLSTATEs, and what the errors have to name.
const REFUSED: &[(&str, &str, &str)] = &[
    ("SELECT camcount.ingest_frame(NULL, 's', now(), 1, '\\x00')", "22004", "p_camera_id"),
    ("SELECT camcount.ingest_frame('c', NULL, now(), 1, '\\x00')", "22004", "p_stream_id"),
    ("SELECT camcount.ingest_frame('c', 's', NULL, 1, '\\x00')", "22004", "p_frame_timestamp"),
    ("SELECT camcount.ingest_frame('c', 's', now(), NULL, '\\x00')", "22004", "p_frame_number"),
    ("SELECT camcount.ingest_frame('c', 's', now(), 1, NULL)", "22004", "p_image"),
    ("SELECT camcount.ingest_frame(repeat('c', 101), 's', now(), 1, '\\x00')", "22023", "p_camera_id"),
    ("SELECT camcount.ingest_frame('c', repeat('s', 101), now(), 1, '\\x00')", "22023", "p_stream_id"),
    ("SELECT camcount.ingest_frame('', 's', now(), 1, '\\x00')", "22023", "p_camera_id"),
    ("SELECT camcount.ingest_frame('c', 's', 'infinity', 1, '\\x00')", "22023", "p_frame_timestamp"),
    ("SELECT camcount.ingest_frame('c', 's', now(), -1, '\\x00')", "22023", "p_frame_number"),
    ("SELECT camcount.ingest_frame('c', 's', now(), 1, '')", "22P03", "p_image"),
    ("SELECT camcount.ingest_realtime_data('c', 's', now(), 1, 'smell', '{}')", "22023", "p_data_type"),
    (
        "SELECT camcount.ingest_realtime_data('c', 's', now(), 1, 'frame', '{\"image\": 1}')",
        "22023",
        "p_data_payload",
    ),
    (
        "SELECT camcount.ingest_realtime_data('c', 's', now(), 1, 'detection', '[]')",
        "22023",
        "p_data_payload",
    ),
    ("SELECT camcount.register_model('m', 'this is no model', '{\"head\": \"yolox\"}')", "22P03", "no ONNX"),
    ("SELECT camcount.register_model('m', '\\x00', '{\"head\": \"hydra\"}')", "22023", "hydra"),
    (
        "SELECT camcount.register_model('m', '\\x00', '{\"head\": \"yolox\", \"colour\": 1}')",
        "22023",
        "colour",
    ),
    ("SELECT camcount.create_pipeline('p', 'P', 'counting', '{\"lnes\": []}')", "42P02", "lnes"),
    ("SELECT camcount.create_pipeline('p', 'P', 'baking', '{}')", "22023", "p_pipeline_type"),
    ("SELECT camcount.create_pipeline('p', 'P', 'counting', '{\"outputs\": {\"fax\": 1}}')", "42P02", "fax"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5, 0.5], ARRAY[0.5, 0.5])", "22023", "lines[3]"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5], ARRAY[0.5, 0.5])", "22023", "lines[3]"),
    ("SELECT camcount.add_line('plaza', 'l', NULL, ARRAY[0.5, 0.5])", "22004", "p_from"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.1, NULL], ARRAY[0.5, 0.5])", "22", "from"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.1, 'NaN'], ARRAY[0.5, 0.5])", "22", "from"),
    ("SELECT camcount.add_line('nowhere', 'l', ARRAY[0.1, 0.5], ARRAY[0.5, 0.5])", "42704", "nowhere"),
    ("SELECT camcount.create_pipeline('p', 'P', 'counting', '[]')", "22023", "pipeline configuration"),
    ("SELECT camcount.add_zone('plaza', 'z', '[[0, 0], [1, 1]]')", "22023", "polygon"),
];

#[test]
fn a_model_that_does_not_fit_its_config_is_refused() -> Result<()> {
    let Some(material) = Material::find(1)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut misfit = material.model.clone();
        let head = if misfit.config["head"] == "yolox" { "centernet" } else { "yolox" };
        misfit.config["head"] = serde_json::json!(head);
        let refusal = site.register("misfit", &misfit).err().context("a misfit was taken")?;
        let error = refusal.downcast_ref::<postgres::Error>().context("no error of the server")?;
        ensure_told("a model with another head", error, "42804", "misfit")
    })
}

fn send(client: &mut Client, frame: &Frame, number: i64, image: &[u8]) -> Result<String, postgres::Error> {
    let statement = "SELECT camcount.ingest_frame('gate', $1, $2, $3, $4)";
    client.query_one(statement, &[&STREAM, &frame.timestamp, &number, &image])?.try_get(0)
}

/// An error with this SQLSTATE, or of this class, that names what is wrong.
fn ensure_told(what: &str, error: &postgres::Error, state: &str, names: &str) -> Result<()> {
    let (found, told) = (error.code().map_or("none", |state| state.code()), told(error));
    ensure!(found.starts_with(state), "{what}: SQLSTATE {found} instead of {state}, {told}");
    ensure!(told.contains(names), "{what}\nshould name {names}: {told}");
    Ok(())
}

fn told(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |server| format!("{server:?}"))
}

/// The most that each worker ever held in memory.
fn ensure_modest_memory(workers: &[i32]) -> Result<()> {
    for pid in workers {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 =
            peak.and_then(|peak| peak.trim().strip_suffix(" kB")).context("no VmHWM")?.trim().parse()?;
        ensure!(kib < WORKER_MEMORY_KIB, "worker {pid} has used {kib} KiB");
    }
    Ok(())
}

/// What, the SQLSTATE of its refusal or failure, and the bytes.
fn bad_images(good: &[u8]) -> Result<Vec<(&'static str, &'static str, Vec<u8>)>> {
    let mut cut_png = black_png(64, 64)?;
    cut_png.truncate(cut_png.len() - 20);
    Ok(vec![
        ("text", "22P03", b"this is no image".to_vec()),
        ("a truncated JPEG", "22P03", good[..good.len() / 2].to_vec()),
        ("a JPEG's first bytes", "22P03", vec![0xff, 0xd8, 0xff, 0xe0]),
        ("a JPEG header with noise behind it", "22P03", [&[0xff, 0xd8, 0xff][..], &[0x5a; 5000]].concat()),
        ("one pixel", "22023", black_png(1, 1)?),
        ("a PNG bomb", "54000", black_png(BOMB_SIDE, BOMB_SIDE)?),
        ("a truncated PNG", "22P03", cut_png),
        ("a PNG of no size", "22P03", black_png(0, 0)?),
    ])
}
