//! Pipelines: what is done with which cameras. The configuration is checked whichever way it is written.

use std::collections::BTreeSet;

use camcount_vision::pipeline::steps::{ProcessingStep, StepRow, in_order};
use camcount_vision::pipeline::{ConfigError, PipelineConfig, PipelineType};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::arguments::{name, required, text};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::worker::wake;

/// Longest `pipeline_name`, in characters.
const TITLE_LENGTH: usize = 200;

/// Creates a pipeline, or replaces the one of that id, and returns the id.
///
/// `p_pipeline_type` is `detection`, `tracking`, `counting` or `analytics`, each doing what the one before does and
/// more; `p_pipeline_config` is described in docs/pipelines.md.
#[pg_extern]
fn create_pipeline(
    p_pipeline_id: Option<&str>,
    p_pipeline_name: Option<&str>,
    p_pipeline_type: Option<&str>,
    p_pipeline_config: default!(Option<Jsonb>, "'{}'"),
) -> Result<String, ErrorReport> {
    const CREATE: &str = "INSERT INTO camcount.stream_processing_pipeline
            (pipeline_id, pipeline_name, pipeline_type, pipeline_config)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (pipeline_id) DO UPDATE SET pipeline_name = excluded.pipeline_name,
            pipeline_type = excluded.pipeline_type, pipeline_config = excluded.pipeline_config";
    let pipeline_id = name(p_pipeline_id, "p_pipeline_id")?;
    let pipeline_name = text(p_pipeline_name, "p_pipeline_name", TITLE_LENGTH)?;
    let pipeline_type = required(p_pipeline_type, "p_pipeline_type")?;
    let config = required(p_pipeline_config, "p_pipeline_config")?;
    parse_type(pipeline_type)?;
    database::run(CREATE, &[pipeline_id.into(), pipeline_name.into(), pipeline_type.into(), config.into()])?;
    Ok(pipeline_id.to_owned())
}

/// The type by its name.
pub fn parse_type(pipeline_type: &str) -> Result<PipelineType> {
    serde_json::from_value(Value::from(pipeline_type)).map_err(|_| {
        let reason = format!("must be detection, tracking, counting or analytics, got {pipeline_type:?}");
        Error::invalid("p_pipeline_type", reason)
    })
}

/// Adds a counting line to a pipeline, or replaces the one of that name. The ends are `[x, y]`, normalised to 0..1;
/// `in` is a crossing toward the right-hand side when looking from `p_from` to `p_to`. `p_options` may hold `anchor`,
/// `confirm_frames`, `rearm`, `in`, `out` and `classes`.
#[pg_extern]
fn add_line(
    p_pipeline_id: Option<&str>,
    p_line_name: Option<&str>,
    p_from: Option<Vec<Option<f64>>>,
    p_to: Option<Vec<Option<f64>>>,
    p_options: default!(Option<Jsonb>, "'{}'"),
) -> Result<(), ErrorReport> {
    let pipeline_id = name(p_pipeline_id, "p_pipeline_id")?;
    let mut line = options(p_options)?;
    line["name"] = name(p_line_name, "p_line_name")?.into();
    line["from"] = json!(required(p_from, "p_from")?);
    line["to"] = json!(required(p_to, "p_to")?);
    Ok(put_shape(pipeline_id, "lines", line)?)
}

/// Adds a zone to a pipeline, or replaces the one of that name. `p_polygon` is `[[x, y], …]`, normalised to 0..1, at
/// least three points. `p_options` may hold `anchor`, `enter_frames`, `exit_seconds`, `overcrowding` and `classes`.
#[pg_extern]
fn add_zone(
    p_pipeline_id: Option<&str>,
    p_zone_name: Option<&str>,
    p_polygon: Option<Jsonb>,
    p_options: default!(Option<Jsonb>, "'{}'"),
) -> Result<(), ErrorReport> {
    let pipeline_id = name(p_pipeline_id, "p_pipeline_id")?;
    let mut zone = options(p_options)?;
    zone["name"] = name(p_zone_name, "p_zone_name")?.into();
    zone["polygon"] = required(p_polygon, "p_polygon")?.read("p_polygon")?;
    Ok(put_shape(pipeline_id, "zones", zone)?)
}

fn options(value: Option<Jsonb>) -> Result<Value> {
    match value.map(|value| value.read("p_options")).transpose()? {
        None => Ok(json!({})),
        Some(value) if value.is_object() => Ok(value),
        Some(_) => Err(Error::invalid("p_options", "must be a JSON object")),
    }
}

/// Puts a line or zone into the configuration; the table's trigger checks the result.
fn put_shape(pipeline_id: &str, list: &str, shape: Value) -> Result<()> {
    const READ: &str =
        "SELECT pipeline_config FROM camcount.stream_processing_pipeline WHERE pipeline_id = $1 FOR UPDATE";
    const WRITE: &str =
        "UPDATE camcount.stream_processing_pipeline SET pipeline_config = $2 WHERE pipeline_id = $1";
    let Some(JsonB(mut config)) = database::value::<JsonB>(READ, &[pipeline_id.into()])? else {
        return Err(Error::Missing { kind: "pipeline", name: pipeline_id.to_owned() });
    };
    if let Some(shapes) = config.as_object_mut().map(|object| object.entry(list).or_insert_with(|| json!([])))
        && let Some(shapes) = shapes.as_array_mut()
    {
        shapes.retain(|other| other["name"] != shape["name"]);
        shapes.push(shape);
    }
    database::run(WRITE, &[pipeline_id.into(), JsonB(config).into()])?;
    Ok(())
}

/// Checks a pipeline's configuration: an unknown key, bad geometry or a value out of range is an error that names the
/// key. The table's trigger calls it; returns true.
#[pg_extern]
fn check_pipeline_config(p_pipeline_config: Option<Jsonb>) -> Result<bool, ErrorReport> {
    let config = required(p_pipeline_config, "p_pipeline_config")?;
    PipelineConfig::from_json(&config.read("p_pipeline_config")?).map_err(Error::from)?;
    wake::on_commit(wake::Sleeper::Vision);
    Ok(true)
}

/// Checks a row of `processing_steps`; the table's trigger calls it. Returns true.
#[pg_extern]
fn check_processing_step(
    p_step_name: Option<&str>,
    p_step_type: Option<&str>,
    p_step_config: Option<Jsonb>,
    p_step_conditions: Option<Jsonb>,
) -> Result<bool, ErrorReport> {
    let config = p_step_config.map(|config| config.read("p_step_config")).transpose()?;
    let conditions = p_step_conditions.map(|conditions| conditions.read("p_step_conditions")).transpose()?;
    let row = StepRow {
        step_name: required(p_step_name, "p_step_name")?,
        step_order: 0,
        step_type: required(p_step_type, "p_step_type")?,
        step_config: config.as_ref(),
        step_conditions: conditions.as_ref(),
        is_active: true,
        is_required: true,
    };
    ProcessingStep::parse(&row).map_err(Error::from)?;
    Ok(true)
}

/// Checks that a pipeline's `dependencies` are `{"step": ["the steps that it needs", …]}` without a cycle; the table's
/// trigger calls it. The steps may be added later. Returns true.
#[pg_extern]
fn check_step_dependencies(p_dependencies: Option<Jsonb>) -> Result<bool, ErrorReport> {
    let dependencies = required(p_dependencies, "p_dependencies")?.read("p_dependencies")?;
    let named: BTreeSet<&str> = dependencies
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(step, needs)| {
            let needs = needs.as_array().into_iter().flatten().filter_map(Value::as_str);
            needs.chain([step.as_str()])
        })
        .collect();
    let steps = named.into_iter().map(placeholder).collect::<Result<_, _>>().map_err(Error::from)?;
    in_order(steps, Some(&dependencies)).map_err(Error::from)?;
    Ok(true)
}

fn placeholder(step_name: &str) -> Result<ProcessingStep, ConfigError> {
    ProcessingStep::parse(&StepRow {
        step_name,
        step_order: 0,
        step_type: "filter",
        step_config: None,
        step_conditions: None,
        is_active: true,
        is_required: true,
    })
}
