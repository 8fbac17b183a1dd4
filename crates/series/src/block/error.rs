/// Why a point is not taken, or a block not read.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The builder has as much as fits; the point belongs into the next block.
    #[error("the block is full")]
    Full,
    /// The point is earlier than the one before it.
    #[error("the point at {at} µs comes after one at {last} µs")]
    Order {
        /// Of the point, in microseconds.
        at: i64,
        /// Of the one before it, in microseconds.
        last: i64,
    },
    /// The octets do not begin as a block does.
    #[error("the octets are no block of points")]
    Foreign,
    /// A format that came later than this code.
    #[error("format {0} of blocks is not known here")]
    Format(u8),
    /// The octets are not those that were written.
    #[error("the block's checksum is wrong")]
    Checksum,
    /// The checksum is right and what is inside is not.
    #[error("the block is malformed")]
    Malformed,
}

/// The result of building or reading.
pub type Result<T, E = Error> = std::result::Result<T, E>;
