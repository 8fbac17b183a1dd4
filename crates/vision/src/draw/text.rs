//! Words to positioned glyphs.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, ScaleFont};
use unicode_normalization::UnicodeNormalization;

/// The longest text looked at, in characters: longer names are cut before any work is spent on them.
const MAX_CHARS: usize = 200;

/// DejaVu Sans Condensed Bold, compiled in: it covers Latin with Vietnamese, Greek and Cyrillic, and stays legible
/// at small sizes. Other scripts show as boxes.
static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans_condensed::bold()).ok());

/// The font, `None` only if the compiled-in file were damaged.
pub(super) fn font() -> Option<&'static FontRef<'static>> {
    FONT.as_ref()
}

/// One line of text, laid out from x = 0 with its top at y = 0.
pub(super) struct TextLine {
    pub glyphs: Vec<Glyph>,
    /// Pixels across.
    pub width: f32,
}

impl TextLine {
    /// Lays out `text` with lines of `height` pixels, cut with an ellipsis where it is wider than `max_width`.
    pub fn new(text: &str, height: f32, max_width: f32) -> Self {
        let printable: String = printable(text);
        let whole = lay_out(printable.chars(), height);
        if whole.width <= max_width {
            return whole;
        }
        let mut kept: Vec<char> = printable.chars().collect();
        // Each round drops at least one character; the estimate makes a second round rare.
        loop {
            let shown = lay_out(kept.iter().copied().chain(['…']), height);
            if shown.width <= max_width || kept.is_empty() {
                return shown;
            }
            let fitting = (kept.len() as f32 * max_width / shown.width) as usize;
            kept.truncate(fitting.min(kept.len() - 1));
        }
    }
}

/// Composed (the font has no positions for separate accents), cut to [`MAX_CHARS`], on one line.
fn printable(text: &str) -> String {
    let composed = text.chars().take(MAX_CHARS).nfc();
    composed.map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect()
}

fn lay_out(chars: impl Iterator<Item = char>, height: f32) -> TextLine {
    let mut line = TextLine { glyphs: Vec::new(), width: 0.0 };
    let Some(font) = font() else { return line };
    let font = font.as_scaled(height);
    for c in chars {
        let mut glyph = font.scaled_glyph(c);
        if let Some(previous) = line.glyphs.last() {
            line.width += font.kern(previous.id, glyph.id);
        }
        glyph.position = ab_glyph::point(line.width, font.ascent());
        line.width += font.h_advance(glyph.id);
        line.glyphs.push(glyph);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_every_vietnamese_letter() {
        let font = font().expect("the compiled-in font parses");
        let letters = "ăâđêôơưĂÂĐÊÔƠƯàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ…·×";
        for letter in letters.chars() {
            assert_ne!(font.glyph_id(letter).0, 0, "{letter} has no glyph");
        }
    }

    #[test]
    fn separate_accents_are_composed() {
        let glyphs = |text| TextLine::new(text, 15.0, 1e6).glyphs;
        assert_eq!(glyphs("Cửa chính"), glyphs(&"Cửa chính".nfd().collect::<String>()));
    }

    #[test]
    fn long_text_is_cut_to_the_width_it_may_take() {
        let width_of_ellipsis = TextLine::new("…", 15.0, 1e6).width;
        for max_width in [0.0, 5.0, 30.0, 77.7, 500.0] {
            let line = TextLine::new(&"Wide ".repeat(10_000), 15.0, max_width);
            assert!(line.width <= max_width.max(width_of_ellipsis), "{} > {max_width}", line.width);
        }
    }
}
