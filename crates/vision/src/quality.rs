//! How good a picture is, and whether a camera still sends new ones.

use serde::Serialize;

use crate::decode::Picture;
use crate::geometry::Timestamp;

/// Samples across and down at most; each looks at a pixel and its four neighbours.
const GRID: [u32; 2] = [128, 96];

/// A Laplacian's variance at which a picture is taken to be half sharp: the field's usual border to a blurred one.
const HALF_SHARP: f64 = 100.0;

/// Luma below and above which a pixel holds no detail, of 255.
const BLACK: f64 = 8.0;
const WHITE: f64 = 247.0;

/// Mean brightness from which on, and up to 1 minus which, a picture is well exposed.
const WELL_LIT: f64 = 0.2;

/// A camera whose picture has not changed by a single sample for so long is frozen, in microseconds of frame time. Even
/// of an empty room no two pictures are the same: a sensor has noise.
const FROZEN_AFTER: i64 = 5_000_000;

/// Figures of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImageQuality {
    /// Variance of the luma's Laplacian, from 0: below about 100 a picture is blurred. Pech-Pacheco et al., "Diatom
    /// autofocusing in brightfield microscopy: a comparative study", 2000.
    pub sharpness: f64,
    /// Mean luma, 0 (black) to 1 (white).
    pub brightness: f64,
    /// Share of the picture that is as good as black or white, 0 to 1.
    pub clipped: f64,
    /// Checksum of the samples: the same for the same picture.
    pub fingerprint: u32,
}

impl ImageQuality {
    /// Measures a picture; one of less than 3 pixels across or down, or of another length than its size says, has no
    /// figures.
    pub fn of(picture: &Picture) -> Option<Self> {
        let Picture { width, height, ref rgb } = *picture;
        if width < 3 || height < 3 || rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return None;
        }
        let (mut sum, mut clipped, mut edges, mut squares) = (0.0, 0.0, 0.0, 0.0);
        let mut hasher = crc32fast::Hasher::new();
        let [columns, rows] = [GRID[0].min(width - 2), GRID[1].min(height - 2)];
        for y in (0..rows).map(|row| 1 + row * (height - 2) / rows) {
            for x in (0..columns).map(|column| 1 + column * (width - 2) / columns) {
                let center = luma(picture, x, y);
                let around = luma(picture, x - 1, y)
                    + luma(picture, x + 1, y)
                    + luma(picture, x, y - 1)
                    + luma(picture, x, y + 1);
                let laplacian = around - 4.0 * center;
                sum += center;
                clipped += f64::from(u8::from(!(BLACK..=WHITE).contains(&center)));
                edges += laplacian;
                squares += laplacian * laplacian;
                hasher.update(&center.to_le_bytes());
            }
        }
        let count = f64::from(columns * rows);
        Some(Self {
            sharpness: (squares / count - (edges / count).powi(2)).max(0.0),
            brightness: sum / count / 255.0,
            clipped: clipped / count,
            fingerprint: hasher.finalize(),
        })
    }

    /// Sharpness and exposure in one figure, 0 (of no use) to 100. A sharp, well exposed picture has 80 and more.
    pub fn score(&self) -> f64 {
        let sharp = self.sharpness / (self.sharpness + HALF_SHARP);
        let lit = (self.brightness.min(1.0 - self.brightness) / WELL_LIT).clamp(0.0, 1.0);
        100.0 * sharp * lit * (1.0 - self.clipped)
    }
}

/// Luma of ITU-R BT.601, 0 to 255. The pixel lies in the picture.
fn luma(picture: &Picture, x: u32, y: u32) -> f64 {
    let place = (y as usize * picture.width as usize + x as usize) * 3;
    let [red, green, blue] = [0, 1, 2].map(|channel| f64::from(picture.rgb[place + channel]));
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// Since when a stream has shown the same picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stillness {
    /// [`ImageQuality::fingerprint`] of the picture.
    pub fingerprint: u32,
    /// Time of the first frame that showed it.
    pub since: Timestamp,
}

impl Stillness {
    /// After one more picture.
    #[must_use]
    pub fn next(before: Option<Self>, fingerprint: u32, taken_at: Timestamp) -> Self {
        match before {
            Some(before) if before.fingerprint == fingerprint => before,
            _ => Self { fingerprint, since: taken_at },
        }
    }

    /// Whether the camera is frozen as of a frame's time.
    pub fn is_frozen(&self, as_of: Timestamp) -> bool {
        as_of.0.saturating_sub(self.since.0) >= FROZEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::{Limits, decode};

    const FRAME: &[u8] = include_bytes!("../tests/data/vtest_300.jpg");

    fn frame() -> Picture {
        decode(FRAME, &Limits::default()).unwrap()
    }

    /// Each pixel the mean of a square about it.
    fn blurred(picture: &Picture, radius: i64) -> Picture {
        let (width, height) = (i64::from(picture.width), i64::from(picture.height));
        let mean = |x: i64, y: i64, channel: i64| {
            let around = (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)));
            let values: Vec<u32> = around
                .map(|(dx, dy)| ((x + dx).clamp(0, width - 1), (y + dy).clamp(0, height - 1)))
                .map(|(x, y)| u32::from(picture.rgb[((y * width + x) * 3 + channel) as usize]))
                .collect();
            (values.iter().sum::<u32>() / values.len() as u32) as u8
        };
        let rgb = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |channel| (x, y, channel))))
            .map(|(x, y, channel)| mean(x, y, channel));
        Picture { rgb: rgb.collect(), ..*picture }
    }

    fn lit(picture: &Picture, factor: f64) -> Picture {
        Picture {
            rgb: picture.rgb.iter().map(|&value| (f64::from(value) * factor) as u8).collect(),
            ..*picture
        }
    }

    fn score(picture: &Picture) -> f64 {
        ImageQuality::of(picture).unwrap().score()
    }

    #[test]
    fn a_real_frame_is_good_and_worse_when_blurred_dark_or_too_bright() {
        let frame = frame();
        let good = score(&frame);
        assert!(good > 80.0, "{good}");
        let [softer, soft] = [1, 3].map(|radius| score(&blurred(&frame, radius)));
        assert!(softer < 0.9 * good && soft < 0.3 * good, "{good} {softer} {soft}");
        assert!(score(&lit(&frame, 0.05)) < 0.1 * good);
        assert!(score(&lit(&frame, 8.0)) < 0.3 * good);
    }

    #[test]
    fn a_plain_picture_has_brightness_and_no_sharpness() {
        for (value, brightness, clipped) in [(0, 0.0, 1.0), (255, 1.0, 1.0), (51, 0.2, 0.0)] {
            let quality =
                ImageQuality::of(&Picture { width: 40, height: 30, rgb: vec![value; 3600] }).unwrap();
            assert!((quality.brightness - brightness).abs() < 1e-9 && quality.sharpness < 1e-9);
            assert_eq!((quality.clipped, quality.score() < 1e-9), (clipped, true));
        }
        assert_eq!(ImageQuality::of(&Picture { width: 2, height: 9, rgb: vec![9; 54] }), None);
    }

    #[test]
    fn one_changed_value_is_another_picture() {
        let mut picture = frame();
        let before = ImageQuality::of(&picture).unwrap();
        assert_eq!(ImageQuality::of(&picture), Some(before));
        let place = (picture.width as usize + 1) * 3;
        picture.rgb[place] ^= 1;
        assert_ne!(ImageQuality::of(&picture).unwrap().fingerprint, before.fingerprint);
    }

    #[test]
    fn a_camera_is_frozen_when_nothing_has_changed_for_five_seconds() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let first = Stillness::next(None, 7, at(10));
        let same = Stillness::next(Some(first), 7, at(14));
        assert_eq!(same, first);
        assert!(!same.is_frozen(at(14)) && same.is_frozen(at(15)));
        assert_eq!(Stillness::next(Some(same), 8, at(16)), Stillness { fingerprint: 8, since: at(16) });
    }

    proptest! {
        #[test]
        fn figures_stay_in_their_ranges(
            (width, height) in (3u32..20, 3u32..20),
            rgb in prop::collection::vec(any::<u8>(), 1200),
        ) {
            let rgb = rgb[..(width * height * 3) as usize].to_vec();
            let quality = ImageQuality::of(&Picture { width, height, rgb }).unwrap();
            prop_assert!(quality.sharpness >= 0.0 && (0.0..=1.0).contains(&quality.brightness));
            prop_assert!((0.0..=1.0).contains(&quality.clipped) && (0.0..=100.0).contains(&quality.score()));
        }
    }
}
