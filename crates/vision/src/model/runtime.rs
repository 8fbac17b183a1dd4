//! ONNX Runtime: the library, and sessions in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::signals::without_signals;

/// ONNX Runtime, loaded. There is one in a process, and it stays until the process ends.
#[derive(Clone, Debug)]
pub struct Runtime {
    path: PathBuf,
    environment: Environment,
}

/// Why ONNX Runtime cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A relative path would depend on the working directory.
    #[error("the path of the ONNX Runtime library must be absolute, found `{}`", .0.display())]
    NotAbsolute(PathBuf),
    /// Nothing is there.
    #[error("there is no ONNX Runtime library at `{}`", .0.display())]
    Missing(PathBuf),
    /// The file is no library, or not one of ONNX Runtime, or too old.
    #[error("`{}` cannot be used as ONNX Runtime: {reason}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the loader, or the library, says.
        reason: String,
    },
    /// A process keeps the library that it loaded first.
    #[error("this process has loaded `{}` already: `{}` needs a new process", .loaded.display(), .asked.display())]
    AlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for.
        asked: PathBuf,
    },
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the library at an absolute path; again with the same path it returns the one loaded. Starts no threads,
    /// sends no telemetry, and logs nothing but what is fatal.
    ///
    /// # Errors
    /// A path that is relative or where no library of ONNX Runtime 1.20 or later is; another library loaded before.
    pub fn load(path: &Path) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(runtime) if runtime.path == path => Ok(runtime.clone()),
            Some(runtime) => {
                Err(RuntimeError::AlreadyLoaded { loaded: runtime.path.clone(), asked: path.to_owned() })
            }
            None => Ok(loaded.insert(without_signals(|| Self::load_first(path))?).clone()),
        }
    }

    fn load_first(path: &Path) -> Result<Self, RuntimeError> {
        let unusable = |reason: String| RuntimeError::Unusable { path: path.to_owned(), reason };
        if !path.is_absolute() {
            return Err(RuntimeError::NotAbsolute(path.to_owned()));
        }
        if !path.exists() {
            return Err(RuntimeError::Missing(path.to_owned()));
        }
        let environment = ort::init_from(path)
            .map_err(|error| unusable(error.to_string()))?
            .with_name("camcount")
            .with_telemetry(false)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        environment.set_log_level(LogLevel::Fatal);
        Ok(Self { path: path.to_owned(), environment })
    }

    /// Where the library lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a model. Where the execution provider asked for cannot serve, the CPU does, and the choice says why.
    pub(super) fn open_session(
        &self,
        onnx: &[u8],
        options: &SessionOptions,
    ) -> Result<(Session, ProviderChoice), ModelError> {
        let asked = options.execution_provider;
        let reason = match asked.registrations() {
            Ok(None) => None,
            Ok(Some(accelerator)) => match self.commit(onnx, options, &accelerator) {
                Ok(session) => return Ok((session, ProviderChoice { asked, serving: asked, reason: None })),
                Err(error) => Some(error.to_string()),
            },
            Err(reason) => Some(reason),
        };
        let session = self.commit(onnx, options, &[])?;
        Ok((session, ProviderChoice { asked, serving: ExecutionProvider::Cpu, reason }))
    }

    fn commit(
        &self,
        onnx: &[u8],
        options: &SessionOptions,
        accelerator: &[ExecutionProviderDispatch],
    ) -> Result<Session, ModelError> {
        self.builder(options, accelerator)?
            .commit_from_memory(onnx)
            .map_err(|error| ModelError::NotOnnx(error.to_string()))
    }

    fn builder(
        &self,
        options: &SessionOptions,
        accelerator: &[ExecutionProviderDispatch],
    ) -> ort::Result<SessionBuilder> {
        let mut providers = accelerator.to_vec();
        providers.push(ep::CPU::default().with_arena_allocator(true).build());
        Ok(Session::builder(&self.environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_intra_threads(options.threads())?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_execution_providers(providers)?)
    }
}

/// Copies of a model that are opened without being asked for: each takes memory.
const MOST_COPIES: usize = 4;

/// How a model is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads that share one run; 0 for as many as the process may use.
    pub intra_op_threads: usize,
    /// Runs side by side in a [`DetectorPool`](super::DetectorPool), which share the threads; 0 for one a thread, 4 at
    /// most, on a CPU, and one elsewhere. Each takes the model's memory once more.
    pub parallel_runs: usize,
    /// Where it runs.
    pub execution_provider: ExecutionProvider,
}

impl SessionOptions {
    /// ONNX Runtime's own 0 counts physical cores, which is half of what a virtual machine has.
    pub(super) fn threads(self) -> usize {
        match self.intra_op_threads {
            0 => available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Copies of the model to open where `serving` runs it.
    pub(super) fn copies(self, serving: ExecutionProvider) -> usize {
        match (self.parallel_runs, serving) {
            (0, ExecutionProvider::Cpu) => self.threads().min(MOST_COPIES),
            (0, _) => 1,
            (copies, _) => copies,
        }
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionProvider {
    /// The processor: always there.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An NVIDIA GPU through TensorRT, CUDA for what that cannot run.
    TensorRt,
    /// Intel's OpenVINO.
    OpenVino,
}

/// Which execution provider serves, and why if it is not the one asked for: worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderChoice {
    /// What the options say.
    pub asked: ExecutionProvider,
    /// What runs the model.
    pub serving: ExecutionProvider,
    /// Why the two differ; `None` where they do not.
    pub reason: Option<String>,
}

impl ExecutionProvider {
    /// What to register before the CPU: nothing for the CPU itself.
    ///
    /// # Errors
    /// The reason why the loaded library cannot serve.
    fn registrations(self) -> Result<Option<Vec<ExecutionProviderDispatch>>, String> {
        let (is_built_in, providers) = match self {
            Self::Cpu => return Ok(None),
            Self::Cuda => (ep::CUDA::is_available(), vec![ep::CUDA::default().build()]),
            Self::TensorRt => (
                ep::TensorRT::is_available(),
                vec![ep::TensorRT::default().build(), ep::CUDA::default().build()],
            ),
            Self::OpenVino => (ep::OpenVINO::is_available(), vec![ep::OpenVINO::default().build()]),
        };
        if !is_built_in.map_err(|error| error.to_string())? {
            return Err(format!("the loaded ONNX Runtime library was built without {self}"));
        }
        Ok(Some(providers.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect()))
    }
}

/// As in the settings: `cpu`, `cuda`, `tensorrt`, `openvino`.
impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        })
    }
}

impl FromStr for ExecutionProvider {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino]
            .into_iter()
            .find(|provider| provider.to_string() == name)
            .ok_or_else(|| {
                format!("unknown execution provider `{name}`: expected cpu, cuda, tensorrt or openvino")
            })
    }
}
