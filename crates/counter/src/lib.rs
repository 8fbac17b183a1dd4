//! Counters: what they count in their periods, how they are configured, and increments that are not in their rows yet.
//! No Postgres: times are microseconds of whatever clock the caller has.

pub mod config;
pub mod counts;
pub mod pending;
pub mod table;
