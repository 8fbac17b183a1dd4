//! Tests that run inside the server, each in a transaction that is rolled back. The modules are all called `tests`,
//! because that is the schema in which pgrx looks for them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod aggregation;
mod batch;
mod cache;
mod claims;
mod counter_functions;
mod counters;
mod event_store;
mod events;
mod ingest;
mod ingest_refusals;
mod jsonb;
mod metrics;
mod model;
mod partitions;
mod picture;
mod pipeline;
mod quality;
mod queue;
mod schema;
mod series_aggregates;
mod series_compression;
mod stalls;
mod timeseries;
mod timeseries_buckets;
mod views;
mod workers;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use crate::worker::vision::intake::Intake;

/// A PNG of one grey pixel, in base64.
pub const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

/// A frame of 768 × 576 pixels.
pub const FRAME: &[u8] = include_bytes!("../../crates/vision/tests/data/vtest_300.jpg");

/// Keeps all other tests out until this one ends: they use the same cameras, and some lock tables.
pub fn alone() {
    Spi::run("SELECT pg_advisory_xact_lock(hashtextextended('camcount tests', 0))").unwrap();
}

/// Hands what has been ingested over to the streams, as a vision worker does.
pub fn take_in() {
    alone();
    Intake::default().take(Vec::new()).unwrap();
}

/// Runs statements.
pub fn run(sql: &str) {
    alone();
    Spi::run(sql).unwrap();
}

/// The first value of the first row; fails where it is NULL.
pub fn get<T: FromDatum + IntoDatum>(sql: &str) -> T {
    get_with(sql, &[])
}

/// As [`get`], with arguments.
pub fn get_with<T: FromDatum + IntoDatum>(sql: &str, arguments: &[DatumWithOid<'_>]) -> T {
    alone();
    Spi::get_one_with_args(sql, arguments).unwrap().unwrap_or_else(|| panic!("NULL from {sql}"))
}

/// Whether a condition holds.
pub fn holds(condition: &str) -> bool {
    get(&format!("SELECT coalesce(({condition}), false)"))
}

/// One column of text, sorted, joined by commas; empty where there is no row.
pub fn list(query: &str) -> String {
    get(&format!(
        "SELECT coalesce(string_agg(found, ', ' ORDER BY found), '') FROM ({query}) AS rows (found)"
    ))
}

/// SQLSTATE and message of a statement that fails, and leaves the transaction as it was.
pub fn refusal(statement: &str) -> (String, String) {
    const CATCH: &str =
        "CREATE OR REPLACE FUNCTION pg_temp.refusal(statement text, OUT code text, OUT message text)
        LANGUAGE plpgsql AS $$
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN
            code := SQLSTATE;
            message := SQLERRM;
        END $$";
    run(CATCH);
    let caught = "SELECT code, message FROM pg_temp.refusal($1)";
    let (code, message) = Spi::get_two_with_args::<String, String>(caught, &[statement.into()]).unwrap();
    let Some(code) = code else { panic!("was not refused: {statement}") };
    (code, message.unwrap_or_default())
}

/// The statement fails with this SQLSTATE and a message that holds `named`.
pub fn assert_refused(statement: &str, code: &str, named: &str) {
    let (found, message) = refusal(statement);
    assert!(found == code && message.contains(named), "{statement}\nis refused with {found}: {message}");
}

/// Keeps bytes for statements, which find them as `pg_temp.bytes('name')`.
pub fn keep(name: &str, bytes: &[u8]) {
    run("CREATE TEMP TABLE IF NOT EXISTS material (name text PRIMARY KEY, bytes bytea) ON COMMIT DROP;
         CREATE OR REPLACE FUNCTION pg_temp.bytes(wanted text) RETURNS bytea LANGUAGE plpgsql AS
         $$ BEGIN RETURN (SELECT bytes FROM pg_temp.material WHERE name = wanted); END $$");
    Spi::run_with_args("INSERT INTO pg_temp.material VALUES ($1, $2)", &[name.into(), bytes.into()]).unwrap();
}

/// Takes one frame of the camera and returns its ingestion id.
pub fn ingest_pixel(camera: &str, stream: &str, taken_at: &str, number: i64) -> String {
    get(&format!(
        "SELECT camcount.ingest_frame('{camera}', '{stream}', {taken_at}, {number}, decode('{PIXEL}', 'base64'))"
    ))
}
