//! The pictures a person looks at: annotated frames and heat maps.
//!
//! This module only draws what it is told. It decides neither what is tracked nor what is counted, and it takes any
//! coordinate, number and name without panicking: whatever cannot be drawn is left out.

mod canvas;
mod heatmap;
mod label;
mod palette;
mod scene;
mod text;

pub use heatmap::{DensityGrid, HeatmapError, MAX_HEATMAP_SIDE, heatmap};
pub use scene::{DrawnLine, DrawnTrack, DrawnZone, Scene, annotate};
