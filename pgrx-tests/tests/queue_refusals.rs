//! What the functions for outside workers refuse, and what they name then.

use anyhow::{Context, Result, ensure};
use camcount_cluster_tests::cluster::with_cluster;
use camcount_cluster_tests::material::installed_server;
use camcount_cluster_tests::queue::{Queue, refused, with_queue};
use camcount_cluster_tests::site::{Site, unloaded};

/// Calls, their SQLSTATEs, and what the refusals have to name.
const REFUSED: &[(&str, &str, &str)] = &[
    ("claim_queue_items(NULL, 'w')", "22004", "p_queue_id"),
    ("claim_queue_items('door', NULL)", "22004", "p_worker"),
    ("claim_queue_items('door', 'w', NULL)", "22004", "p_max_items"),
    ("claim_queue_items('door', 'w', 1, NULL)", "22004", "p_lease"),
    ("claim_queue_items('nowhere', 'w')", "42704", "nowhere"),
    ("claim_queue_items('door', '')", "22023", "p_worker"),
    ("claim_queue_items('door', repeat('w', 61))", "22023", "p_worker"),
    ("claim_queue_items('door', 'w', 0)", "22023", "p_max_items"),
    ("claim_queue_items('door', 'w', -1)", "22023", "p_max_items"),
    ("claim_queue_items('door', 'w', 10001)", "22023", "p_max_items"),
    ("claim_queue_items('door', 'w', 1, '0 seconds')", "22023", "p_lease"),
    ("claim_queue_items('door', 'w', 1, '-1 seconds')", "22023", "p_lease"),
    ("complete_queue_items(NULL)", "22004", "p_ids"),
    ("fail_queue_item(NULL, '22023', 'too dark')", "22004", "p_id"),
    ("fail_queue_item(1, NULL, 'too dark')", "22004", "p_error_code"),
    ("fail_queue_item(1, '22023', NULL)", "22004", "p_error_message"),
    ("fail_queue_item(9223372036854775807, '22023', 'too dark')", "55000", "9223372036854775807"),
    ("extend_lease(NULL, '1 second')", "22004", "p_ids"),
    ("extend_lease('{1}', NULL)", "22004", "p_lease"),
    ("extend_lease('{1}', '0 seconds')", "22023", "p_lease"),
    ("extend_lease('{1}', '-1 seconds')", "22023", "p_lease"),
    ("requeue_failed(NULL)", "22004", "p_queue_id"),
    ("requeue_failed('nowhere')", "42704", "nowhere"),
    ("purge_queue(NULL)", "22004", "p_queue_id"),
    ("purge_queue('nowhere')", "42704", "nowhere"),
];

/// Calls with the greatest and the least that is taken.
const TAKEN: &[&str] = &[
    "claim_queue_items('door', repeat('w', 60), 10000, '1 microsecond')",
    "complete_queue_items('{}')",
    "extend_lease('{}', '1 microsecond')",
    "requeue_failed('door', '{}')",
];

#[test]
fn wrong_arguments_are_refused_with_their_names() -> Result<()> {
    with_queue("max_size = 3", |site, _| {
        let mut client = site.connect()?;
        for (call, state, names) in REFUSED {
            let answer = client.batch_execute(&format!("SELECT * FROM camcount.{call}"));
            let refusal = refused(answer, state).context(*call)?;
            let told = format!("{refusal:?}");
            ensure!(told.contains(names), "{call}\nshould name {names}: {told}");
        }
        for call in TAKEN {
            client.batch_execute(&format!("SELECT * FROM camcount.{call}")).context(*call)?;
        }
        Ok(())
    })
}

#[test]
fn without_preload_a_claim_says_what_is_missing() -> Result<()> {
    let Some(server) = installed_server()? else { return Ok(()) };
    with_cluster(&server, &unloaded(&[]), |cluster| {
        let site = Site::create(cluster, "site")?;
        let mut client = site.connect()?;
        let queue = Queue::create(&mut client, "door")?;
        queue.ingest(&mut client, "counting", 1)?;
        let refusal = refused(queue.claim(&mut client, "north", 1), "55000")?;
        let hint = refusal.hint().context("no hint")?;
        ensure!(hint.contains("shared_preload_libraries"), "{hint}");
        Ok(())
    })
}
