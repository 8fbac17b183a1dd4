//! The models that a worker has open: the current version of each, opened when first needed.

use std::collections::HashMap;

use camcount_vision::model::{DetectorPool, ExecutionProvider, ModelConfig};
use pgrx::{JsonB, Spi};

use crate::database;
use crate::error::{Error, Result};
use crate::model::load_runtime;
use crate::settings;
use crate::worker::process;

/// An open model and the row it came from.
struct Loaded {
    row: i64,
    pool: DetectorPool,
}

/// Open models by name.
#[derive(Default)]
pub struct Models {
    loaded: HashMap<String, Loaded>,
}

impl Models {
    /// Opens what is named and not open yet, or has a newer version, and closes what is no longer registered. Returns
    /// a remark where the execution provider asked for is missing.
    pub fn prepare<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) -> Result<Option<String>> {
        let current = process::transaction(current_versions)?;
        self.loaded.retain(|name, loaded| current.get(name) == Some(&loaded.row));
        let mut remark = None;
        for name in names {
            if !self.loaded.contains_key(name) {
                let row = *current.get(name).ok_or_else(|| missing(name))?;
                let pool = open(name, row)?;
                remark = pool.detector().provider().reason.clone();
                self.loaded.insert(name.clone(), Loaded { row, pool });
            }
        }
        Ok(remark)
    }

    /// An open model; [`prepare`](Self::prepare) opened it.
    pub fn get(&mut self, name: &str) -> Result<&mut DetectorPool> {
        self.loaded.get_mut(name).map(|loaded| &mut loaded.pool).ok_or_else(|| missing(name))
    }

    /// Where the open models run.
    pub fn provider(&self) -> Option<ExecutionProvider> {
        self.loaded.values().next().map(|loaded| loaded.pool.detector().provider().serving)
    }

    /// How many pictures it takes to keep every open model busy.
    pub fn capacity(&self) -> usize {
        let batch_size = settings::batch_size();
        self.loaded.values().map(|loaded| loaded.pool.capacity(batch_size)).max().unwrap_or(1)
    }
}

fn missing(name: &str) -> Error {
    Error::Missing { kind: "model", name: name.to_owned() }
}

fn current_versions() -> Result<HashMap<String, i64>> {
    const CURRENT: &str = "SELECT model_name, id FROM camcount.models WHERE is_current";
    Spi::connect_mut(|client| {
        let mut versions = HashMap::new();
        for row in database::execute(client, CURRENT, &[])? {
            if let (Some(name), Some(id)) = (row.get::<String>(1)?, row.get::<i64>(2)?) {
                versions.insert(name, id);
            }
        }
        Ok(versions)
    })
}

fn open(name: &str, row: i64) -> Result<DetectorPool> {
    let (onnx, config) = process::transaction(|| read_model(name, row))?;
    let named = |source| Error::Model { name: name.to_owned(), source };
    let config = ModelConfig::from_json(&config).map_err(named)?;
    let runtime = load_runtime()?;
    DetectorPool::open(&runtime, &onnx, &config, &settings::session_options()).map_err(named)
}

fn read_model(name: &str, row: i64) -> Result<(Vec<u8>, serde_json::Value)> {
    const READ: &str = "SELECT onnx, config FROM camcount.models WHERE id = $1";
    Spi::connect_mut(|client| {
        let table = database::execute(client, READ, &[row.into()])?;
        if table.is_empty() {
            return Err(missing(name));
        }
        let table = table.first();
        let (onnx, config) = (table.get::<Vec<u8>>(1)?, table.get::<JsonB>(2)?);
        onnx.zip(config.map(|config| config.0)).ok_or_else(|| missing(name))
    })
}
