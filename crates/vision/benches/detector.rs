//! What a frame costs, step by step, beside the bare loop: the same model and threads on an input that is ready.
//!
//! ```text
//! CAMCOUNT_ONNXRUNTIME=/path/to/libonnxruntime.so CAMCOUNT_MODEL=model.onnx CAMCOUNT_MODEL_CONFIG='{"head":"yolox"}' \
//!     CAMCOUNT_THREADS=2 cargo bench -p camcount-vision --bench detector
//! ```
//!
//! Without a library and a model only decoding is measured.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use camcount_vision::decode::{Limits, decode};
use camcount_vision::model::{Detector, ModelConfig, Runtime, SessionOptions};
use criterion::{Criterion, criterion_group, criterion_main};

const FRAME: &[u8] = include_bytes!("../tests/data/vtest_300.jpg");

/// The model that the environment names, if it names one.
fn detector() -> Result<Option<Detector>, Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(library), Some(model)) = (variable("CAMCOUNT_ONNXRUNTIME"), variable("CAMCOUNT_MODEL")) else {
        return Ok(None);
    };
    let config = variable("CAMCOUNT_MODEL_CONFIG").unwrap_or_else(|| r#"{"head": "centernet"}"#.to_owned());
    let config = ModelConfig::from_json(&serde_json::from_str(&config)?)?;
    let intra_op_threads = variable("CAMCOUNT_THREADS").map_or(Ok(0), |threads| threads.parse())?;
    let options = SessionOptions { intra_op_threads, ..SessionOptions::default() };
    let runtime = Runtime::load(Path::new(&library))?;
    Ok(Some(Detector::open(&runtime, &std::fs::read(model)?, &config, &options)?))
}

fn frame(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("frame 768x576");
    group.bench_function("probe", |b| {
        b.iter(|| camcount_vision::decode::probe(black_box(FRAME), &limits));
    });
    group.bench_function("decode", |b| b.iter(|| decode(black_box(FRAME), &limits)));
    let (Ok(Some(mut detector)), Ok(picture)) = (detector(), decode(FRAME, &limits)) else {
        println!(
            "CAMCOUNT_ONNXRUNTIME and CAMCOUNT_MODEL name no model that opens: only decoding is measured"
        );
        return;
    };
    let preprocessor = detector.preprocessor();
    group.bench_function("prepare", |b| b.iter(|| preprocessor.prepare(black_box(&picture))));
    let Ok(input) = preprocessor.prepare(&picture) else { return };
    let input = [input];
    group.bench_function("bare loop", |b| b.iter(|| detector.infer(black_box(&input))));
    group.bench_function("decode, prepare, infer", |b| {
        b.iter(|| -> Result<_, Box<dyn Error>> {
            Ok(detector.infer(&[preprocessor.prepare(&decode(black_box(FRAME), &limits)?)?])?)
        });
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
