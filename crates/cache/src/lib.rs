//! Values by key for a while, in one region of memory of a fixed size that processes may share: it has no pointers, and
//! when it is full, what was not used for long makes room.
//!
//! The region is a slice of atomic words, so that nothing that is done to it is undefined; what keeps it consistent is
//! the caller's lock. Whoever has `&Cache` needs it shared: reading notes uses and misses, each in one atomic step.
//! Whoever has `&mut Cache` needs it exclusively.

mod blocks;
mod cache;
mod entry;
mod file;
#[cfg(test)]
mod tests;

pub use cache::{Cache, Statistics, TooLarge};
pub use entry::{Entry, Figures, Key, LONGEST_NAME, Space};
pub use file::LoadError;
