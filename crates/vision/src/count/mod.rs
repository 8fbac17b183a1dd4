//! Tracks to counts: crossings of lines, visits of zones, density.
//!
//! Each counter has a configuration, which it is given anew with every frame, and a state of its own, which is
//! serialisable. A line, zone or grid whose geometry changes starts afresh.

pub mod density;
pub mod line;
pub mod zone;
