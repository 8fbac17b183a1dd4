//! From detections to counts, through the public interface.

mod config;
mod density;
mod lines;
mod mot;
mod mot15;
mod scene;
mod state;
mod tracking;
mod zones;
