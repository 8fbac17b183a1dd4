//! The saved form of a stream's state: format version (1 byte), CRC-32 of the rest (4, little-endian), postcard.

use thiserror::Error;

use super::StreamState;

/// Bytes that a saved state has at most; longer input is refused unread.
pub const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

/// To be raised with every change to what [`StreamState`] holds.
const VERSION: u8 = 1;

/// Bytes that are no saved state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Nothing at all.
    #[error("saved stream state is empty; expected format version {VERSION}")]
    Empty,
    /// Longer than [`MAX_STATE_BYTES`].
    #[error("saved stream state has {0} bytes; at most {MAX_STATE_BYTES} are allowed")]
    TooLong(usize),
    /// Written by another version of this crate.
    #[error("saved stream state has format version {0}; this build reads version {VERSION}")]
    Version(u8),
    /// Not what the format says.
    #[error("saved stream state is corrupt: {0}")]
    Corrupt(String),
}

impl StreamState {
    /// The state as bytes, for [`StreamState::from_bytes`].
    ///
    /// # Errors
    /// Never for a state that this crate has made; postcard's signature allows for it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let header = vec![VERSION, 0, 0, 0, 0];
        let mut bytes = postcard::to_extend(self, header).map_err(|e| StateError::Corrupt(e.to_string()))?;
        let sum = crc32fast::hash(&bytes[5..]);
        bytes[1..5].copy_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads what [`StreamState::to_bytes`] wrote.
    ///
    /// # Errors
    /// Bytes of another format version, of another origin, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_STATE_BYTES {
            return Err(StateError::TooLong(bytes.len()));
        }
        let (&version, rest) = bytes.split_first().ok_or(StateError::Empty)?;
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        let (sum, body) =
            rest.split_first_chunk().ok_or_else(|| StateError::Corrupt("it is cut short".to_owned()))?;
        if u32::from_le_bytes(*sum) != crc32fast::hash(body) {
            return Err(StateError::Corrupt("its checksum does not fit".to_owned()));
        }
        let (state, rest): (Self, _) =
            postcard::take_from_bytes(body).map_err(|e| StateError::Corrupt(e.to_string()))?;
        if !rest.is_empty() {
            return Err(StateError::Corrupt(format!("{} bytes follow its end", rest.len())));
        }
        if !state.tracker.is_within_bounds() || !state.density.is_within_bounds() {
            return Err(StateError::Corrupt("more is in it than a stream may hold".to_owned()));
        }
        Ok(state)
    }
}
