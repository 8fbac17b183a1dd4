//! What a user says about a model, and what follows from it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::convention::Convention;
use super::file::{ModelFile, Port};
use super::{ModelError, classes};

/// What is registered beside the bytes of an ONNX file. Only `head` is required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// What the outputs mean, and the conventions that come with it.
    pub head: HeadKind,
    /// Width and height of the input in pixels; needed only where the file leaves them open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_size: Option<[u32; 2]>,
    /// Order of the input's dimensions; needed only where the file leaves the channels open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Order of the channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color_order: Option<ColorOrder>,
    /// How a picture is brought to the input's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Grey level of a letterbox's borders, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_value: Option<u8>,
    /// An input value is `(pixel * scale - mean) / std`, with pixels 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// One for each channel, in the model's order of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f32; 3]>,
    /// One for each channel, in the model's order of channels; above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<[f32; 3]>,
    /// Names of the classes in the model's order. Default: the 80 of COCO, or `person` for a file of one class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The score, 0 to 1, from which a detection counts as certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_threshold: Option<f64>,
    /// Of two boxes of one class whose intersection over union exceeds this, 0 to 1, the better is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nms_iou: Option<f64>,
}

/// A family of detectors whose outputs are read in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadKind {
    /// Decoded boxes `[N, K, 6]`: x1, y1, x2, y2, score, class, in pixels of the input.
    CenterNet,
    /// Raw grid `[N, A, 5 + classes]` with strides 8, 16, 32.
    Yolox,
    /// Three class scores `[N, A, classes]`, three distance distributions `[N, A, 32]`, strides 8, 16, 32.
    NanoDet,
    /// Decoded boxes `[N, 4 + classes, A]` or transposed: cx, cy, w, h in pixels of the input, class scores.
    Yolov8,
}

/// Order of an input's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, rows, columns.
    Nchw,
    /// Batch, rows, columns, channels.
    Nhwc,
}

/// Order of an input's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV has it.
    Bgr,
}

/// How a picture is brought to the input's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Each axis by its own factor.
    Stretch,
    /// One factor for both axes; the picture in the top left, borders right or below.
    LetterboxTopLeft,
    /// One factor for both axes; borders on both sides.
    LetterboxCenter,
}

/// A config with every default filled in from the head's convention and from the ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResolvedModel {
    /// What the outputs mean.
    pub head: HeadKind,
    /// The tensor that the model takes.
    pub input: ResolvedInput,
    /// Order of the channels.
    pub color_order: ColorOrder,
    /// How a picture is brought to the input's size.
    pub resize: Resize,
    /// Grey level of a letterbox's borders.
    pub pad_value: u8,
    /// An input value is `(pixel * scale - mean) / std`.
    pub scale: f32,
    /// One for each channel, in the model's order.
    pub mean: [f32; 3],
    /// One for each channel, in the model's order.
    pub std: [f32; 3],
    /// Names of the classes.
    pub classes: Vec<Arc<str>>,
    /// The score from which a detection counts as certain.
    pub score_threshold: f64,
    /// Largest overlap that two detections of one class may have.
    pub nms_iou: f64,
}

/// The tensor that a model takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedInput {
    /// Its name in the file.
    pub name: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Order of its dimensions.
    pub layout: Layout,
    /// Whether one run takes several pictures.
    pub dynamic_batch: bool,
}

/// Inputs larger than this are a mistake, not a detector: 4096 × 4096 pixels take 200 MB each.
const MAX_SIDE: u32 = 4096;

impl ModelConfig {
    /// The conventions of a head, nothing overridden.
    pub fn new(head: HeadKind) -> Self {
        Self {
            head,
            input_size: None,
            layout: None,
            color_order: None,
            resize: None,
            pad_value: None,
            scale: None,
            mean: None,
            std: None,
            classes: None,
            score_threshold: None,
            nms_iou: None,
        }
    }

    /// Reads a config and checks every range.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type or out of range; the error names the key.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let config: Self = serde_path_to_error::deserialize(config)
            .map_err(|error| ModelError::config(&error.path().to_string(), error.inner().to_string()))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ModelError> {
        let check = |key: &str, holds: bool, rule: &str| {
            if holds { Ok(()) } else { Err(ModelError::config(key, rule)) }
        };
        let is_side = |side: &u32| (1..=MAX_SIDE).contains(side);
        let is_fraction = |value: f64| (0.0..=1.0).contains(&value);
        check(
            "input_size",
            self.input_size.is_none_or(|size| size.iter().all(is_side)),
            "width and height must be 1 to 4096 pixels",
        )?;
        check(
            "scale",
            self.scale.is_none_or(|scale| scale.is_finite() && scale > 0.0),
            "must be a number above 0",
        )?;
        check("mean", self.mean.is_none_or(|mean| mean.iter().all(|m| m.is_finite())), "must be finite")?;
        check(
            "std",
            self.std.is_none_or(|std| std.iter().all(|s| s.is_finite() && *s > 0.0)),
            "must be three numbers above 0",
        )?;
        check(
            "classes",
            self.classes
                .as_ref()
                .is_none_or(|names| !names.is_empty() && names.iter().all(|n| !n.is_empty())),
            "must be a list of one name or more, none of them empty",
        )?;
        check("score_threshold", self.score_threshold.is_none_or(is_fraction), "must be between 0 and 1")?;
        check("nms_iou", self.nms_iou.is_none_or(is_fraction), "must be between 0 and 1")
    }

    /// Fills in what the config leaves open for a file whose head has `class_count` classes (`None`: the file does
    /// not say).
    ///
    /// # Errors
    /// A value out of range, or a number of names that differs from the number of classes.
    pub(super) fn resolve(
        &self,
        input: ResolvedInput,
        class_count: Option<usize>,
    ) -> Result<ResolvedModel, ModelError> {
        let convention = Convention::of(self.head);
        Ok(ResolvedModel {
            head: self.head,
            input,
            color_order: self.color_order.unwrap_or(convention.color_order),
            resize: self.resize.unwrap_or(convention.resize),
            pad_value: self.pad_value.unwrap_or(convention.pad_value),
            scale: self.scale.unwrap_or(convention.scale),
            mean: self.mean.unwrap_or(convention.mean),
            std: self.std.unwrap_or(convention.std),
            classes: self.class_names(class_count)?,
            score_threshold: self.score_threshold.unwrap_or(convention.score_threshold),
            nms_iou: self.nms_iou.unwrap_or(0.45),
        })
    }

    fn class_names(&self, class_count: Option<usize>) -> Result<Vec<Arc<str>>, ModelError> {
        match (&self.classes, class_count) {
            (Some(names), Some(count)) if names.len() != count => Err(ModelError::mismatch(
                "number of classes",
                format!("{} as the config's `classes` names", names.len()),
                count.to_string(),
            )),
            (Some(names), _) => Ok(names.iter().map(|name| Arc::from(name.as_str())).collect()),
            (None, count) => {
                let count = count.unwrap_or(classes::COCO.len());
                let names = classes::defaults(count).ok_or_else(|| {
                    ModelError::config("classes", format!("the file has {count} classes: name them here"))
                })?;
                Ok(names.iter().map(|&name| Arc::from(name)).collect())
            }
        }
    }

    /// Reads the file's only input and holds it against the config.
    ///
    /// # Errors
    /// A value of the config out of range, or a file whose input is not one batch of pictures of three channels.
    pub(super) fn resolve_input(&self, file: &ModelFile) -> Result<ResolvedInput, ModelError> {
        self.validate()?;
        let [port] = file.inputs.as_slice() else {
            let names: Vec<String> = file.inputs.iter().map(ToString::to_string).collect();
            let found = format!("{}: {}", names.len(), names.join(", "));
            return Err(ModelError::mismatch("number of inputs", "1", found));
        };
        let dims =
            port.ranked::<4>("4 dimensions, [batch, 3, height, width] or [batch, height, width, 3]")?;
        let layout = self.layout_of(port, dims)?;
        let (height, width) = match layout {
            Layout::Nchw => (dims[2], dims[3]),
            Layout::Nhwc => (dims[1], dims[2]),
        };
        if let Some(batch) = dims[0] {
            port.expect_dim("batch size", Some(batch), 1)?;
        }
        Ok(ResolvedInput {
            name: port.name.clone(),
            width: self.side(port, "width", width, 0)?,
            height: self.side(port, "height", height, 1)?,
            layout,
            dynamic_batch: dims[0].is_none(),
        })
    }

    fn layout_of(&self, port: &Port, dims: [Option<usize>; 4]) -> Result<Layout, ModelError> {
        let guess = match (dims[1], dims[3]) {
            (Some(3), _) => Layout::Nchw,
            (_, Some(3)) => Layout::Nhwc,
            _ => Convention::of(self.head).layout,
        };
        let layout = self.layout.unwrap_or(guess);
        let channels = match layout {
            Layout::Nchw => dims[1],
            Layout::Nhwc => dims[3],
        };
        port.expect_dim("number of channels", channels, 3)?;
        Ok(layout)
    }

    fn side(&self, port: &Port, what: &str, in_file: Option<usize>, index: usize) -> Result<u32, ModelError> {
        let wanted = self.input_size.map(|size| size[index]);
        if let Some(wanted) = wanted {
            port.expect_dim(what, in_file, wanted as usize)?;
            return Ok(wanted);
        }
        let side = in_file.ok_or_else(|| {
            ModelError::config("input_size", format!("the file leaves the {what} open: give [width, height]"))
        })?;
        u32::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side)).ok_or_else(|| {
            ModelError::mismatch(format!("{what} of `{}`", port.name), "1 to 4096 pixels", side.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(dims: &[usize]) -> ModelFile {
        let dims = dims.iter().map(|&dim| (dim > 0).then_some(dim)).collect();
        ModelFile { inputs: vec![Port { name: "images".to_owned(), dims }], outputs: vec![] }
    }

    fn resolve_input(config: serde_json::Value, dims: &[usize]) -> Result<ResolvedInput, ModelError> {
        ModelConfig::from_json(&config)?.resolve_input(&file(dims))
    }

    #[test]
    fn a_bad_key_or_value_is_named() {
        for (config, key) in [
            (json!({"head": "yolox", "input_sise": [1, 1]}), "input_sise"),
            (json!({"head": "yolo"}), "`head`"),
            (json!({}), "head"),
            (json!({"head": "yolox", "score_threshold": 1.5}), "score_threshold"),
            (json!({"head": "yolox", "score_threshold": "high"}), "score_threshold"),
            (json!({"head": "yolox", "nms_iou": -0.1}), "nms_iou"),
            (json!({"head": "yolox", "pad_value": 256}), "pad_value"),
            (json!({"head": "yolox", "std": [1, 0, 1]}), "std"),
            (json!({"head": "yolox", "mean": [1, 2]}), "mean"),
            (json!({"head": "yolox", "scale": 0}), "scale"),
            (json!({"head": "yolox", "classes": []}), "classes"),
            (json!({"head": "yolox", "classes": ["a", 1]}), "classes[1]"),
            (json!({"head": "yolox", "input_size": [0, 416]}), "input_size"),
            (json!({"head": "yolox", "input_size": [416, 100_000]}), "input_size"),
            (json!({"head": "yolox", "resize": "crop"}), "resize"),
        ] {
            let message = ModelConfig::from_json(&config).unwrap_err().to_string();
            assert!(message.contains(key), "{config}: {message}");
        }
    }

    #[test]
    fn the_file_decides_size_layout_and_batch() {
        let input = resolve_input(json!({"head": "yolox"}), &[1, 3, 320, 416]).unwrap();
        assert_eq!((input.width, input.height, input.layout), (416, 320, Layout::Nchw));
        assert!(!input.dynamic_batch);
        let input = resolve_input(json!({"head": "yolox"}), &[0, 320, 416, 3]).unwrap();
        assert_eq!((input.width, input.height, input.layout), (416, 320, Layout::Nhwc));
        assert!(input.dynamic_batch);
    }

    #[test]
    fn what_the_file_leaves_open_comes_from_the_config() {
        let open = [0, 3, 0, 0];
        let message = resolve_input(json!({"head": "yolov8"}), &open).unwrap_err().to_string();
        assert!(message.contains("input_size") && message.contains("width"), "{message}");
        let input = resolve_input(json!({"head": "yolov8", "input_size": [640, 384]}), &open).unwrap();
        assert_eq!((input.width, input.height), (640, 384));
        let input =
            resolve_input(json!({"head": "centernet", "input_size": [64, 64]}), &[0, 0, 0, 0]).unwrap();
        assert_eq!(input.layout, Layout::Nhwc);
    }

    #[test]
    fn a_file_that_takes_no_pictures_is_refused() {
        for (dims, part) in [
            (&[1, 1, 64, 64][..], "number of channels"),
            (&[1, 3, 64], "rank"),
            (&[4, 3, 64, 64], "batch size"),
            (&[1, 3, 8192, 64], "1 to 4096"),
        ] {
            let message = resolve_input(json!({"head": "yolox"}), dims).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn class_names_fit_the_number_of_classes() {
        let config = ModelConfig::new(HeadKind::Yolox);
        assert_eq!(config.class_names(Some(1)).unwrap(), [Arc::from("person")]);
        assert_eq!(config.class_names(Some(80)).unwrap()[79], Arc::from("toothbrush"));
        assert_eq!(config.class_names(None).unwrap().len(), 80);
        let message = config.class_names(Some(3)).unwrap_err().to_string();
        assert!(message.contains("`classes`") && message.contains("3 classes"), "{message}");
    }
}
