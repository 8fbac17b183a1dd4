//! Where frames come from. Nothing here knows where they go.

mod folder;
mod multipart;
mod probe;
mod timeline;
mod video;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use chrono::{DateTime, Utc};

pub use folder::FolderSource;
pub use multipart::{FramingError, MultipartReader};
pub use timeline::{FrameRate, RateError, Timeline};
pub use video::VideoSource;

/// The largest encoded picture that is sent, in bytes. A camera's frame is a few hundred kilobytes; what is larger
/// than this is not a frame.
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;

/// One encoded picture of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Counts from 1 in the order of the source, without gaps.
    pub number: i64,
    /// When the picture was taken.
    pub timestamp: DateTime<Utc>,
    /// JPEG or PNG, as it will be stored.
    pub image: Vec<u8>,
    /// What else is known of the frame, as a JSON object.
    pub metadata: serde_json::Value,
}

/// Yields the frames of one stream in order.
pub trait Source {
    /// The next frame; `None` after the last one.
    ///
    /// # Errors
    /// When the frame cannot be read; the source is then exhausted.
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError>;

    /// How many frames are taken in a second of the source's own time.
    fn frame_rate(&self) -> FrameRate;

    /// How many frames there will be, where that is known beforehand. A container's word, not a promise.
    fn frame_count(&self) -> Option<u64>;

    /// What a person should know and has not been told yet: an assumption made, damaged pictures skipped.
    fn take_remark(&mut self) -> Option<String>;
}

/// How to read a source.
#[derive(Clone, Copy, Debug)]
pub struct SourceOptions {
    /// When frame 1 was taken.
    pub start: DateTime<Utc>,
    /// Replaces the source's own rate.
    pub rate: Option<FrameRate>,
    /// JPEG quantiser for frames that have to be encoded: 2 (best) to 31 (smallest).
    pub quality: u8,
}

/// Opens a folder of images or a video file.
///
/// # Errors
/// When there is no such file or folder, or nothing in it that could be read as frames.
pub fn open(path: &Path, options: SourceOptions) -> Result<Box<dyn Source>, SourceError> {
    if path.to_string_lossy().contains("://") {
        return Err(SourceError::Address);
    }
    let kind = std::fs::metadata(path).map_err(|error| SourceError::read(path, error))?;
    if kind.is_dir() {
        Ok(Box::new(FolderSource::open(path, options)?))
    } else {
        Ok(Box::new(VideoSource::open(path, options)?))
    }
}

/// Why a source yields no (more) frames.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A network address was given. It is not echoed: camera addresses carry passwords.
    #[error("the source is a network address; this version reads video files and folders of images")]
    Address,
    /// The file system refused.
    #[error("cannot read {path}: {error}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A folder without a picture in it.
    #[error("there is no image (.jpg, .jpeg or .png) in {0}")]
    NoImages(PathBuf),
    /// A picture too large to be a frame.
    #[error("{path} has {bytes} bytes; a frame has at most {MAX_IMAGE_BYTES}")]
    TooLarge {
        /// The picture's file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// `ffmpeg` or `ffprobe` cannot be started.
    #[error("cannot run {tool}, which reads video files: {error}; install ffmpeg (apt-get install ffmpeg)")]
    Tool {
        /// The program's name.
        tool: &'static str,
        /// Why it did not start.
        error: io::Error,
    },
    /// The file is no video that ffmpeg can read.
    #[error("{path} cannot be read as a video: {detail}")]
    NotVideo {
        /// The file.
        path: PathBuf,
        /// What ffmpeg or ffprobe said.
        detail: String,
    },
    /// The container gives no usable rate.
    #[error("{0} does not say how many frames a second it has; give the rate with --fps")]
    NoRate(PathBuf),
    /// ffmpeg's output is not what was asked for.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A time that `timestamptz` and its client cannot hold.
    #[error("frame {0} would lie beyond the range of timestamps; give an earlier --start or a higher --fps")]
    TimeRange(i64),
}

impl SourceError {
    fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), error }
    }

    fn not_video(path: &Path, detail: impl fmt::Display) -> Self {
        Self::NotVideo { path: path.to_path_buf(), detail: detail.to_string() }
    }
}

/// The name that a source shows in its frames' metadata: the last part of its path.
fn display_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
