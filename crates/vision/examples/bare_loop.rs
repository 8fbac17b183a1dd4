//! A model without anything around it, to hold camcount's frame rate against:
//! `bare_loop MODEL.onnx MODEL_CONFIG.json FRAMES_FOLDER [THREADS]`.
//!
//! Prints frames a second of the model alone, on inputs made ready beforehand, and of decoding, preparing and running
//! one frame after the other. ONNX Runtime is found by `CAMCOUNT_ONNXRUNTIME`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use camcount_vision::decode::{Limits, decode};
use camcount_vision::model::{Detector, Input, ModelConfig, Runtime, SessionOptions};

/// Inputs kept ready at once: each takes a few megabytes.
const READY: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, model, config, frames, rest @ ..] = arguments.as_slice() else {
        return Err("usage: bare_loop MODEL.onnx MODEL_CONFIG.json FRAMES_FOLDER [THREADS]".into());
    };
    let threads = rest.first().map_or(Ok(0), |threads| threads.parse())?;
    let runtime = Runtime::load(Path::new(&env::var("CAMCOUNT_ONNXRUNTIME")?))?;
    let config = ModelConfig::from_json(&serde_json::from_str(&fs::read_to_string(config)?)?)?;
    let options = SessionOptions { intra_op_threads: threads, ..SessionOptions::default() };
    let mut detector = Detector::open(&runtime, &fs::read(model)?, &config, &options)?;
    let pictures = read_pictures(Path::new(frames))?;

    let ready = pictures
        .iter()
        .take(READY)
        .map(|picture| prepare(&detector, picture))
        .collect::<Result<Vec<_>, _>>()?;
    detector.infer(&ready[..1])?;
    let start = Instant::now();
    for place in 0..pictures.len() {
        let place = place % ready.len();
        detector.infer(&ready[place..=place])?;
    }
    let alone = pictures.len() as f64 / start.elapsed().as_secs_f64();

    let start = Instant::now();
    for picture in &pictures {
        let input = prepare(&detector, picture)?;
        detector.infer(&[input])?;
    }
    let sequential = pictures.len() as f64 / start.elapsed().as_secs_f64();
    println!(
        "{{\"frames\": {}, \"model_alone\": {alone:.2}, \"decode_and_model\": {sequential:.2}}}",
        pictures.len()
    );
    Ok(())
}

fn prepare(detector: &Detector, picture: &[u8]) -> Result<Input, Box<dyn Error>> {
    Ok(detector.preprocessor().prepare(&decode(picture, &Limits::default())?)?)
}

fn read_pictures(folder: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    Ok(paths.iter().map(fs::read).collect::<Result<_, _>>()?)
}
