//! What is no frame fails by itself, with its reason, while the stream goes on.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::{Material, installed_server};
use camcount_cluster_tests::site::{STREAM, Site, plaza_pipeline, preloaded};
use camcount_gateway::source::Frame;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use postgres::Client;

const RUN: Duration = Duration::from_secs(120);
const WORKER_MEMORY_KIB: u64 = 400 * 1024;
const BOMB_SIDE: u32 = 20_000;
/// One more than there are bad images.
const FRAMES: usize = 9;

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
        for (frame, (what, bytes)) in rest.iter().zip(&bad) {
            let number = frame.number * 2 - 2;
            match send(&mut client, frame, number, bytes) {
                Ok(ingestion_id) => accepted.push((*what, ingestion_id)),
                Err(error) => ensure_input_error(what, &error)?,
            }
            send(&mut client, frame, number + 1, &frame.image)?;
        }

        let queue = site.drain(RUN)?;
        ensure!(
            queue.completed == material.frames.len() as i64,
            "not all good frames are completed: {queue:?}"
        );
        ensure!(queue.failed == accepted.len() as i64, "of {accepted:?} failed: {queue:?}");
        for (what, ingestion_id) in &accepted {
            let row = client.query_one(
                "SELECT processing_status, error_message FROM camcount.realtime_data_ingestion WHERE ingestion_id = $1",
                &[ingestion_id],
            )?;
            let (status, reason): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
            ensure!(
                status == "failed" && reason.is_some_and(|reason| !reason.is_empty()),
                "{what}: {status}"
            );
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
        for (statement, names) in REFUSED {
            let Err(error) = client.batch_execute(statement) else { bail!("was taken: {statement}") };
            ensure_input_error(statement, &error)?;
            let told = told(&error);
            ensure!(told.contains(names), "{statement}\nshould name {names}: {told}");
        }
        Ok(())
    })
}

/// Statements, and what their errors have to name.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT camcount.ingest_frame(NULL, 's', now(), 1, '\\x00')", "p_camera_id"),
    ("SELECT camcount.ingest_frame('c', NULL, now(), 1, '\\x00')", "p_stream_id"),
    ("SELECT camcount.ingest_frame('c', 's', NULL, 1, '\\x00')", "p_frame_timestamp"),
    ("SELECT camcount.ingest_frame('c', 's', now(), NULL, '\\x00')", "p_frame_number"),
    ("SELECT camcount.ingest_frame('c', 's', now(), 1, NULL)", "p_image"),
    ("SELECT camcount.ingest_frame(repeat('c', 101), 's', now(), 1, '\\x00')", "p_camera_id"),
    ("SELECT camcount.ingest_frame('c', repeat('s', 101), now(), 1, '\\x00')", "p_stream_id"),
    ("SELECT camcount.ingest_frame('', 's', now(), 1, '\\x00')", "p_camera_id"),
    ("SELECT camcount.register_model('m', 'this is no model', '{\"head\": \"yolox\"}')", "p_onnx"),
    ("SELECT camcount.register_model('m', '\\x00', '{\"head\": \"hydra\"}')", "hydra"),
    ("SELECT camcount.register_model('m', '\\x00', '{\"head\": \"yolox\", \"colour\": 1}')", "colour"),
    ("SELECT camcount.create_pipeline('p', 'P', 'counting', '{\"lnes\": []}')", "lnes"),
    ("SELECT camcount.create_pipeline('p', 'P', 'baking', '{}')", "p_pipeline_type"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5, 0.5], ARRAY[0.5, 0.5])", "l"),
    ("SELECT camcount.add_line('plaza', 'l', ARRAY[0.5], ARRAY[0.5, 0.5])", "p_from"),
    ("SELECT camcount.add_line('nowhere', 'l', ARRAY[0.1, 0.5], ARRAY[0.5, 0.5])", "nowhere"),
    ("SELECT camcount.add_zone('plaza', 'z', '[[0, 0], [1, 1]]')", "polygon"),
];

#[test]
fn a_model_that_does_not_fit_its_config_is_refused() -> Result<()> {
    let Some(material) = Material::find(1)? else { return Ok(()) };
    with_cluster(&material.server, &preloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut misfit = material.model.clone();
        misfit.config["classes"] = serde_json::json!(["person", "tree", "house"]);
        let refusal = site.register("misfit", &misfit).err().context("a misfit was taken")?;
        let error = refusal.downcast_ref::<postgres::Error>().context("no error of the server")?;
        ensure_input_error("a model with other classes", error)
    })
}

fn send(client: &mut Client, frame: &Frame, number: i64, image: &[u8]) -> Result<String, postgres::Error> {
    let statement = "SELECT camcount.ingest_frame('gate', $1, $2, $3, $4)";
    client.query_one(statement, &[&STREAM, &frame.timestamp, &number, &image])?.try_get(0)
}

/// An error about the caller's input (class 22) and not one of ours.
fn ensure_input_error(what: &str, error: &postgres::Error) -> Result<()> {
    let state = error.code().map_or("none", |state| state.code());
    ensure!(state.starts_with("22"), "{what}: SQLSTATE {state}, {}", told(error));
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

fn bad_images(good: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let dot = png(1, 1, &[0, 128])?;
    let bomb = png(BOMB_SIDE, BOMB_SIDE, &vec![0; BOMB_SIDE as usize * (BOMB_SIDE as usize + 1)])?;
    let mut cut_png = png(64, 64, &[0; 64 * 65])?;
    cut_png.truncate(cut_png.len() - 20);
    Ok(vec![
        ("text", b"this is no image".to_vec()),
        ("a truncated JPEG", good[..good.len() / 2].to_vec()),
        ("a JPEG's first bytes", vec![0xff, 0xd8, 0xff, 0xe0]),
        ("a JPEG header with noise behind it", [&[0xff, 0xd8, 0xff][..], &[0x5a; 5000]].concat()),
        ("one pixel", dot),
        ("a PNG bomb", bomb),
        ("a truncated PNG", cut_png),
        ("a PNG of no size", png(0, 0, &[])?),
    ])
}

/// An 8-bit grey PNG of these rows, each after its filter byte.
fn png(width: u32, height: u32, rows: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(rows)?;
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", [size.as_slice(), &[8, 0, 0, 0, 0]].concat()),
        (b"IDAT", compressed.finish()?),
        (b"IEND", Vec::new()),
    ] {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(&data);
        file.extend(u32::try_from(data.len())?.to_be_bytes());
        file.extend(kind);
        file.extend(&data);
        file.extend(sum.sum().to_be_bytes());
    }
    Ok(file)
}
