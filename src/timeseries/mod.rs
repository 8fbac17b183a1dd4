//! Time series: writing them, reading them back, and what they amount to.

pub mod aggregates;
mod batch;
pub mod block;
pub mod check;
pub mod compress;
mod deleted;
mod record;
mod units;
