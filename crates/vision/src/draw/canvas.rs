//! An opaque picture to draw on, with anti-aliased shapes and text, all in pixels.

use ab_glyph::Font;
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Point, PremultipliedColorU8, Rect,
    Stroke, StrokeDash, Transform,
};

use super::palette::Rgb;
use super::text::{self, TextLine};
use crate::decode::Picture;

/// Sizes that follow from the picture's, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    pub width: f32,
    pub height: f32,
    /// Height of a line of text.
    pub text: f32,
    /// Thickness of a box's outline.
    pub stroke: f32,
}

impl Measures {
    fn of(width: u32, height: u32) -> Self {
        let (width, height) = (width as f32, height as f32);
        let text = (height.min(width * 0.75) / 40.0).round().max(11.0);
        Self { width, height, text, stroke: (text / 7.0).round().max(1.0) }
    }
}

pub(super) struct Canvas {
    pixmap: Pixmap,
    pub measures: Measures,
}

impl Canvas {
    /// A canvas showing `picture`; `None` where the picture has no pixels, another number of bytes than its size
    /// says, or too many pixels to address.
    pub fn over(picture: &Picture) -> Option<Self> {
        let mut pixmap = Pixmap::new(picture.width, picture.height)?;
        if pixmap.pixels().len().checked_mul(3) != Some(picture.rgb.len()) {
            return None;
        }
        for (to, from) in pixmap.data_mut().chunks_exact_mut(4).zip(picture.rgb.chunks_exact(3)) {
            to.copy_from_slice(&[from[0], from[1], from[2], 255]);
        }
        Some(Self { pixmap, measures: Measures::of(picture.width, picture.height) })
    }

    pub fn into_picture(self) -> Picture {
        let mut rgb = Vec::with_capacity(self.pixmap.pixels().len() * 3);
        for pixel in self.pixmap.data().chunks_exact(4) {
            rgb.extend_from_slice(&pixel[..3]);
        }
        Picture { width: self.pixmap.width(), height: self.pixmap.height(), rgb }
    }

    /// The whole picture; `None` never occurs for a canvas that exists.
    pub fn area(&self) -> Option<Rect> {
        Rect::from_xywh(0.0, 0.0, self.measures.width, self.measures.height)
    }

    pub fn fill(&mut self, path: &Path, color: Color) {
        self.pixmap.fill_path(path, &paint(color), FillRule::EvenOdd, Transform::identity(), None);
    }

    pub fn stroke(&mut self, path: &Path, color: Color, width: f32, line: LineStyle) {
        let dash = match line {
            LineStyle::Dashed => StrokeDash::new(vec![width * 3.0, width * 2.0], 0.0),
            LineStyle::Solid => None,
        };
        let stroke =
            Stroke { width, line_cap: LineCap::Butt, line_join: LineJoin::Round, dash, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(color), &stroke, Transform::identity(), None);
    }

    /// Draws `line` with its top left corner at `at`.
    pub fn text(&mut self, line: &TextLine, at: Point, ink: Rgb) {
        let Some(font) = text::font() else { return };
        let (width, height) = (self.pixmap.width() as i32, self.pixmap.height() as i32);
        let pixels = self.pixmap.pixels_mut();
        for glyph in &line.glyphs {
            let mut glyph = glyph.clone();
            glyph.position.x += at.x;
            // On whole pixels, so that stems and bars are equally sharp in every label.
            glyph.position.y = (glyph.position.y + at.y).round();
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|right, down, coverage| {
                let (x, y) = (corner.x as i32 + right as i32, corner.y as i32 + down as i32);
                if (0..width).contains(&x) && (0..height).contains(&y) {
                    let pixel = &mut pixels[y as usize * width as usize + x as usize];
                    *pixel = blend(*pixel, ink, coverage);
                }
            });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineStyle {
    Solid,
    Dashed,
}

fn paint(color: Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(color);
    paint
}

fn blend(under: PremultipliedColorU8, over: Rgb, coverage: f32) -> PremultipliedColorU8 {
    let coverage = coverage.clamp(0.0, 1.0);
    let mix = |under: u8, over: u8| {
        (f32::from(under) + (f32::from(over) - f32::from(under)) * coverage).round() as u8
    };
    let (red, green, blue) =
        (mix(under.red(), over.0), mix(under.green(), over.1), mix(under.blue(), over.2));
    PremultipliedColorU8::from_rgba(red, green, blue, 255).unwrap_or(under)
}

/// A path through `points`; `None` for fewer than two.
pub(super) fn polyline(points: impl IntoIterator<Item = Point>) -> Option<Path> {
    open_path(points)?.finish()
}

/// A closed path through `points`; `None` for fewer than two.
pub(super) fn polygon(points: impl IntoIterator<Item = Point>) -> Option<Path> {
    let mut path = open_path(points)?;
    path.close();
    path.finish()
}

fn open_path(points: impl IntoIterator<Item = Point>) -> Option<PathBuilder> {
    let mut points = points.into_iter();
    let first = points.next()?;
    let mut path = PathBuilder::new();
    path.move_to(first.x, first.y);
    points.for_each(|point| path.line_to(point.x, point.y));
    Some(path)
}

/// A rectangle with round corners.
pub(super) fn rounded(rect: Rect, radius: f32) -> Option<Path> {
    let radius = radius.min(rect.width() / 2.0).min(rect.height() / 2.0);
    let (left, top, right, bottom) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    let mut path = PathBuilder::new();
    path.move_to(left + radius, top);
    path.line_to(right - radius, top);
    path.quad_to(right, top, right, top + radius);
    path.line_to(right, bottom - radius);
    path.quad_to(right, bottom, right - radius, bottom);
    path.line_to(left + radius, bottom);
    path.quad_to(left, bottom, left, bottom - radius);
    path.line_to(left, top + radius);
    path.quad_to(left, top, left + radius, top);
    path.close();
    path.finish()
}
