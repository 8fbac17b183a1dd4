//! camcount: people and vehicles counted by cameras, inside PostgreSQL.
//!
//! This crate is glue: it checks arguments, runs SQL and looks after processes. What would make sense without a
//! database lives in `crates/`.

use pgrx::prelude::*;

mod arguments;
mod database;
mod error;
mod events;
mod fields;
mod ingest;
mod jsonb;
mod model;
mod partitions;
mod picture;
mod pipeline;
mod queue;
mod realtime;
mod rows;
mod settings;
mod timeseries;
mod worker;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/cameras.sql", name = "cameras", bootstrap);
extension_sql_file!("../sql/models.sql", name = "models", requires = ["cameras"]);
extension_sql_file!("../sql/ingestion.sql", name = "ingestion", requires = ["models"]);
extension_sql_file!("../sql/queue.sql", name = "queue", requires = ["ingestion"]);
extension_sql_file!("../sql/pipelines.sql", name = "pipelines", requires = ["queue"]);
extension_sql_file!("../sql/streams.sql", name = "streams", requires = ["pipelines"]);
extension_sql_file!("../sql/timeseries.sql", name = "timeseries", requires = ["streams"]);
extension_sql_file!("../sql/aggregations.sql", name = "aggregations", requires = ["timeseries"]);
extension_sql_file!("../sql/counters.sql", name = "counters", requires = ["aggregations"]);
extension_sql_file!(
    "../sql/cache.sql",
    name = "cache",
    requires =
        ["counters", realtime::cache::functions::cache_entries, realtime::cache::functions::cache_figures]
);
extension_sql_file!(
    "../sql/events.sql",
    name = "events",
    requires = [
        "cache",
        events::read::next_transaction_id,
        events::read::check_read_stream,
        events::read::check_read_events
    ]
);
extension_sql_file!("../sql/monitoring.sql", name = "monitoring", requires = ["events"]);
extension_sql_file!(
    "../sql/partitions.sql",
    name = "partitions",
    requires = ["monitoring", queue::functions::queue_leases]
);
extension_sql_file!(
    "../sql/pipeline_checks.sql",
    name = "pipeline_checks",
    requires = [
        "partitions",
        pipeline::check_pipeline_config,
        pipeline::check_processing_step,
        pipeline::check_step_dependencies
    ]
);
extension_sql_file!(
    "../sql/views.sql",
    name = "views",
    requires = ["pipeline_checks", queue::functions::queue_figures]
);
extension_sql_file!(
    "../sql/queue_upkeep.sql",
    name = "queue_upkeep",
    requires = ["views", queue::settings::forget_queue_settings]
);
extension_sql_file!(
    "../sql/loading.sql",
    name = "loading",
    requires = ["queue_upkeep", ingest::ingest_frame]
);
extension_sql_file!("../sql/rollups.sql", name = "rollups", requires = ["loading", "ends", "summarise"]);
extension_sql_file!(
    "../sql/series.sql",
    name = "series",
    requires = [
        "rollups",
        partitions::current_partitions,
        timeseries::block::block_points,
        timeseries::check::check_series,
        timeseries::check::check_aggregation,
        timeseries::check::check_buckets,
        timeseries::check::check_bucket_count,
        timeseries::check::check_units
    ]
);
extension_sql_file!(
    "../sql/counter_upkeep.sql",
    name = "counter_upkeep",
    requires = [
        "series",
        realtime::counters::check_counter_config,
        realtime::buffered::forget_counter,
        realtime::buffered::forget_counters,
        realtime::periods::forget_time_zones
    ]
);
extension_sql_file!("../sql/stalls.sql", name = "stalls", requires = ["counter_upkeep"]);
extension_sql_file!("../sql/dump.sql", name = "dump", requires = ["stalls"]);
extension_sql_file!("../sql/start.sql", name = "start", finalize);

/// Called by the server when it loads the library.
#[pg_guard]
#[allow(unsafe_code)]
pub extern "C-unwind" fn _PG_init() {
    settings::register();
    // SAFETY: a flag that the server sets before it loads libraries.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker::preload();
    }
}

#[cfg(any(test, feature = "pg_test"))]
mod tests;

#[cfg(test)]
pub mod pg_test {
    //! Required by `cargo pgrx test`.

    use std::env;
    use std::path::{Path, PathBuf};

    /// Nothing to prepare.
    pub fn setup(_options: Vec<&str>) {}

    /// Settings of the server that the tests run in. Vision workers would lock tables that tests wait for.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let data = env::var_os("CAMCOUNT_DATA").map_or(beside, PathBuf::from);
        let model = env::var_os("CAMCOUNT_MODEL").map(PathBuf::from);
        let mut options = vec!["shared_preload_libraries = 'camcount'", "camcount.vision_workers = 0"];
        options.extend(material("data", Some(data)));
        options.extend(material("model", model));
        options
    }

    /// Tells the server, which may have another environment, where test material is.
    fn material(name: &str, path: Option<PathBuf>) -> Option<&'static str> {
        let path = path?.canonicalize().ok()?.display().to_string().replace('\'', "''");
        Some(format!("camcount_test.{name} = '{path}'").leak())
    }
}
