//! Real models on a real frame. Skipped, with a message, where ONNX Runtime or the models are not at hand:
//! `CAMCOUNT_ONNXRUNTIME` names the library (default `.local/onnxruntime/libonnxruntime.so` in the workspace),
//! `CAMCOUNT_DATA` a folder with `models/` (default `../shared/data` beside the workspace).

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};

use camcount_vision::decode::{Limits, Picture, decode, encode_png};
use camcount_vision::detection::Detection;
use camcount_vision::geometry::BBox;
use camcount_vision::model::{
    Detector, DetectorPool, ExecutionProvider, ModelConfig, ModelError, Outcome, PrepareError, Runtime,
    RuntimeError, Seen, SessionOptions,
};
use serde_json::{Value, json};

/// Frame 300 of OpenCV's sample video vtest.avi.
const FRAME: &[u8] = include_bytes!("data/vtest_300.jpg");

/// A model whose every box is told by a picture's colour; see `data/README.md`.
const MEAN_COLOR: &[u8] = include_bytes!("data/mean_color.onnx");

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn from_environment(variable: &str, default: PathBuf) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or(default, PathBuf::from);
    let path = path.canonicalize().ok();
    if path.is_none() {
        println!("skipped: {variable} is not set and nothing is at its default place");
    }
    path
}

fn runtime() -> Option<Runtime> {
    let library = workspace().join(".local/onnxruntime/libonnxruntime.so");
    Some(Runtime::load(&from_environment("CAMCOUNT_ONNXRUNTIME", library)?).unwrap())
}

fn model(name: &str) -> Option<Vec<u8>> {
    let data = from_environment("CAMCOUNT_DATA", workspace().join("../shared/data"))?;
    std::fs::read(data.join("models").join(name)).ok()
}

fn open(name: &str, config: Value) -> Option<Result<Detector, ModelError>> {
    let (runtime, onnx) = (runtime()?, model(name)?);
    let config = ModelConfig::from_json(&config).unwrap();
    Some(Detector::open(&runtime, &onnx, &config, &SessionOptions::default()))
}

/// What a model sees in the frame.
fn detections(name: &str, config: Value) -> Option<Vec<Detection>> {
    let mut detector = open(name, config)?.unwrap();
    let picture = decode(FRAME, &Limits::default()).unwrap();
    let input = detector.preprocessor().prepare(&picture).unwrap();
    Some(detector.infer(&[input]).unwrap().remove(0))
}

/// The people in the frame whom nothing hides, in pixels as x, y, w, h.
const PEOPLE: [[f64; 4]; 6] = [
    [248.0, 158.0, 24.0, 66.0],
    [295.0, 159.0, 28.0, 68.0],
    [582.0, 158.0, 30.0, 75.0],
    [617.0, 162.0, 25.0, 67.0],
    [184.0, 159.0, 28.0, 73.0],
    [317.0, 211.0, 31.0, 85.0],
];

fn assert_sees_the_people(found: &[Detection], at_least: usize) {
    assert!(found.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence));
    for Detection { bbox, confidence, .. } in found {
        assert!((0.0..=1.0).contains(confidence));
        assert!(bbox.x >= 0.0 && bbox.y >= 0.0 && bbox.x + bbox.w <= 1.0 && bbox.y + bbox.h <= 1.0);
    }
    let seen = PEOPLE.iter().filter(|[x, y, w, h]| {
        let person = BBox { x: x / 768.0, y: y / 576.0, w: w / 768.0, h: h / 576.0 };
        found.iter().any(|detection| &*detection.class == "person" && detection.bbox.iou(&person) > 0.5)
    });
    let seen = seen.count();
    assert!(seen >= at_least, "{seen} of {} people seen: {found:#?}", PEOPLE.len());
    let people = found.iter().filter(|detection| &*detection.class == "person").count();
    assert!(people <= PEOPLE.len() + 3, "{found:#?}");
}

#[test]
fn yolox_sees_the_people() {
    let Some(found) = detections("yolox_nano_416.onnx", json!({"head": "yolox"})) else { return };
    assert_sees_the_people(&found, PEOPLE.len());
}

#[test]
fn a_detector_of_people_only_sees_them_and_knows_their_name() {
    let Some(found) = detections("light_person_192.onnx", json!({"head": "yolox", "score_threshold": 0.4}))
    else {
        return;
    };
    assert_sees_the_people(&found, PEOPLE.len() - 2);
}

#[test]
fn nanodet_sees_the_people() {
    let Some(found) = detections("nanodet_m_416.onnx", json!({"head": "nanodet"})) else { return };
    assert_sees_the_people(&found, PEOPLE.len() - 1);
}

#[test]
fn what_a_file_and_its_head_imply_is_shown() {
    let Some(detector) = open("light_person_192.onnx", json!({"head": "yolox", "nms_iou": 0.6})) else {
        return;
    };
    let detector = detector.unwrap();
    let shown = serde_json::to_value(detector.model()).unwrap();
    assert_eq!(
        shown["input"],
        json!({"name": "images", "width": 192, "height": 192, "layout": "nchw", "dynamic_batch": false})
    );
    assert_eq!(shown["color_order"], "bgr");
    assert_eq!(shown["resize"], "letterbox_top_left");
    assert_eq!(shown["classes"], json!(["person"]));
    assert_eq!(shown["nms_iou"], 0.6);
    assert_eq!(detector.max_batch(), 1);
}

#[test]
fn pictures_of_any_shape_are_served() {
    let Some(detector) = open("light_person_192.onnx", json!({"head": "yolox"})) else { return };
    let mut detector = detector.unwrap();
    detector.set_min_score(0.0);
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (191, 193)] {
        let picture = Picture { width, height, rgb: vec![90; (width * height * 3) as usize] };
        let input = detector.preprocessor().prepare(&picture).unwrap();
        for detection in detector.infer(&[input]).unwrap().concat() {
            let BBox { x, y, w, h } = detection.bbox;
            assert!(x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0 && x + w <= 1.0 && y + h <= 1.0);
        }
    }
    let empty = Picture { width: 0, height: 0, rgb: vec![] };
    assert!(matches!(detector.preprocessor().prepare(&empty), Err(ModelError::Picture { .. })));
}

fn mean_color(config: Value) -> Option<Result<Detector, ModelError>> {
    let config = ModelConfig::from_json(&config).unwrap();
    Some(Detector::open(&runtime()?, MEAN_COLOR, &config, &SessionOptions::default()))
}

#[test]
fn a_batch_gives_each_picture_its_own_detections() {
    let config = json!({"head": "centernet", "input_size": [100, 50], "score_threshold": 0.5});
    let Some(detector) = mean_color(config) else { return };
    let mut detector = detector.unwrap();
    assert!(detector.max_batch() > 2);
    let pictures = [[25, 50, 255], [50, 25, 204], [99, 49, 51]].map(|color: [u8; 3]| Picture {
        width: 20,
        height: 10,
        rgb: color.repeat(200),
    });
    let preprocessor = detector.preprocessor();
    let inputs = pictures.map(|picture| preprocessor.prepare(&picture).unwrap());
    let found = detector.infer(&inputs).unwrap();
    let seen = |found: &[Detection]| {
        found.iter().map(|d| (d.bbox.w, d.bbox.h, (d.confidence * 100.0).round())).collect::<Vec<_>>()
    };
    let expected = [vec![(0.25, 1.0, 100.0)], vec![(0.5, 0.5, 80.0)], vec![]];
    assert_eq!(found.iter().map(|found| seen(found)).collect::<Vec<_>>(), expected);
    let one_by_one: Vec<_> =
        inputs.into_iter().map(|input| detector.infer(&[input]).unwrap().remove(0)).collect();
    assert_eq!(found, one_by_one);
}

/// Three copies of the model whose boxes are told by a picture's colour.
fn mean_color_pool() -> Option<DetectorPool> {
    let config = json!({"head": "centernet", "input_size": [100, 50], "score_threshold": 0.5});
    let config = ModelConfig::from_json(&config).unwrap();
    let options = SessionOptions { intra_op_threads: 2, parallel_runs: 3, ..SessionOptions::default() };
    Some(DetectorPool::open(&runtime()?, MEAN_COLOR, &config, &options).unwrap())
}

/// A picture in which the model finds one box, `width` pixels of 100 wide.
fn plain_picture(width: u8) -> Vec<u8> {
    encode_png(&Picture { width: 10, height: 10, rgb: [width, 25, 255].repeat(100) }).unwrap()
}

fn detect(pool: &mut DetectorPool, pictures: &[Vec<u8>], batch_size: usize) -> Vec<Option<Outcome>> {
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    pool.detect(&pictures, batch_size, Limits::default(), || true).unwrap()
}

#[test]
fn a_pool_gives_each_picture_its_own_outcome_however_they_are_spread() {
    let Some(mut pool) = mean_color_pool() else { return };
    let mut pictures: Vec<Vec<u8>> = (1..=50).map(plain_picture).collect();
    pictures[7] = b"text".to_vec();
    pictures[20] = encode_png(&Picture { width: 1, height: 1, rgb: vec![0; 3] }).unwrap();
    for (batch_size, capacity) in [(0, 3), (1, 3), (4, 12), (64, 96)] {
        assert_eq!(pool.capacity(batch_size), capacity);
        let outcomes = detect(&mut pool, &pictures, batch_size);
        for (place, outcome) in outcomes.into_iter().enumerate() {
            match (place, outcome.unwrap()) {
                (7, Err(PrepareError::Decode(_))) | (20, Err(PrepareError::TooSmall { .. })) => {}
                (_, Ok(Seen { width: 10, height: 10, detections, .. })) => {
                    let width = (detections[0].bbox.w * 100.0).round() as usize;
                    assert_eq!((detections.len(), width), (1, place + 1));
                }
                (place, outcome) => panic!("picture {place}: {outcome:?}"),
            }
        }
    }
    assert!(detect(&mut pool, &[], 1).is_empty());
    assert!(matches!(detect(&mut pool, &pictures[7..8], 4)[..], [Some(Err(PrepareError::Decode(_)))]));
}

#[test]
fn a_pool_that_is_told_to_end_leaves_pictures_without_outcome() {
    let Some(mut pool) = mean_color_pool() else { return };
    let picture = plain_picture(7);
    let outcomes = pool.detect(&[&picture], 1, Limits::default(), || false).unwrap();
    assert!(matches!(outcomes[..], [None]));
    assert!(matches!(detect(&mut pool, &[picture], 1)[..], [Some(Ok(_))]));
}

#[test]
fn a_pool_asks_every_copy_for_the_same_detections() {
    let Some(mut pool) = mean_color_pool() else { return };
    pool.set_min_score(0.9);
    let faint = encode_png(&Picture { width: 10, height: 10, rgb: [50, 25, 204].repeat(100) }).unwrap();
    for outcome in detect(&mut pool, &vec![faint; 30], 1) {
        assert!(outcome.unwrap().unwrap().detections.is_empty());
    }
}

#[test]
fn a_pool_of_what_is_no_onnx_is_refused() {
    let Some(runtime) = runtime() else { return };
    let options = SessionOptions { parallel_runs: 2, ..SessionOptions::default() };
    let config = ModelConfig::from_json(&json!({"head": "yolox"})).unwrap();
    assert!(matches!(
        DetectorPool::open(&runtime, b"no model", &config, &options).err(),
        Some(ModelError::NotOnnx(_))
    ));
}

#[test]
fn a_tracker_may_ask_for_weak_detections() {
    let config = json!({"head": "centernet", "input_size": [100, 50], "score_threshold": 0.5});
    let Some(detector) = mean_color(config) else { return };
    let mut detector = detector.unwrap();
    let weak = Picture { width: 1, height: 1, rgb: vec![50, 25, 51] };
    let input = [detector.preprocessor().prepare(&weak).unwrap()];
    assert_eq!(detector.infer(&input).unwrap(), [vec![]]);
    detector.set_min_score(0.1);
    assert_eq!(detector.infer(&input).unwrap()[0].len(), 1);
}

#[test]
fn a_size_that_neither_file_nor_config_gives_is_asked_for() {
    let Some(outcome) = mean_color(json!({"head": "centernet"})) else { return };
    let message = outcome.err().unwrap().to_string();
    assert!(message.contains("`input_size`") && message.contains("open"), "{message}");
}

#[test]
fn a_run_takes_as_many_inputs_as_the_file_allows() {
    let Some(detector) = open("light_person_192.onnx", json!({"head": "yolox"})) else { return };
    let mut detector = detector.unwrap();
    let picture = decode(FRAME, &Limits::default()).unwrap();
    let input = detector.preprocessor().prepare(&picture).unwrap();
    assert!(matches!(detector.infer(&[]), Err(ModelError::Batch { max: 1, found: 0 })));
    assert!(matches!(detector.infer(&[input.clone(), input]), Err(ModelError::Batch { max: 1, found: 2 })));
}

#[test]
fn an_input_of_another_model_is_refused() {
    let (Some(Ok(small)), Some(Ok(mut large))) = (
        open("light_person_192.onnx", json!({"head": "yolox"})),
        open("yolox_nano_416.onnx", json!({"head": "yolox"})),
    ) else {
        return;
    };
    let picture = decode(FRAME, &Limits::default()).unwrap();
    let foreign = small.preprocessor().prepare(&picture).unwrap();
    assert!(matches!(large.infer(&[foreign]), Err(ModelError::ForeignInput { .. })));
}

#[test]
fn a_file_that_does_not_fit_its_config_is_refused_with_both_sides_named() {
    for (file, config, parts) in [
        (
            "yolox_nano_416.onnx",
            json!({"head": "nanodet"}),
            ["number of outputs", "expected 6", "found 1: output"],
        ),
        ("nanodet_m_416.onnx", json!({"head": "yolox"}), ["number of outputs", "expected 1", "found 6"]),
        ("yolox_nano_416.onnx", json!({"head": "centernet"}), ["last dimension", "expected 6", "85"]),
        (
            "yolox_nano_416.onnx",
            json!({"head": "yolox", "input_size": [640, 416]}),
            ["width of `images`", "expected 640", "found 416"],
        ),
        (
            "yolox_nano_416.onnx",
            json!({"head": "yolox", "classes": ["person", "car"]}),
            ["number of classes", "expected 2", "found 80"],
        ),
        (
            "yolox_nano_416.onnx",
            json!({"head": "yolox", "layout": "nhwc"}),
            ["number of channels", "expected 3", "found 416"],
        ),
    ] {
        let Some(outcome) = open(file, config) else { return };
        let message = outcome.err().unwrap().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn what_is_no_onnx_is_refused() {
    let Some(runtime) = runtime() else { return };
    let config = ModelConfig::from_json(&json!({"head": "yolox"})).unwrap();
    let truncated = model("light_person_192.onnx").map(|bytes| bytes[..bytes.len() / 2].to_vec());
    for bytes in [vec![], b"no model".to_vec(), FRAME.to_vec()].into_iter().chain(truncated) {
        let outcome = Detector::open(&runtime, &bytes, &config, &SessionOptions::default());
        assert!(matches!(outcome.err(), Some(ModelError::NotOnnx(_))));
    }
}

#[test]
fn an_execution_provider_that_is_not_built_in_leaves_the_work_to_the_cpu() {
    let (Some(runtime), Some(onnx)) = (runtime(), model("light_person_192.onnx")) else { return };
    let config = ModelConfig::from_json(&json!({"head": "yolox"})).unwrap();
    for asked in [ExecutionProvider::Cpu, ExecutionProvider::TensorRt, ExecutionProvider::OpenVino] {
        let options = SessionOptions { execution_provider: asked, ..SessionOptions::default() };
        let detector = Detector::open(&runtime, &onnx, &config, &options).unwrap();
        let choice = detector.provider();
        assert_eq!(choice.asked, asked);
        assert_eq!(choice.reason.is_none(), choice.serving == asked, "{choice:?}");
    }
}

#[test]
fn the_library_is_loaded_once_and_only_from_a_path_that_is_there() {
    assert!(matches!(
        Runtime::load(Path::new("libonnxruntime.so")),
        Err(RuntimeError::NotAbsolute(_) | RuntimeError::AlreadyLoaded { .. })
    ));
    let Some(runtime) = runtime() else { return };
    assert_eq!(Runtime::load(runtime.path()).unwrap().path(), runtime.path());
    let other = Runtime::load(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
    assert!(matches!(other, RuntimeError::AlreadyLoaded { .. }), "{other}");
}
