//! Colours.

use tiny_skia::Color;

/// Text and outlines on bright ground.
pub(super) const INK: Rgb = Rgb(0x12, 0x16, 0x1a);
/// Text and outlines on dark ground.
pub(super) const PAPER: Rgb = Rgb(0xff, 0xff, 0xff);
/// Secondary text on dark ground.
pub(super) const DIM: Rgb = Rgb(0xb8, 0xc2, 0xcc);
/// The `in` direction of a line.
pub(super) const IN: Rgb = Rgb(0x5b, 0xe0, 0xc0);
/// The `out` direction of a line.
pub(super) const OUT: Rgb = Rgb(0xff, 0xb4, 0x54);
/// A zone within its limit.
pub(super) const ZONE: Rgb = Rgb(0x4f, 0xc3, 0xf7);
/// A zone over its limit.
pub(super) const ALARM: Rgb = Rgb(0xe5, 0x39, 0x35);

/// Colours of tracks: those of Okabe and Ito (2008, "Color Universal Design") but black, then three of Paul Tol's
/// "light" scheme. All differ in lightness or hue for the common kinds of colour blindness.
const TRACKS: [Rgb; 10] = [
    Rgb(0x56, 0xb4, 0xe9),
    Rgb(0xe6, 0x9f, 0x00),
    Rgb(0x00, 0x9e, 0x73),
    Rgb(0xf0, 0xe4, 0x42),
    Rgb(0x00, 0x72, 0xb2),
    Rgb(0xd5, 0x5e, 0x00),
    Rgb(0xcc, 0x79, 0xa7),
    Rgb(0x99, 0xdd, 0xff),
    Rgb(0xff, 0xaa, 0xbb),
    Rgb(0xdd, 0xdd, 0xdd),
];

/// An opaque sRGB colour: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The same colour for every picture of a track; ten ids in a row all differ.
    pub fn of_track(track_id: i64) -> Self {
        TRACKS[track_id.rem_euclid(TRACKS.len() as i64) as usize]
    }

    /// This colour with an opacity in 0..=1.
    pub fn alpha(self, alpha: f32) -> Color {
        let mut color = Color::from_rgba8(self.0, self.1, self.2, 255);
        color.set_alpha(alpha);
        color
    }

    /// Whichever of [`INK`] and [`PAPER`] reads better on this colour. The threshold on relative luminance is
    /// where both have the same contrast ratio (WCAG 2.1, "contrast ratio").
    pub fn readable_ink(self) -> Rgb {
        let linear = |channel: u8| (f32::from(channel) / 255.0).powf(2.2);
        let luminance = 0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2);
        if luminance > 0.18 { INK } else { PAPER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_ids_in_a_row_differ_and_stay_the_same() {
        for first in [i64::MIN, -3, 0, 41, i64::MAX - 9] {
            let colors: Vec<Rgb> = (0..10).map(|step| Rgb::of_track(first + step)).collect();
            for (index, color) in colors.iter().enumerate() {
                assert!(!colors[index + 1..].contains(color), "{color:?} twice from id {first}");
                assert_eq!(*color, Rgb::of_track(first + index as i64));
            }
        }
    }

    #[test]
    fn text_is_dark_on_bright_colours_only() {
        assert_eq!(Rgb(0xf0, 0xe4, 0x42).readable_ink(), INK);
        assert_eq!(Rgb(0x00, 0x72, 0xb2).readable_ink(), PAPER);
    }
}
