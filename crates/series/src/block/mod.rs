//! The points of one series in one block of octets, without loss.
//!
//! A [`Builder`] takes points in order of time and makes a block of them; a [`Block`] is what was read of it. A block
//! needs nothing beside it to be read. It knows neither which series it belongs to nor what its texts mean.
//!
//! # Format
//! | octets | what |
//! |---|---|
//! | 3 | `tsb` |
//! | 1 | format, now 1 |
//! | 4 | CRC-32 of all others, low octet first |
//! | 1… | number of points |
//! | … | columns: times, values, confidences, qualities, units, tags |
//!
//! A number whose size is not given is in LEB128, folded (zigzag) where it may be negative. Every column is made of
//! columns of whole numbers: these have one octet for their kind, then a base, a step and words, of which a value is
//! base + step · word. Equal numbers are a base only. Words have 1, 2, 4 or 8 octets and are packed by pco, or plain
//! where that is shorter.
//!
//! - times: the first, and the steps between them;
//! - values: texts of those that do not fit (as tags), flags of those that do, the scale of all mantissas and 1 (0:
//!   each has its own), the scales as written, the mantissas;
//! - confidences, qualities: flags, a power of ten, and the numbers multiplied by it; or 255 and their bits, those of
//!   negative numbers but for the sign inverted;
//! - units, tags: index from 1 into the different texts (0: none); if there are any, their count, their lengths, and
//!   the texts together, before them the number of octets into which they are deflated (0: they are not).

mod builder;
mod columns;
mod error;
mod octets;
mod point;
mod read;

pub use builder::Builder;
pub use error::{Error, Result};
pub use point::{Number, Point};
pub use read::{Block, Decimals};

/// Points that a block has at most.
pub const MAX_POINTS: usize = 65_536;
/// Octets of different texts with which a block is full. The point that makes it full may have longer ones.
pub const MAX_TEXT: usize = 4 << 20;

const MAGIC: [u8; 3] = *b"tsb";
const FORMAT: u8 = 1;
/// Octets of magic and format, which the checksum follows.
const HEADER: usize = 4;

fn checksum(header: &[u8], body: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}
