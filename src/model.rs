//! Models: stored in the database, checked by opening them once, versioned by content.

use camcount_vision::model::{Detector, ModelConfig, Runtime, SessionOptions};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

use crate::arguments::{name, required};
use crate::database;
use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::settings;
use crate::worker::wake;

/// Stores an ONNX model under a name and returns its version. The file is opened and its inputs and outputs are
/// compared with the configuration. The file and configuration that serve already return their version; others become
/// the next version, which the workers take up without a restart.
///
/// `p_config` needs only `head` (`centernet`, `yolox`, `nanodet` or `yolov8`); see docs/models.md for the rest.
#[pg_extern]
fn register_model(
    p_model_name: Option<&str>,
    p_onnx: Option<&[u8]>,
    p_config: Option<Jsonb>,
) -> Result<i32, ErrorReport> {
    let model_name = name(p_model_name, "p_model_name")?;
    let onnx = required(p_onnx, "p_onnx")?;
    let config = required(p_config, "p_config")?;
    Ok(store_model(model_name, onnx, config)?)
}

fn store_model(model_name: &str, onnx: &[u8], config: Jsonb) -> Result<i32> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('camcount model ' || $1, 0))";
    const SAME: &str = "SELECT model_version FROM camcount.models
        WHERE model_name = $1 AND sha256 = $2 AND config = $3 AND is_current";
    const RETIRE: &str = "UPDATE camcount.models SET is_current = false WHERE model_name = $1 AND is_current";
    const ADD: &str = "INSERT INTO camcount.models
            (model_name, model_version, sha256, onnx, config, resolved_config, is_current)
        SELECT $1, coalesce(max(model_version), 0) + 1, $2, $3, $4, $5, true
        FROM camcount.models WHERE model_name = $1
        RETURNING model_version";
    let sha256: String = Sha256::digest(onnx).iter().map(|byte| format!("{byte:02x}")).collect();
    database::run(LOCK, &[model_name.into()])?;
    let same = database::value::<i32>(SAME, &[model_name.into(), sha256.as_str().into(), config.into()])?;
    if let Some(version) = same {
        return Ok(version);
    }
    let resolved = check_model(model_name, onnx, config)?;
    database::run(RETIRE, &[model_name.into()])?;
    let version = database::value::<i32>(
        ADD,
        &[model_name.into(), sha256.as_str().into(), onnx.into(), config.into(), resolved.into()],
    )?;
    wake::on_commit(wake::Sleeper::Vision);
    version.ok_or_else(|| Error::Runtime("the model was not stored".into()))
}

/// Opens the model once, with one thread, and returns what follows from its configuration and its file.
fn check_model(model_name: &str, onnx: &[u8], config: Jsonb) -> Result<JsonB> {
    let named = |source| Error::Model { name: model_name.to_owned(), source };
    let config = ModelConfig::from_json(&config.read("p_config")?).map_err(named)?;
    let runtime = load_runtime()?;
    let options = SessionOptions { intra_op_threads: 1, ..SessionOptions::default() };
    let detector = Detector::open(&runtime, onnx, &config, &options).map_err(named)?;
    let resolved =
        serde_json::to_value(detector.model()).map_err(|error| Error::Runtime(error.to_string()))?;
    Ok(JsonB(resolved))
}

/// Loads ONNX Runtime into this process, once.
pub fn load_runtime() -> Result<Runtime> {
    let path = settings::onnxruntime_library();
    // SAFETY: before the library is loaded, this process has one thread.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("ORT_DISABLE_TELEMETRY", "1");
    }
    Runtime::load(&path).map_err(|error| Error::Runtime(error.to_string()))
}

/// Removes a model, or one version of it, and returns how many versions went. The newest one left becomes current.
#[pg_extern]
fn unregister_model(
    p_model_name: Option<&str>,
    p_model_version: default!(Option<i32>, "NULL"),
) -> Result<i32, ErrorReport> {
    const REMOVE: &str =
        "DELETE FROM camcount.models WHERE model_name = $1 AND ($2 IS NULL OR model_version = $2)";
    const PROMOTE: &str = "UPDATE camcount.models SET is_current = true
        WHERE model_name = $1
          AND model_version = (SELECT max(model_version) FROM camcount.models WHERE model_name = $1)
          AND NOT EXISTS (SELECT FROM camcount.models WHERE model_name = $1 AND is_current)";
    let model_name = name(p_model_name, "p_model_name")?;
    let removed =
        database::run(REMOVE, &[model_name.into(), p_model_version.into()]).map_err(ErrorReport::from)?;
    if removed == 0 {
        return Err(Error::Missing { kind: "model", name: model_name.to_owned() }.into());
    }
    database::run(PROMOTE, &[model_name.into()]).map_err(ErrorReport::from)?;
    wake::on_commit(wake::Sleeper::Vision);
    Ok(removed as i32)
}
