//! Encoded pictures to pixels.

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `width * height * 3` bytes, rows from the top, R, G, B.
    pub rgb: Vec<u8>,
}
