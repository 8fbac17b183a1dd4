//! The active pipelines, parsed once for each version of their rows.

use std::collections::HashMap;
use std::rc::Rc;

use camcount_vision::pipeline::{PipelineConfig, PipelineType};
use pgrx::{JsonB, Spi};

use crate::database;
use crate::error::{Error, Result};
use crate::pipeline::parse_type;

/// An active pipeline, ready to use.
pub struct Pipeline {
    pub pipeline_id: String,
    pub stage: PipelineType,
    pub config: PipelineConfig,
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
        let known: HashMap<_, _> = self.active.drain(..).map(|pipeline| (pipeline.version, pipeline)).collect();
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

    /// Those that serve a camera, ordered by id.
    pub fn serving(&self, camera_id: &str) -> Vec<Rc<Pipeline>> {
        self.active.iter().filter(|pipeline| pipeline.config.serves(camera_id)).map(Rc::clone).collect()
    }
}

fn read(pipeline_id: String) -> Result<Option<Pipeline>> {
    const READ: &str = "SELECT config_version, pipeline_type, pipeline_config
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
        let stage = parse_type(&stage)?;
        Ok(Some(Pipeline { stage, config: PipelineConfig::from_json(&config)?, pipeline_id, version }))
    })
}
