//! Blocks of points: what goes in comes out, and octets that are no block do no harm.
#![allow(clippy::panic, clippy::unwrap_used)]

mod damage;
mod memory;
mod refusals;
mod round_trip;
mod rows;
mod stored;
