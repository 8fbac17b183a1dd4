//! Image to detections to tracks to counts.
//!
//! This crate knows nothing of Postgres: bytes, configuration and time come in; detections, tracks, crossings,
//! zone visits, densities and pictures go out. Coordinates are normalised to 0..1 (x right, y down) unless a name
//! says otherwise.

pub mod count;
pub mod decode;
pub mod detection;
pub mod draw;
pub mod exif;
pub mod geometry;
pub mod model;
pub mod payload;
pub mod pipeline;
pub mod quality;
pub mod signals;
pub mod stream;
pub mod track;
