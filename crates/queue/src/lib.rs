//! Who may have which item of a queue, kept in memory that processes share: how far a queue has been given out, what is
//! leased to whom, and how fast items may go. Plain data of a fixed size, without pointers.

pub mod cursor;
pub mod lease;
pub mod names;
pub mod rate;
