//! The active pipelines, parsed once for each version of their rows.

use std::collections::HashMap;
use std::rc::Rc;

use camcount_vision::pipeline::steps::{ProcessingStep, StepRow, in_order};
use camcount_vision::pipeline::{PipelineConfig, PipelineType};
use pgrx::spi::SpiClient;
use pgrx::{JsonB, Spi};
use serde_json::Value;

use crate::database;
use crate::error::{Error, Result};
use crate::pipeline::parse_type;

/// An active pipeline, ready to use.
pub struct Pipeline {
    pub pipeline_id: String,
    pub stage: PipelineType,
    pub config: PipelineConfig,
    /// In the order in which they run.
    pub steps: Vec<ProcessingStep>,
    /// Identifies this version of this pipeline; never used again.
    version: i64,
}

/// The active pipelines as they were at the last look.
#[derive(Default)]
pub struct Pipelines {
    active: Vec<Rc<Pipeline>>,
}

impl Pipelines {
    /// Looks again; parses only rows that changed. Needs a transaction.
    pub fn refresh(&mut self) -> Result<()> {
        const VERSIONS: &str = "SELECT pipeline_id, config_version
            FROM camcount.stream_processing_pipeline WHERE is_active ORDER BY pipeline_id";
        let known: HashMap<_, _> =
            self.active.drain(..).map(|pipeline| (pipeline.version, pipeline)).collect();
        let versions = Spi::connect_mut(|client| {
            let mut versions = Vec::new();
            for row in database::execute(client, VERSIONS, &[])? {
                versions.extend(row.get::<String>(1)?.zip(row.get::<i64>(2)?));
            }
            Ok::<_, Error>(versions)
        })?;
        for (id, version) in versions {
            match known.get(&version) {
                Some(pipeline) => self.active.push(Rc::clone(pipeline)),
                None => self.active.extend(read(id)?.map(Rc::new)),
            }
        }
        Ok(())
    }

    /// Identifies this state of them.
    pub fn versions(&self) -> Vec<i64> {
        self.active.iter().map(|pipeline| pipeline.version).collect()
    }

    /// Those that serve a camera, ordered by id.
    pub fn serving(&self, camera_id: &str) -> Vec<Rc<Pipeline>> {
        self.active.iter().filter(|pipeline| pipeline.config.serves(camera_id)).map(Rc::clone).collect()
    }
}

fn read(pipeline_id: String) -> Result<Option<Pipeline>> {
    const READ: &str = "SELECT config_version, pipeline_type, pipeline_config, dependencies
        FROM camcount.stream_processing_pipeline WHERE pipeline_id = $1";
    Spi::connect_mut(|client| {
        let table = database::execute(client, READ, &[pipeline_id.as_str().into()])?;
        if table.is_empty() {
            return Ok(None);
        }
        let row = table.first();
        let (Some(version), Some(stage), Some(JsonB(config))) =
            (row.get::<i64>(1)?, row.get::<String>(2)?, row.get::<JsonB>(3)?)
        else {
            return Ok(None);
        };
        let dependencies = row.get::<JsonB>(4)?.map(|dependencies| dependencies.0);
        let stage = parse_type(&stage)?;
        let steps = read_steps(client, &pipeline_id, dependencies)?;
        Ok(Some(Pipeline { stage, config: PipelineConfig::from_json(&config)?, steps, pipeline_id, version }))
    })
}

fn read_steps(
    client: &mut SpiClient<'_>,
    pipeline_id: &str,
    dependencies: Option<Value>,
) -> Result<Vec<ProcessingStep>> {
    const STEPS: &str =
        "SELECT step_name, step_order, step_type, step_config, step_conditions, is_active, is_required
        FROM camcount.processing_steps WHERE pipeline_id = $1";
    let mut steps = Vec::new();
    for row in database::execute(client, STEPS, &[pipeline_id.into()])? {
        let name = row.get::<String>(1)?.unwrap_or_default();
        let kind = row.get::<String>(3)?.unwrap_or_default();
        let (config, conditions) = (row.get::<JsonB>(4)?, row.get::<JsonB>(5)?);
        steps.push(ProcessingStep::parse(&StepRow {
            step_name: &name,
            step_order: row.get(2)?.unwrap_or(0),
            step_type: &kind,
            step_config: config.as_ref().map(|config| &config.0),
            step_conditions: conditions.as_ref().map(|conditions| &conditions.0),
            is_active: row.get(6)?.unwrap_or(true),
            is_required: row.get(7)?.unwrap_or(true),
        })?);
    }
    let dependencies = dependencies.map(|dependencies| known_only(dependencies, &steps));
    Ok(in_order(steps, dependencies.as_ref())?)
}

/// Dependencies may name steps that are not there (yet): they hold nothing up.
fn known_only(mut dependencies: Value, steps: &[ProcessingStep]) -> Value {
    let known = |name: &str| steps.iter().any(|step| step.name == name);
    if let Some(object) = dependencies.as_object_mut() {
        object.retain(|step, _| known(step));
        for needs in object.values_mut().filter_map(Value::as_array_mut) {
            needs.retain(|need| need.as_str().is_some_and(known));
        }
    }
    dependencies
}
