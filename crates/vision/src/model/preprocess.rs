//! Pictures to a model's input.

use std::sync::Arc;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::{ColorOrder, Layout, ModelError, Resize, ResolvedInput, ResolvedModel};
use crate::decode::{DecodeError, Limits, Picture, decode};
use crate::geometry::BBox;
use crate::quality::ImageQuality;

/// Pixels that a picture has at least, across and down: in less nobody can be made out.
pub const SMALLEST_SIDE: u32 = 8;

/// One picture as a model takes it.
#[derive(Clone, Debug)]
pub struct Input {
    /// `width * height * 3` values of the model's input, in its layout.
    pub(super) values: Vec<f32>,
    /// Where the picture lies in the input.
    pub(super) letterbox: Letterbox,
}

/// Where a picture lies in a model's input, in pixels of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// Left edge of the picture.
    pub left: u32,
    /// Top edge of the picture.
    pub top: u32,
    /// Width of the resized picture, at least 1.
    pub width: u32,
    /// Height of the resized picture, at least 1.
    pub height: u32,
}

/// Turns pictures into inputs of one model. Cheap to clone; every thread may have its own.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    model: Arc<ResolvedModel>,
}

impl Letterbox {
    /// Places a picture of `picture` pixels in an input of `input` pixels, both width and height.
    pub fn new(resize: Resize, picture: (u32, u32), input: (u32, u32)) -> Self {
        if resize == Resize::Stretch {
            return Self { left: 0, top: 0, width: input.0, height: input.1 };
        }
        let (across, down) = (f64::from(picture.0.max(1)), f64::from(picture.1.max(1)));
        let factor = (f64::from(input.0) / across).min(f64::from(input.1) / down);
        let side = |length: f64, limit: u32| ((length * factor).round() as u32).clamp(1, limit);
        let (width, height) = (side(across, input.0), side(down, input.1));
        match resize {
            Resize::LetterboxCenter => {
                Self { left: (input.0 - width) / 2, top: (input.1 - height) / 2, width, height }
            }
            _ => Self { left: 0, top: 0, width, height },
        }
    }

    fn fills(&self, input: &ResolvedInput) -> bool {
        (self.width, self.height) == (input.width, input.height)
    }

    /// From corners (left, top, right, bottom) in pixels of the input to a normalised box, clipped to the picture.
    /// `None` where nothing of the box lies in the picture.
    pub fn to_picture(&self, corners: [f32; 4]) -> Option<BBox> {
        let x =
            |pixel: f32| ((f64::from(pixel) - f64::from(self.left)) / f64::from(self.width)).clamp(0.0, 1.0);
        let y =
            |pixel: f32| ((f64::from(pixel) - f64::from(self.top)) / f64::from(self.height)).clamp(0.0, 1.0);
        let [left, top, right, bottom] = corners;
        let bbox = BBox { x: x(left), y: y(top), w: x(right) - x(left), h: y(bottom) - y(top) };
        (bbox.w > 0.0 && bbox.h > 0.0).then_some(bbox)
    }
}

impl Preprocessor {
    pub(super) fn new(model: Arc<ResolvedModel>) -> Self {
        Self { model }
    }

    /// Resizes, pads and normalises a picture.
    ///
    /// # Errors
    /// A picture without pixels, or whose `rgb` does not fit its dimensions.
    pub fn prepare(&self, picture: &Picture) -> Result<Input, ModelError> {
        let size = (self.model.input.width, self.model.input.height);
        let letterbox = Letterbox::new(self.model.resize, (picture.width, picture.height), size);
        let resized = resize(picture, letterbox.width, letterbox.height)?;
        let values = match self.model.input.layout {
            Layout::Nchw => self.planes(&resized, &letterbox),
            Layout::Nhwc => self.interleaved(&resized, &letterbox),
        };
        Ok(Input { values, letterbox })
    }

    /// Decodes a JPEG or PNG picture, and resizes, pads and normalises it.
    ///
    /// # Errors
    /// A picture that cannot be decoded, or in which nobody can be made out.
    pub fn prepare_encoded(&self, picture: &[u8], limits: &Limits) -> Result<Prepared, PrepareError> {
        let picture = decode(picture, limits)?;
        let Picture { width, height, .. } = picture;
        if width.min(height) < SMALLEST_SIDE {
            return Err(PrepareError::TooSmall { width, height });
        }
        Ok(Prepared { width, height, quality: ImageQuality::of(&picture), input: self.prepare(&picture)? })
    }

    /// Factor and offset of each of the model's channels: `pixel * factor + offset`.
    fn affine(&self) -> [(f32, f32); 3] {
        let ResolvedModel { scale, mean, std, .. } = &*self.model;
        std::array::from_fn(|channel| (scale / std[channel], -mean[channel] / std[channel]))
    }

    /// Which of R, G, B each of the model's channels takes.
    fn source_channels(&self) -> [usize; 3] {
        match self.model.color_order {
            ColorOrder::Rgb => [0, 1, 2],
            ColorOrder::Bgr => [2, 1, 0],
        }
    }

    fn planes(&self, rgb: &[u8], letterbox: &Letterbox) -> Vec<f32> {
        let (width, height) = (self.model.input.width as usize, self.model.input.height as usize);
        let (affine, sources) = (self.affine(), self.source_channels());
        let mut values = Vec::with_capacity(width * height * 3);
        for (&(factor, offset), &source) in affine.iter().zip(&sources) {
            let plane = values.len();
            values.resize(plane + width * height, f32::from(self.model.pad_value) * factor + offset);
            let rows = values[plane..].chunks_exact_mut(width).skip(letterbox.top as usize);
            for (row, bytes) in rows.zip(rgb.chunks_exact(letterbox.width as usize * 3)) {
                let row = &mut row[letterbox.left as usize..];
                for (value, pixel) in row.iter_mut().zip(bytes.as_chunks::<3>().0) {
                    *value = f32::from(pixel[source]) * factor + offset;
                }
            }
        }
        values
    }

    fn interleaved(&self, rgb: &[u8], letterbox: &Letterbox) -> Vec<f32> {
        let (width, height) = (self.model.input.width as usize, self.model.input.height as usize);
        let (affine, sources) = (self.affine(), self.source_channels());
        let mut values = vec![0.0; width * height * 3];
        if !letterbox.fills(&self.model.input) {
            let pad = affine.map(|(factor, offset)| f32::from(self.model.pad_value) * factor + offset);
            values.as_chunks_mut::<3>().0.fill(pad);
        }
        let (factor, offset) = affine[0];
        let is_uniform = sources == [0, 1, 2] && affine == [affine[0]; 3];
        let rows = values.chunks_exact_mut(width * 3).skip(letterbox.top as usize);
        for (row, bytes) in rows.zip(rgb.chunks_exact(letterbox.width as usize * 3)) {
            let row = &mut row[letterbox.left as usize * 3..];
            if is_uniform {
                // One loop over bytes is vectorised; one over pixels is not.
                for (value, &byte) in row.iter_mut().zip(bytes) {
                    *value = f32::from(byte) * factor + offset;
                }
                continue;
            }
            for (value, pixel) in row.as_chunks_mut::<3>().0.iter_mut().zip(bytes.as_chunks::<3>().0) {
                *value = std::array::from_fn(|channel| {
                    let (factor, offset) = affine[channel];
                    f32::from(pixel[sources[channel]]) * factor + offset
                });
            }
        }
        values
    }
}

/// A picture decoded and made ready for a model.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Width of the picture, in pixels.
    pub width: u32,
    /// Height of the picture, in pixels.
    pub height: u32,
    /// How good the picture is.
    pub quality: Option<ImageQuality>,
    /// What the model takes.
    pub input: Input,
}

/// Why a picture cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Nobody can be made out in it.
    #[error("the image has {width}x{height} pixels: at least {SMALLEST_SIDE} are needed each way")]
    TooSmall {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It cannot be resized.
    #[error(transparent)]
    Resize(#[from] ModelError),
}

/// Bilinear, sampling two by two pixels like OpenCV's `INTER_LINEAR`, with which these detectors were trained.
fn resize(picture: &Picture, width: u32, height: u32) -> Result<Vec<u8>, ModelError> {
    let Picture { width: across, height: down, rgb } = picture;
    let unusable = || ModelError::Picture { width: *across, height: *down, bytes: rgb.len() };
    if rgb.is_empty() || rgb.len() as u64 != u64::from(*across) * u64::from(*down) * 3 {
        return Err(unusable());
    }
    let source = TypedImageRef::<U8x3>::from_buffer(*across, *down, rgb).map_err(|_| unusable())?;
    let mut bytes = vec![0; width as usize * height as usize * 3];
    let mut resized = TypedImage::from_buffer(width, height, &mut bytes).map_err(|_| unusable())?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear));
    // The untyped `resize` compiles every pixel type into this crate: minutes.
    Resizer::new().resize_typed::<U8x3>(&source, &mut resized, &options).map_err(|_| unusable())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::encode_png;
    use crate::model::{HeadKind, ModelConfig};

    fn preprocessor(config: ModelConfig, width: u32, height: u32, layout: Layout) -> Preprocessor {
        let input = ResolvedInput { name: "images".to_owned(), width, height, layout, dynamic_batch: false };
        Preprocessor::new(Arc::new(config.resolve(input, Some(80)).unwrap()))
    }

    fn plain(width: u32, height: u32, pixel: [u8; 3]) -> Picture {
        Picture { width, height, rgb: pixel.repeat((width * height) as usize) }
    }

    #[test]
    fn yolox_takes_planes_of_blue_green_red_with_grey_below() {
        let preprocessor = preprocessor(ModelConfig::new(HeadKind::Yolox), 4, 4, Layout::Nchw);
        let input = preprocessor.prepare(&plain(8, 4, [10, 20, 30])).unwrap();
        let plane = |value: f32| [[value; 8], [114.0; 8]].concat();
        assert_eq!(input.values, [plane(30.0), plane(20.0), plane(10.0)].concat());
    }

    #[test]
    fn centernet_takes_stretched_red_green_blue_pixels() {
        let preprocessor = preprocessor(ModelConfig::new(HeadKind::CenterNet), 4, 2, Layout::Nhwc);
        let input = preprocessor.prepare(&plain(9, 9, [10, 20, 30])).unwrap();
        assert_eq!(input.values, [10.0, 20.0, 30.0].repeat(8));
    }

    #[test]
    fn a_centred_letterbox_has_borders_on_both_sides() {
        let config = ModelConfig { scale: Some(1.0), ..ModelConfig::new(HeadKind::Yolov8) };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let input = preprocessor(config.clone(), 4, 4, layout).prepare(&plain(2, 4, [7, 7, 7])).unwrap();
            let row = [114.0, 7.0, 7.0, 114.0];
            let expected = match layout {
                Layout::Nchw => row.repeat(12),
                Layout::Nhwc => row.map(|value| [value; 3]).concat().repeat(4),
            };
            assert_eq!(input.values, expected);
        }
    }

    #[test]
    fn values_are_scaled_then_normalised_by_channel() {
        let config = ModelConfig {
            scale: Some(0.5),
            mean: Some([1.0, 2.0, 3.0]),
            std: Some([2.0, 4.0, 8.0]),
            color_order: Some(ColorOrder::Bgr),
            ..ModelConfig::new(HeadKind::CenterNet)
        };
        let input = preprocessor(config, 1, 1, Layout::Nhwc).prepare(&plain(1, 1, [10, 20, 30])).unwrap();
        assert_eq!(input.values, [(15.0 - 1.0) / 2.0, (10.0 - 2.0) / 4.0, (5.0 - 3.0) / 8.0]);
    }

    #[test]
    fn a_box_outside_the_picture_is_none_and_one_across_its_edge_is_clipped() {
        let letterbox = Letterbox { left: 0, top: 10, width: 100, height: 50 };
        assert_eq!(letterbox.to_picture([0.0, 62.0, 10.0, 90.0]), None);
        assert_eq!(letterbox.to_picture([f32::NAN, 20.0, 10.0, 30.0]), None);
        let clipped = letterbox.to_picture([-20.0, 0.0, 50.0, 35.0]).unwrap();
        assert_eq!(clipped, BBox { x: 0.0, y: 0.0, w: 0.5, h: 0.5 });
    }

    #[test]
    fn a_picture_that_is_none_or_too_small_is_refused() {
        let preprocessor = preprocessor(ModelConfig::new(HeadKind::CenterNet), 4, 2, Layout::Nhwc);
        let prepare = |picture: &[u8]| preprocessor.prepare_encoded(picture, &Limits::default());
        let png = |side| encode_png(&plain(side, side, [10, 20, 30])).unwrap();
        let Prepared { width, height, input, .. } = prepare(&png(9)).unwrap();
        assert_eq!((width, height, input.values), (9, 9, [10.0, 20.0, 30.0].repeat(8)));
        assert!(matches!(prepare(&png(7)), Err(PrepareError::TooSmall { width: 7, height: 7 })));
        assert!(matches!(prepare(b"text"), Err(PrepareError::Decode(DecodeError::NotAnImage { .. }))));
    }

    proptest! {
        #[test]
        fn what_goes_into_the_letterbox_comes_out_where_it_was(
            picture in (1u32..3000, 1u32..3000),
            resize in prop::sample::select(vec![Resize::Stretch, Resize::LetterboxTopLeft, Resize::LetterboxCenter]),
            (x, y) in (0.0f64..0.9, 0.0f64..0.9),
        ) {
            let letterbox = Letterbox::new(resize, picture, (416, 320));
            prop_assert!(letterbox.width >= 1 && letterbox.height >= 1);
            prop_assert!(letterbox.left + letterbox.width <= 416 && letterbox.top + letterbox.height <= 320);
            let across = |x: f64| (f64::from(letterbox.left) + x * f64::from(letterbox.width)) as f32;
            let down = |y: f64| (f64::from(letterbox.top) + y * f64::from(letterbox.height)) as f32;
            let back = letterbox.to_picture([across(x), down(y), across(x + 0.1), down(y + 0.1)]).unwrap();
            for (found, expected) in [(back.x, x), (back.y, y), (back.w, 0.1), (back.h, 0.1)] {
                prop_assert!((found - expected).abs() < 1e-3, "{} {}", found, expected);
            }
        }
    }
}
