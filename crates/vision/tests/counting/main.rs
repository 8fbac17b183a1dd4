//! From detections to counts, through the public interface.

#![allow(clippy::expect_used, reason = "helpers of tests, outside of functions marked as such")]

mod config;
mod density;
mod lines;
mod mot;
mod mot15;
mod scene;
mod state;
mod tracking;
mod zones;
