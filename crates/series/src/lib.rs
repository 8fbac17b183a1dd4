//! Blocks of points without loss, mergeable sketches of percentiles, and windows of time.

pub mod block;
pub mod sketch;
pub mod window;
