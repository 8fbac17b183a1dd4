//! Columns of a block: each writes itself behind the one before it, and knows from its octets where it ends. How many
//! values it has, it is told.

mod deflated;
mod flags;
mod floats;
mod ints;
mod numbers;
mod pack;
mod texts;
mod times;

pub(super) use floats::{Floats, FloatsBuilder};
pub(super) use numbers::{Numbers, NumbersBuilder};
pub(super) use texts::{Texts, TextsBuilder};

pub(super) use times::{read as read_times, write as write_times};
