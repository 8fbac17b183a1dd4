//! Models and frames to test with.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use camcount_gateway::source::{Frame, Source, SourceOptions, VideoSource};
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use crate::server::{Server, workspace};

/// A detector as `camcount.register_model` takes it.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file's bytes.
    pub onnx: Vec<u8>,
    /// At least the head.
    pub config: Value,
}

/// All that a test on real frames needs.
#[derive(Debug)]
pub struct Material {
    /// With the extension installed.
    pub server: Server,
    /// Finds people in the video.
    pub model: Model,
    /// The beginning of the video.
    pub frames: Vec<Frame>,
}

impl Material {
    /// Server, model and the video's first `frames` frames; `None`, with a message, where one is absent.
    ///
    /// # Errors
    /// When what is named by a variable is not there or not usable.
    pub fn find(frames: usize) -> Result<Option<Self>> {
        let Some(server) = installed_server()? else { return Ok(None) };
        let Some(model) = Model::find()? else { return Ok(None) };
        let Some(video) = env::var_os("CAMCOUNT_VIDEO") else {
            eprintln!("skipped: CAMCOUNT_VIDEO is not set");
            return Ok(None);
        };
        let frames = video_frames(Path::new(&video), frames)?;
        Ok(Some(Self { server, model, frames }))
    }
}

/// A server with the extension; `None`, with a message, where there is none.
///
/// # Errors
/// When one is named that is none.
pub fn installed_server() -> Result<Option<Server>> {
    match Server::find()? {
        Some(server) if server.has_extension()? => Ok(Some(server)),
        _ => Ok(None),
    }
}

impl Model {
    /// The named model, else YOLOX-Nano of the test data; `None`, with a message, where there is neither.
    ///
    /// # Errors
    /// When a named file cannot be read, or is named without its head.
    pub fn find() -> Result<Option<Self>> {
        if let Some(path) = env::var_os("CAMCOUNT_MODEL") {
            let head = env::var("CAMCOUNT_MODEL_HEAD")
                .context("CAMCOUNT_MODEL needs CAMCOUNT_MODEL_HEAD beside it")?;
            return Self::read(Path::new(&path), &head).map(Some);
        }
        let data =
            env::var_os("CAMCOUNT_DATA").map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
        let path = data.join("models/yolox_nano_416.onnx");
        if !path.exists() {
            eprintln!("skipped: CAMCOUNT_MODEL is not set and {} does not exist", path.display());
            return Ok(None);
        }
        Self::read(&path, "yolox").map(Some)
    }

    fn read(path: &Path, head: &str) -> Result<Self> {
        let onnx =
            std::fs::read(path).with_context(|| format!("cannot read the model {}", path.display()))?;
        Ok(Self { onnx, config: json!({ "head": head }) })
    }

    /// The same file with a threshold that nothing reaches: a version that finds nobody.
    pub fn blind(&self) -> Self {
        let mut config = self.config.clone();
        config["score_threshold"] = json!(0.999_999);
        Self { onnx: self.onnx.clone(), config }
    }
}

/// The first frames of a video, as JPEG, exactly `count` of them.
fn video_frames(path: &Path, count: usize) -> Result<Vec<Frame>> {
    // Now, because what frames leave behind expires by its age; whole seconds, for the eyes.
    let start = DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap_or_default();
    let mut video = VideoSource::open(path, SourceOptions { start, rate: None, quality: 3 })?;
    let mut frames = Vec::with_capacity(count);
    while frames.len() < count {
        let Some(frame) = video.next_frame()? else { break };
        frames.push(frame);
    }
    ensure!(frames.len() == count, "{} has {} frames; the test needs {count}", path.display(), frames.len());
    Ok(frames)
}

/// An 8-bit PNG, black all over.
///
/// # Errors
/// When it becomes too long for a PNG.
pub fn black_png(width: u32, height: u32) -> Result<Vec<u8>> {
    // Each row begins with the number of its filter.
    let rows = vec![0; (width as usize + 1) * height as usize];
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(&rows)?;
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
