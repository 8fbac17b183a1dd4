//! Where people spend time.

use std::fmt::Display;

use fast_image_resize::images::{Image, ImageRef, TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use tiny_skia::{PathBuilder, Point as Pixel, Rect};

use super::canvas::{Canvas, rounded};
use super::label::{Label, Labels, Span, Spot};
use super::palette::{DIM, INK, PAPER, Rgb};
use super::text::TextLine;
use crate::decode::Picture;

/// The longest side of a heat map, in pixels.
pub const MAX_HEATMAP_SIDE: u32 = 4096;

/// The share of the maximum below which the colours fade, to nothing at 0, and let the frame through.
const FADED_BELOW: f32 = 0.15;
/// How opaque the colours are over a frame where they do not fade.
const OPACITY: f32 = 0.72;
/// The part of the colour map used over a frame: its darkest colours could be taken for shadows.
const DARKEST_OVER_FRAME: f32 = 0.18;
/// The picture without a background, and the ground of the legend.
const GROUND: Rgb = INK;

/// Person-seconds per cell of a grid laid over the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityGrid {
    /// Cells across.
    pub columns: u32,
    /// Cells down.
    pub rows: u32,
    /// `columns * rows` person-seconds, finite and not negative, row by row from the top.
    pub values: Vec<f64>,
}

/// Why there is no heat map.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HeatmapError {
    /// The grid has no cells.
    #[error("a density grid of {columns} x {rows} cells is empty; both must be at least 1")]
    EmptyGrid {
        /// Cells across.
        columns: u32,
        /// Cells down.
        rows: u32,
    },
    /// The number of values is not the number of cells.
    #[error("a density grid of {columns} x {rows} cells has {values} values; one per cell is needed")]
    ValueCount {
        /// Cells across.
        columns: u32,
        /// Cells down.
        rows: u32,
        /// Values given.
        values: usize,
    },
    /// A value is no amount of time.
    #[error("density value {index} is {value}; person-seconds must be finite and not negative")]
    Value {
        /// Position in the values.
        index: usize,
        /// The value.
        value: f64,
    },
    /// The heat map asked for is empty or too large.
    #[error("a heat map of {width} x {height} pixels was asked for; both must be 1 to {MAX_HEATMAP_SIDE}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The background's bytes are not what its size says.
    #[error("the background of {width} x {height} pixels has {bytes} bytes; three per pixel are needed")]
    Background {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Bytes given.
        bytes: usize,
    },
    /// Scaling failed.
    #[error("scaling for the heat map failed: {0}")]
    Scaling(String),
}

/// Draws the grid as colours of the perceptually uniform map "inferno" (van der Walt and Smith, 2015), linear from 0
/// to the largest value, smooth between the middles of cells, with a legend. `background` is scaled to `size` (width
/// and height in pixels) and stays visible where nobody was; without it the ground is dark.
pub fn heatmap(
    grid: &DensityGrid,
    background: Option<&Picture>,
    size: (u32, u32),
) -> Result<Picture, HeatmapError> {
    let (width, height) = size;
    if !((1..=MAX_HEATMAP_SIDE).contains(&width) && (1..=MAX_HEATMAP_SIDE).contains(&height)) {
        return Err(HeatmapError::Size { width, height });
    }
    let max = largest(grid)?;
    let mut picture = match background {
        Some(background) => scaled(background, size)?,
        None => plain(size),
    };
    if max > 0.0 {
        tint(&mut picture, &shares(grid, max, size)?, background.is_some());
    }
    let Some(mut canvas) = Canvas::over(&picture) else { return Ok(picture) };
    if max > 0.0 {
        legend(&mut canvas, max, background.is_some())
    } else {
        nothing_to_show(&mut canvas)
    }
    Ok(canvas.into_picture())
}

/// Checks the grid, and finds its largest value.
fn largest(grid: &DensityGrid) -> Result<f64, HeatmapError> {
    let &DensityGrid { columns, rows, ref values } = grid;
    if columns == 0 || rows == 0 {
        return Err(HeatmapError::EmptyGrid { columns, rows });
    }
    if u64::from(columns) * u64::from(rows) != values.len() as u64 {
        return Err(HeatmapError::ValueCount { columns, rows, values: values.len() });
    }
    match values.iter().position(|value| !(value.is_finite() && *value >= 0.0)) {
        Some(index) => Err(HeatmapError::Value { index, value: values[index] }),
        None => Ok(values.iter().copied().fold(0.0, f64::max)),
    }
}

fn plain((width, height): (u32, u32)) -> Picture {
    let Rgb(red, green, blue) = GROUND;
    Picture { width, height, rgb: [red, green, blue].repeat(width as usize * height as usize) }
}

fn scaled(background: &Picture, (width, height): (u32, u32)) -> Result<Picture, HeatmapError> {
    let refusal = || HeatmapError::Background {
        width: background.width,
        height: background.height,
        bytes: background.rgb.len(),
    };
    let pixels = u64::from(background.width) * u64::from(background.height);
    if pixels == 0 || pixels.checked_mul(3) != Some(background.rgb.len() as u64) {
        return Err(refusal());
    }
    if (background.width, background.height) == (width, height) {
        return Ok(background.clone());
    }
    let from = ImageRef::new(background.width, background.height, &background.rgb, PixelType::U8x3)
        .map_err(|_| refusal())?;
    let mut to = Image::new(width, height, PixelType::U8x3);
    let resized = Resizer::new().resize(&from, &mut to, &filter(FilterType::Bilinear));
    resized.map_err(scaling)?;
    Ok(Picture { width, height, rgb: to.into_vec() })
}

/// For each pixel its share of the maximum, 0..=1. Catmull-Rom passes through the values in the middles of cells, so
/// the legend holds for them; what it overshoots between them is cut.
fn shares(grid: &DensityGrid, max: f64, (width, height): (u32, u32)) -> Result<Vec<f32>, HeatmapError> {
    let cells: Vec<F32> = grid.values.iter().map(|value| F32::new((value / max) as f32)).collect();
    let from = TypedImageRef::new(grid.columns, grid.rows, &cells).map_err(scaling)?;
    let mut to = TypedImage::<F32>::new(width, height);
    let resized = Resizer::new().resize_typed(&from, &mut to, &filter(FilterType::CatmullRom));
    resized.map_err(scaling)?;
    Ok(to.pixels().iter().map(|pixel| pixel.0.clamp(0.0, 1.0)).collect())
}

fn scaling(error: impl Display) -> HeatmapError {
    HeatmapError::Scaling(error.to_string())
}

fn filter(filter: FilterType) -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter))
}

fn tint(picture: &mut Picture, shares: &[f32], over_frame: bool) {
    for (pixel, share) in picture.rgb.chunks_exact_mut(3).zip(shares) {
        let color = color(*share, over_frame);
        let opacity = if over_frame { OPACITY * presence(*share) } else { 1.0 };
        for (under, over) in pixel.iter_mut().zip([color.0, color.1, color.2]) {
            *under = (f32::from(*under) + (f32::from(over) - f32::from(*under)) * opacity).round() as u8;
        }
    }
}

fn color(share: f32, over_frame: bool) -> Rgb {
    let lowest = if over_frame { DARKEST_OVER_FRAME } else { 0.0 };
    let color = colorous::INFERNO.eval_continuous(f64::from(lowest + share * (1.0 - lowest)));
    Rgb(color.r, color.g, color.b)
}

/// How much of a colour shows over a frame, 0 to 1 without a visible edge at either end ("smoothstep").
fn presence(share: f32) -> f32 {
    let x = (share / FADED_BELOW).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// The colours, from 0 to `max` person-seconds, in the bottom right corner; left out of pictures too small for it.
fn legend(canvas: &mut Canvas, max: f64, over_frame: bool) {
    let text = canvas.measures.text;
    let (pad, bar_width, bar_height) = (text * 0.5, (text * 11.0).round(), (text * 0.7).round());
    let (width, height) = (bar_width + 2.0 * pad, 2.0 * text + bar_height + 2.5 * pad);
    let (right, bottom) = (canvas.measures.width - pad, canvas.measures.height - pad);
    let (left, top) = ((right - width).round(), (bottom - height).round());
    if left < 0.0 || top < 0.0 {
        return;
    }
    if let Some(plate) = Rect::from_xywh(left, top, width, height).and_then(|rect| rounded(rect, text * 0.2))
    {
        canvas.fill(&plate, GROUND.alpha(0.8));
    }
    let (bar_left, bar_top) = (left + pad.round(), top + (pad + text).round());
    for step in 0..bar_width as u32 {
        let share = (step as f32 + 0.5) / bar_width;
        let opacity = if over_frame { presence(share) } else { 1.0 };
        if let Some(column) = Rect::from_xywh(bar_left + step as f32, bar_top, 1.0, bar_height) {
            canvas.fill(&PathBuilder::from_rect(column), color(share, over_frame).alpha(opacity));
        }
    }
    let line = |words: &str| TextLine::new(words, text, bar_width);
    let (title, zero, most) =
        (line("person-seconds per cell"), line("0"), line(&format!("max {}", amount(max))));
    let below = bar_top + bar_height + pad * 0.25;
    canvas.text(&title, Pixel::from_xy(bar_left, top + pad * 0.5), PAPER);
    canvas.text(&zero, Pixel::from_xy(bar_left, below), DIM);
    canvas.text(&most, Pixel::from_xy(bar_left + bar_width - most.width, below), DIM);
}

/// With the decimals that its size calls for.
fn amount(person_seconds: f64) -> String {
    match person_seconds {
        large if large >= 1e7 => format!("{large:.2e}"),
        large if large >= 100.0 => format!("{large:.0}"),
        medium if medium >= 1.0 => format!("{medium:.1}"),
        small if small >= 0.01 => format!("{small:.3}"),
        tiny => format!("{tiny:.2e}"),
    }
}

fn nothing_to_show(canvas: &mut Canvas) {
    let measures = canvas.measures;
    let middle = Pixel::from_xy(measures.width / 2.0, measures.height / 2.0);
    let label = Label {
        wordings: vec![vec![Span::new("No activity recorded", PAPER)]],
        plate: GROUND.alpha(0.8),
        max_width: 1.0,
    };
    Labels::new(measures, Vec::new()).draw(canvas, &label, &[Spot { anchor: middle, fx: 0.5, fy: 0.5 }]);
}
