//! Whatever JSON a batch is: it is taken, or refused with the place and the reason, and never taken by half.

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::site::{Site, preloaded};
use postgres::{Client, Transaction};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

const CASES: u32 = 500;

/// SQLSTATEs of a refusal: NULL, wrong, no picture, too large a picture.
const REFUSALS: [&str; 4] = ["22004", "22023", "22P03", "54000"];

/// Anything that jsonb holds.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// jsonb holds every character but NUL.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "frame",
            "detection",
            "image",
            "camera_id",
            "2026-01-05T08:00:00Z",
            "'; --"
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| text.replace('\0', "")),
        "x{95,105}",
    ]
}

/// A good element, or one with a field replaced by anything.
fn element() -> impl Strategy<Value = Value> {
    let good = (0..1000i64, prop::sample::select(vec!["counting", "detection", "tracking"])).prop_map(
        |(number, data_type)| {
            let payload = match data_type {
                "counting" => json!([{"counter": "door.in", "value": number}]),
                _ => json!({"width": 64, "height": 48, "detections": []}),
            };
            json!({"camera_id": "gate", "stream_id": "main", "frame_timestamp": "2026-01-05T08:00:00+01:00",
                   "frame_number": number, "data_type": data_type, "data_payload": payload})
        },
    );
    let fields =
        vec!["camera_id", "stream_id", "frame_timestamp", "frame_number", "data_type", "data_payload"];
    let spoilt =
        (good.clone(), prop::sample::select(fields), any_json()).prop_map(|(mut good, field, value)| {
            good[field] = value;
            good
        });
    prop_oneof![6 => good, 2 => spoilt, 1 => any_json()]
}

fn batch() -> impl Strategy<Value = Value> {
    prop_oneof![8 => prop::collection::vec(element(), 0..8).prop_map(Value::from), 1 => any_json()]
}

#[test]
fn any_json_is_taken_whole_or_refused_with_place_and_reason() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &preloaded(&[("camcount.vision_workers", "0")]), |cluster| {
        let client = RefCell::new(Site::create(cluster, "site")?.connect()?);
        let mut runner =
            TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        runner
            .run(&batch(), |batch| {
                check(&mut client.borrow_mut(), &batch)
                    .map_err(|error| TestCaseError::fail(format!("{error:#}")))
            })
            .context("for some batch")
    })
}

fn check(client: &mut Client, batch: &Value) -> Result<()> {
    let refused_at = check_all_or_nothing(client, batch)?;
    check_skip(client, batch, refused_at)
}

/// What a database holds after the batch, beside what the call returned.
struct After {
    returned: Result<i32, (String, String)>,
    messages: i64,
    items: i64,
    rejects: Vec<i32>,
}

fn after(client: &mut Client, batch: &Value, on_error: &str) -> Result<After> {
    let mut transaction = client.transaction()?;
    let mut attempt = transaction.transaction()?;
    let call = "SELECT camcount.batch_ingest_data($1, $2)";
    let returned = match attempt.query_one(call, &[batch, &on_error]) {
        Ok(row) => {
            attempt.commit()?;
            Ok(row.try_get(0)?)
        }
        Err(error) => {
            attempt.rollback()?;
            let error = error.as_db_error().context("the connection broke")?;
            Err((error.code().code().to_owned(), error.message().to_owned()))
        }
    };
    let messages = count(&mut transaction, "realtime_data_ingestion")?;
    let items = count(&mut transaction, "queue_items")?;
    let rejects = "SELECT item_index FROM camcount.ingestion_rejects
        WHERE error_message <> '' AND item = ($1::jsonb -> item_index) ORDER BY 1";
    let rejects = transaction.query(rejects, &[batch])?.iter().map(|row| row.get(0)).collect();
    transaction.rollback()?;
    Ok(After { returned, messages, items, rejects })
}

fn count(transaction: &mut Transaction<'_>, table: &str) -> Result<i64> {
    Ok(transaction.query_one(&format!("SELECT count(*) FROM camcount.{table}"), &[])?.try_get(0)?)
}

/// Returns the place of the element that is refused first; `None` where the batch is taken or is no array.
fn check_all_or_nothing(client: &mut Client, batch: &Value) -> Result<Option<usize>> {
    let after = after(client, batch, "fail")?;
    ensure!(after.messages == after.items && after.rejects.is_empty(), "half a message");
    match after.returned {
        Ok(taken) => {
            ensure!(
                batch.as_array().is_some_and(|elements| elements.len() == taken as usize),
                "took {taken}"
            );
            ensure!((after.messages == 0) == (taken == 0), "{} messages of {taken}", after.messages);
            Ok(None)
        }
        Err((code, message)) => {
            ensure!(REFUSALS.contains(&code.as_str()), "{code}: {message}");
            ensure!(after.messages == 0, "refused, and {} messages are there", after.messages);
            let place = message.strip_prefix("p_data_batch[").and_then(|rest| rest.split_once("]: "));
            ensure!(place.is_some() == batch.is_array(), "no place: {message}");
            place.map(|(place, _)| Ok(place.parse()?)).transpose()
        }
    }
}

fn check_skip(client: &mut Client, batch: &Value, refused_at: Option<usize>) -> Result<()> {
    let after = after(client, batch, "skip")?;
    let Some(elements) = batch.as_array() else {
        ensure!(after.returned.is_err() && after.messages == 0, "took what is no array");
        return Ok(());
    };
    let taken = after.returned.map_err(|(code, message)| anyhow::anyhow!("{code}: {message}"))? as usize;
    ensure!(taken + after.rejects.len() == elements.len(), "{taken} of {} taken", elements.len());
    ensure!(after.rejects.first().map(|&place| place as usize) == refused_at, "{:?}", after.rejects);
    ensure!(after.messages == after.items && after.messages as usize <= taken, "half a message");
    Ok(())
}
