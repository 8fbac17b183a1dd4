//! Every setting (GUC) and its typed accessor.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use camcount_vision::model::{ExecutionProvider, SessionOptions};
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use pgrx::pg_sys;

static VISION_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(1);
static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1);
static CLAIM_SIZE: GucSetting<i32> = GucSetting::<i32>::new(16);
static PARALLEL_RUNS: GucSetting<i32> = GucSetting::<i32>::new(0);
static INTRA_OP_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static LEASE_SECONDS: GucSetting<i32> = GucSetting::<i32>::new(60);
static RETRY_BACKOFF: GucSetting<i32> = GucSetting::<i32>::new(1000);
static POLL_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(5000);
static MAINTENANCE_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(60);
static AGGREGATION_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(43_200);
static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(16);
static MONITOR_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);
static STALL_AFTER: GucSetting<i32> = GucSetting::<i32>::new(30);
static ROLLUP_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);
static MAX_IMAGE_PIXELS: GucSetting<i32> = GucSetting::<i32>::new(50_000_000);
static ONNXRUNTIME_LIBRARY: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"$libdir/camcount/libonnxruntime.so"));
static EXECUTION_PROVIDER: GucSetting<Provider> = GucSetting::<Provider>::new(Provider::Cpu);

/// The values of `camcount.execution_provider`.
#[derive(Clone, Copy, PostgresGucEnum)]
enum Provider {
    #[name = c"cpu"]
    Cpu,
    #[name = c"cuda"]
    Cuda,
    #[name = c"tensorrt"]
    TensorRt,
    #[name = c"openvino"]
    OpenVino,
}

impl From<Provider> for ExecutionProvider {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Cpu => Self::Cpu,
            Provider::Cuda => Self::Cuda,
            Provider::TensorRt => Self::TensorRt,
            Provider::OpenVino => Self::OpenVino,
        }
    }
}

/// Registers the settings and reserves the prefix. Called once, from `_PG_init`.
pub fn register() {
    register_worker_settings();
    register_model_settings();
    // SAFETY: a flag that the server sets before it loads libraries.
    #[allow(unsafe_code)]
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        register_memory_settings();
    }
    // SAFETY: called from _PG_init on the main thread; the string is static.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"camcount".as_ptr());
    }
}

fn register_worker_settings() {
    let flags = GucFlags::default();
    GucRegistry::define_int_guc(
        c"camcount.vision_workers",
        c"Vision workers for each database that has the extension.",
        c"Each runs its own copy of the models. Raise it when many streams wait and cores are free.",
        &VISION_WORKERS,
        0,
        64,
        GucContext::Sighup,
        flags,
    );
    GucRegistry::define_int_guc(
        c"camcount.claim_size",
        c"Frames a vision worker claims, and applies in one transaction, at most.",
        c"Larger claims save commits; smaller ones show counts sooner and redo less after a crash.",
        &CLAIM_SIZE,
        1,
        1024,
        GucContext::Sighup,
        flags,
    );
    GucRegistry::define_int_guc(
        c"camcount.lease_seconds",
        c"How long a claim is valid without being renewed.",
        c"A worker renews its lease between model runs; raise this if one run of a model takes longer.",
        &LEASE_SECONDS,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"camcount.retry_backoff",
        c"Wait before an item that failed is tried again; doubled with each attempt.",
        c"",
        &RETRY_BACKOFF,
        0,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"camcount.poll_interval",
        c"How long an idle worker sleeps when nothing wakes it.",
        c"New work wakes the workers; polling only catches what has no waker, such as a retry that falls due.",
        &POLL_INTERVAL,
        10,
        600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"camcount.maintenance_interval",
        c"How often partitions are made, and what has expired is removed.",
        c"",
        &MAINTENANCE_INTERVAL,
        1,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"camcount.aggregation_retention",
        c"How long windows of realtime_aggregations are kept after their last value; 0 means for ever.",
        c"The maintenance worker removes older ones.",
        &AGGREGATION_RETENTION,
        0,
        5_270_400,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_int_guc(
        c"camcount.monitor_interval",
        c"How often each camera's ingestion is measured into ingestion_monitoring; 0 means never.",
        c"",
        &MONITOR_INTERVAL,
        0,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"camcount.stall_after",
        c"After how long without a message a camera counts as stalled; 0 means never.",
        c"",
        &STALL_AFTER,
        0,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"camcount.rollup_interval",
        c"How often time series are rolled up; 0 means never.",
        c"Readers add to the rollups what has come since: a longer interval makes no answer wrong, only slower.",
        &ROLLUP_INTERVAL,
        0,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

fn register_model_settings() {
    GucRegistry::define_int_guc(
        c"camcount.batch_size",
        c"Frames in one run of a model, filled across streams, where the model's batch dimension is dynamic.",
        c"1 is best on a CPU with few cores; raise it for a GPU.",
        &BATCH_SIZE,
        1,
        256,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"camcount.intra_op_threads",
        c"Threads of one model run, shared by those that run side by side; 0 means one for each core.",
        c"With several vision workers, divide the cores among them.",
        &INTRA_OP_THREADS,
        0,
        256,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"camcount.parallel_runs",
        c"Runs of a model side by side; 0 means one for each thread, 4 at most, on a CPU, and one elsewhere.",
        c"Each holds the model in memory once more. 1 gives a single frame all threads, always.",
        &PARALLEL_RUNS,
        0,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"camcount.max_image_pixels",
        c"Largest picture (width times height) that is accepted.",
        c"Bounds the memory that decoding one frame can take: three bytes a pixel.",
        &MAX_IMAGE_PIXELS,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"camcount.onnxruntime_library",
        c"Path of the ONNX Runtime library; $libdir stands for the server's library directory.",
        c"Read when a worker first opens a model.",
        &ONNXRUNTIME_LIBRARY,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_enum_guc(
        c"camcount.execution_provider",
        c"Where models run: cpu, cuda, tensorrt or openvino, where the library has them.",
        c"What is missing is logged and shown in camcount.workers, and the CPU serves.",
        &EXECUTION_PROVIDER,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

/// Of shared memory, whose size is fixed when the server starts. The server takes them while it preloads libraries only.
fn register_memory_settings() {
    GucRegistry::define_int_guc(
        c"camcount.cache_size",
        c"Shared memory of the cache, for all databases.",
        c"Raise it where camcount.cache_statistics shows evictions and many misses. A value may take a sixteenth of it.",
        &CACHE_SIZE,
        1,
        4096,
        GucContext::Postmaster,
        GucFlags::UNIT_MB,
    );
}

fn positive(setting: &GucSetting<i32>) -> usize {
    usize::try_from(setting.get()).unwrap_or(0)
}

/// Vision workers wanted in this database.
pub fn vision_workers() -> usize {
    positive(&VISION_WORKERS)
}

/// Frames in one model run at most.
pub fn batch_size() -> usize {
    positive(&BATCH_SIZE)
}

/// Items in one claim at most.
pub fn claim_size() -> usize {
    positive(&CLAIM_SIZE)
}

/// How a worker runs its models.
pub fn session_options() -> SessionOptions {
    SessionOptions {
        intra_op_threads: positive(&INTRA_OP_THREADS),
        parallel_runs: positive(&PARALLEL_RUNS),
        execution_provider: EXECUTION_PROVIDER.get().into(),
    }
}

/// How long a claim is valid.
pub fn lease() -> Duration {
    Duration::from_secs(positive(&LEASE_SECONDS) as u64)
}

/// Wait before the first retry, in milliseconds.
pub fn retry_backoff_ms() -> i32 {
    RETRY_BACKOFF.get()
}

/// Longest sleep of an idle worker.
pub fn poll_interval() -> Duration {
    Duration::from_millis(positive(&POLL_INTERVAL) as u64)
}

/// Time between two runs of partition maintenance.
pub fn maintenance_interval() -> Duration {
    Duration::from_secs(positive(&MAINTENANCE_INTERVAL) as u64)
}

/// How long windows are kept, in minutes; `None` for ever.
pub fn aggregation_retention_minutes() -> Option<i32> {
    Some(AGGREGATION_RETENTION.get()).filter(|&minutes| minutes > 0)
}

/// Octets of shared memory for the cache.
pub fn cache_octets() -> usize {
    positive(&CACHE_SIZE) << 20
}

/// Time between two samples of ingestion; `None` for no samples.
pub fn monitor_interval() -> Option<Duration> {
    interval(&MONITOR_INTERVAL)
}

/// How long a camera may be silent; `None` is for ever.
pub fn stall_after() -> Option<Duration> {
    interval(&STALL_AFTER)
}

/// How often time series are rolled up; `None` is never.
pub fn rollup_interval() -> Option<Duration> {
    interval(&ROLLUP_INTERVAL)
}

fn interval(setting: &GucSetting<i32>) -> Option<Duration> {
    let seconds = positive(setting) as u64;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// What the decoder accepts.
pub fn image_limits() -> camcount_vision::decode::Limits {
    camcount_vision::decode::Limits { max_pixels: positive(&MAX_IMAGE_PIXELS) as u64 }
}

/// Absolute path of the ONNX Runtime library, `$libdir` resolved.
pub fn onnxruntime_library() -> PathBuf {
    let setting = ONNXRUNTIME_LIBRARY.get().unwrap_or_default();
    let setting = setting.to_string_lossy();
    match setting.strip_prefix("$libdir/") {
        Some(rest) => library_directory().join(rest),
        None => PathBuf::from(setting.as_ref()),
    }
}

fn library_directory() -> PathBuf {
    // SAFETY: pkglib_path is a NUL-terminated array that the server fills before it loads any library.
    #[allow(unsafe_code)]
    let path = unsafe { std::ffi::CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()) };
    PathBuf::from(path.to_string_lossy().as_ref())
}
