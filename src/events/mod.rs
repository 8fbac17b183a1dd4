//! The event store: what happened, in order.

mod batch;
mod conditions;
mod publish;
pub mod read;

pub use publish::{Event, publish};
