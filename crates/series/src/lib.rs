//! Mergeable statistics.

mod summary;

pub use summary::Summary;
