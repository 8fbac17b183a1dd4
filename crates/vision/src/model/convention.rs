//! How each family of detectors was trained to see pictures.

use super::{ColorOrder, HeadKind, Layout, Resize};

/// What a head's published training code does to its pictures, and a threshold that suits its scores.
pub(super) struct Convention {
    pub layout: Layout,
    pub color_order: ColorOrder,
    pub resize: Resize,
    pub pad_value: u8,
    pub scale: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub score_threshold: f64,
}

impl Convention {
    pub const fn of(head: HeadKind) -> Self {
        let plain = Self {
            layout: Layout::Nchw,
            color_order: ColorOrder::Rgb,
            resize: Resize::Stretch,
            pad_value: 114,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            score_threshold: 0.4,
        };
        match head {
            HeadKind::CenterNet => Self { layout: Layout::Nhwc, ..plain },
            HeadKind::Yolox => Self {
                color_order: ColorOrder::Bgr,
                resize: Resize::LetterboxTopLeft,
                score_threshold: 0.5,
                ..plain
            },
            // ImageNet's mean and deviation, in BGR. The letterbox in the top left finds more people than one in the
            // centre, or a stretched picture.
            HeadKind::NanoDet => Self {
                resize: Resize::LetterboxTopLeft,
                score_threshold: 0.45,
                color_order: ColorOrder::Bgr,
                mean: [103.53, 116.28, 123.675],
                std: [57.375, 57.12, 58.395],
                ..plain
            },
            HeadKind::Yolov8 => Self { resize: Resize::LetterboxCenter, scale: 1.0 / 255.0, ..plain },
        }
    }
}
