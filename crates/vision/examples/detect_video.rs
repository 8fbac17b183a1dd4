//! Prints what a model sees in a folder of pictures, in MOT's format: `frame,-1,x,y,w,h,confidence` in pixels, frames
//! numbered from 1 in the order of the files' names, only the model's first class.
//!
//! ```text
//! cargo run --release --example detect_video -- LIBRARY MODEL.onnx '{"head": "yolox"}' FOLDER [MIN_SCORE]
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use camcount_vision::decode::{Limits, decode};
use camcount_vision::model::{Detector, ModelConfig, Runtime, SessionOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, onnx, config, folder, rest @ ..] = arguments.as_slice() else {
        return Err("usage: detect_video LIBRARY MODEL.onnx CONFIG_JSON FOLDER [MIN_SCORE]".into());
    };
    let config = ModelConfig::from_json(&serde_json::from_str(config)?)?;
    let runtime = Runtime::load(Path::new(library))?;
    let options = SessionOptions { intra_op_threads: 1, ..SessionOptions::default() };
    let mut detector = Detector::open(&runtime, &std::fs::read(onnx)?, &config, &options)?;
    detector.set_min_score(rest.first().map_or(Ok(0.1), |score| score.parse())?);
    eprintln!("{}", serde_json::to_string_pretty(detector.model())?);

    let preprocessor = detector.preprocessor();
    let (mut decoding, mut preparing, mut inferring) = (0.0, 0.0, 0.0);
    let mut lap = Instant::now();
    let mut seconds = move |total: &mut f64| {
        *total += lap.elapsed().as_secs_f64();
        lap = Instant::now();
    };
    let pictures = pictures(Path::new(folder))?;
    for (index, path) in pictures.iter().enumerate() {
        let bytes = std::fs::read(path)?;
        seconds(&mut 0.0);
        let picture = decode(&bytes, &Limits::default())?;
        seconds(&mut decoding);
        let input = preprocessor.prepare(&picture)?;
        seconds(&mut preparing);
        let detections = detector.infer(&[input])?.concat();
        seconds(&mut inferring);
        let first_class = &detector.model().classes[0];
        for detection in detections.iter().filter(|detection| detection.class == *first_class) {
            let (width, height) = (f64::from(picture.width), f64::from(picture.height));
            let [x, y, w, h] = detection.bbox.into();
            println!(
                "{},-1,{:.2},{:.2},{:.2},{:.2},{:.4}",
                index + 1,
                x * width,
                y * height,
                w * width,
                h * height,
                detection.confidence
            );
        }
    }
    let per_frame = |total: f64| total * 1000.0 / pictures.len().max(1) as f64;
    eprintln!(
        "{} frames: decode {:.2} ms, prepare {:.2} ms, infer {:.2} ms a frame",
        pictures.len(),
        per_frame(decoding),
        per_frame(preparing),
        per_frame(inferring)
    );
    Ok(())
}

fn pictures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg" || extension == "png"));
    paths.sort();
    Ok(paths)
}
