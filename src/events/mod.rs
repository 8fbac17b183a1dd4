//! The event store: what happened, in order.

mod publish;

pub use publish::{Event, publish};
