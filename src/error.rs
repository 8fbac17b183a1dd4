//! Every error a caller can meet, each with its SQLSTATE and, where there is one, a hint.

use camcount_vision::decode::DecodeError;
use camcount_vision::model::{ModelError, PrepareError};
use camcount_vision::payload::PayloadError;
use camcount_vision::pipeline::ConfigError;
use camcount_vision::stream::StateError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The result of everything in the extension that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of the caller's arguments.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{parameter} must not be null")]
    Null { parameter: &'static str },
    #[error("{parameter} must be 1 to {max} characters long, got {length}")]
    Length { parameter: &'static str, max: usize, length: usize },
    #[error("{parameter} has {octets} octets; at most {limit} are taken")]
    TooLarge { parameter: &'static str, octets: usize, limit: usize },
    #[error("{parameter} {reason}")]
    Invalid { parameter: &'static str, reason: String },
    #[error("{parameter}: {source}")]
    Payload { parameter: &'static str, source: PayloadError },
    #[error("{parameter}: {source}")]
    Image { parameter: &'static str, source: DecodeError },
    #[error("{parameter}[{index}]: {source}")]
    Element { parameter: &'static str, index: usize, source: Box<Error> },
    #[error("model {name}: {source}")]
    Model { name: String, source: ModelError },
    #[error("pipeline configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("stored tracker state: {0}")]
    State(#[from] StateError),
    #[error("time series: {0}")]
    Block(#[from] camcount_series::block::Error),
    #[error("a unit or tag is not in UTF-8")]
    NotUtf8,
    #[error("{kind} {name:?} does not exist")]
    Missing { kind: &'static str, name: String },
    #[error(
        "counter {counter:?} of camera {camera:?} is {value}, which does not fit the INTEGER it is returned as"
    )]
    CounterRange { camera: String, counter: String, value: i64 },
    #[error("counter {counter:?} of camera {camera:?} cannot count further: a bigint would not hold it")]
    CounterFull { camera: String, counter: String },
    #[error("{parameter}: {problem}")]
    CounterConfig { parameter: &'static str, problem: String },
    #[error("counter {counter:?} of camera {camera:?} does not exist")]
    NoCounter { camera: String, counter: String },
    #[error("{0}")]
    Runtime(String),
    #[error("queue {queue:?} is full: {size} of at most {max_size} items are not finished")]
    QueueFull { queue: String, size: i64, max_size: i64 },
    #[error("{what} needs shared memory, which the library asks for when the server starts")]
    NotPreloaded { what: &'static str },
    #[error("a queue cannot be served during recovery")]
    Standby,
    #[error("permission denied for table {table}")]
    Denied { table: String },
    #[error("{0} items are leased, in all databases: that is the most")]
    TooManyLeases(usize),
    #[error("item {item} is not leased{}", of_worker(.worker))]
    NotLeased { item: i64, worker: Option<String> },
    #[error("the answer would have more than {0} buckets")]
    TooManyBuckets(i64),
    #[error("{aggregate_type} {aggregate_id:?} is at version {found}, expected {expected}")]
    Version { aggregate_type: String, aggregate_id: String, expected: i32, found: i32 },
    #[error("idempotency key {key:?} belongs to another event, {event_id}")]
    KeyUsed { key: String, event_id: String },
    #[error("could not start a background worker")]
    NoWorkerSlot,
    #[error("stream {stream:?} of camera {camera:?} is no longer leased to this worker")]
    LeaseLost { camera: String, stream: String },
    #[error("{message}")]
    Database { code: String, message: String },
    #[error("{0}")]
    Spi(#[from] spi::Error),
}

impl Error {
    /// The parameter is present but its value is not acceptable; `reason` completes "p_x …".
    pub fn invalid(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { parameter, reason: reason.into() }
    }

    /// A lock that was not to be had in time.
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Database { code, .. } if code == "55P03")
    }

    fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode::*;
        match self {
            Self::Null { .. } => ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Self::Length { .. } | Self::Invalid { .. } | Self::Payload { .. } => {
                ERRCODE_INVALID_PARAMETER_VALUE
            }
            Self::TooLarge { .. } | Self::Image { source: DecodeError::TooLarge { .. }, .. } => {
                ERRCODE_PROGRAM_LIMIT_EXCEEDED
            }
            Self::Image { .. } => ERRCODE_INVALID_BINARY_REPRESENTATION,
            Self::Element { source, .. } => source.code(),
            Self::Model { source, .. } => model_code(source),
            Self::Config(error) if error.problem.starts_with("unknown field") => ERRCODE_UNDEFINED_PARAMETER,
            Self::Config(_) => ERRCODE_INVALID_PARAMETER_VALUE,
            Self::State(_) | Self::Block(_) => ERRCODE_DATA_CORRUPTED,
            Self::NotUtf8 => ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
            Self::Missing { .. } => ERRCODE_UNDEFINED_OBJECT,
            Self::CounterRange { .. } | Self::CounterFull { .. } => ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            Self::CounterConfig { problem, .. } if problem.starts_with("unknown field") => {
                ERRCODE_UNDEFINED_PARAMETER
            }
            Self::CounterConfig { .. } => ERRCODE_INVALID_PARAMETER_VALUE,
            Self::NoCounter { .. } => ERRCODE_UNDEFINED_OBJECT,
            Self::Runtime(_) => ERRCODE_CONFIG_FILE_ERROR,
            Self::NoWorkerSlot => ERRCODE_INSUFFICIENT_RESOURCES,
            Self::QueueFull { .. } | Self::TooManyLeases(_) => ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            Self::TooManyBuckets(_) => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::Version { .. } => ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::KeyUsed { .. } => ERRCODE_UNIQUE_VIOLATION,
            Self::Denied { .. } => ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::Standby => ERRCODE_READ_ONLY_SQL_TRANSACTION,
            Self::NotPreloaded { .. } | Self::NotLeased { .. } => ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::LeaseLost { .. } => ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::Database { .. } | Self::Spi(_) => ERRCODE_INTERNAL_ERROR,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Image { source: DecodeError::TooLarge { .. }, .. } => {
                Some("Send a smaller picture, or raise camcount.max_image_pixels.")
            }
            Self::TooLarge { .. } => {
                Some("Keep less of it, or raise camcount.cache_size: a value may take a sixteenth.")
            }
            Self::Image { .. } => Some("Frames are JPEG or PNG files, byte for byte."),
            Self::Element { source, .. } => source.hint(),
            Self::Runtime(_) => {
                Some("Set camcount.onnxruntime_library to the absolute path of libonnxruntime.so.")
            }
            Self::QueueFull { .. } => Some(
                "Send again later, let more workers process the queue, or raise ingestion_queue.max_size.",
            ),
            Self::NotPreloaded { .. } => {
                Some("Add camcount to shared_preload_libraries and restart the server.")
            }
            Self::Denied { .. } => {
                Some("Items are given out to roles that may read and update all rows of the table.")
            }
            Self::TooManyLeases(_) => Some("Claim fewer items at a time, or complete what was claimed."),
            Self::Version { .. } => Some("Read the stream again, and decide anew what to publish."),
            Self::KeyUsed { .. } => Some(
                "A repetition must have the same type, data, metadata and source; another event needs another key.",
            ),
            Self::TooManyBuckets(_) => Some("Ask for longer buckets, or for a shorter time."),
            Self::NotLeased { .. } => Some("Its lease may have run out: extend_lease() keeps one."),
            Self::NoWorkerSlot => Some("Raise max_worker_processes and restart the server."),
            Self::CounterRange { .. } => Some("Read realtime_counters.current_count, which is a bigint."),
            _ => None,
        }
    }

    /// The five-character SQLSTATE, as stored with a failed item.
    pub fn sqlstate(&self) -> String {
        match self {
            Self::Database { code, .. } => code.clone(),
            other => sqlstate_text(other.code()),
        }
    }
}

fn of_worker(worker: &Option<String>) -> String {
    worker.as_ref().map(|worker| format!(" to worker {worker:?}")).unwrap_or_default()
}

fn model_code(error: &ModelError) -> PgSqlErrorCode {
    match error {
        ModelError::NotOnnx(_) => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
        ModelError::Mismatch { .. } => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        ModelError::Config { .. } => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        _ => PgSqlErrorCode::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
    }
}

/// Unpacks Postgres's six-bits-a-character encoding of an SQLSTATE.
pub fn sqlstate_text(code: PgSqlErrorCode) -> String {
    let mut packed = code as i32;
    (0..5)
        .map(|_| {
            let character = (packed & 0x3f) as u8 + b'0';
            packed >>= 6;
            char::from(character)
        })
        .collect()
}

/// Of a frame's picture.
impl From<PrepareError> for Error {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Decode(source) => Self::Image { parameter: "image", source },
            PrepareError::TooSmall { .. } => Self::invalid("image", format!("is too small: {error}")),
            PrepareError::Resize(source) => Self::Model { name: "input".into(), source },
        }
    }
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let report = ErrorReport::new(error.code(), error.to_string(), "camcount");
        match error.hint() {
            Some(hint) => report.set_hint(hint),
            None => report,
        }
    }
}
