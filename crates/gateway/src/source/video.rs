//! A video file, decoded by ffmpeg and handed over as JPEG frames through a pipe.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::multipart::MultipartReader;
use super::probe::{self, probe};
use super::{Frame, FrameRate, MAX_IMAGE_BYTES, Source, SourceError, SourceOptions, Timeline, display_name};

const KEPT_STDERR_LINES: usize = 5;
const PIPE_BUFFER_BYTES: usize = 1 << 17;

/// Reads every frame of a file's first video stream, none twice and none left out, whatever its spacing in the
/// container; times follow from the frame's number and the rate.
#[derive(Debug)]
pub struct VideoSource {
    path: PathBuf,
    timeline: Timeline,
    frame_count: Option<u64>,
    decoder: Decoder,
    frames_read: i64,
    remark: Option<String>,
}

impl VideoSource {
    /// Looks at the file and starts to decode it.
    ///
    /// # Errors
    /// When ffmpeg is missing, the file is no video, or neither it nor the options give a rate.
    pub fn open(path: &Path, options: SourceOptions) -> Result<Self, SourceError> {
        let facts = probe(path)?;
        let rate = options.rate.or(facts.rate).ok_or_else(|| SourceError::NoRate(path.to_path_buf()))?;
        Ok(Self {
            path: path.to_path_buf(),
            timeline: Timeline::new(options.start, rate),
            frame_count: facts.frames,
            decoder: Decoder::start(path, options.quality)?,
            frames_read: 0,
            remark: None,
        })
    }

    /// Tells a decoder that came to the end from one that failed.
    fn end(&mut self) -> Result<Option<Frame>, SourceError> {
        let (status, said) = self.decoder.wait().map_err(|error| SourceError::read(&self.path, error))?;
        if !status.success() || self.frames_read == 0 {
            let reason = said.unwrap_or_else(|| format!("ffmpeg gave no frame and ended with {status}"));
            return Err(SourceError::not_video(&self.path, reason));
        }
        self.remark = said;
        Ok(None)
    }
}

impl Source for VideoSource {
    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let image = match self.decoder.parts.next_part() {
            Ok(Some(image)) => image,
            Ok(None) => return self.end(),
            Err(error) => return Err(error.into()),
        };
        let number = self.frames_read + 1;
        self.frames_read = number;
        let metadata = json!({ "source": display_name(&self.path) });
        Ok(Some(Frame { number, timestamp: self.timeline.at(number)?, image, metadata }))
    }

    fn frame_rate(&self) -> FrameRate {
        self.timeline.rate()
    }

    fn frame_count(&self) -> Option<u64> {
        self.frame_count
    }

    fn take_remark(&mut self) -> Option<String> {
        self.remark.take()
    }
}

/// A file's path as ffmpeg's input: the prefix keeps names like `-y` or `concat:…` from being taken for anything else.
pub(super) fn input_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// A running ffmpeg; ended when dropped.
#[derive(Debug)]
struct Decoder {
    child: Child,
    parts: MultipartReader<BufReader<ChildStdout>>,
    errors: Option<JoinHandle<Option<String>>>,
}

impl Decoder {
    fn start(path: &Path, quality: u8) -> Result<Self, SourceError> {
        let tool_error = |error| SourceError::Tool { tool: "ffmpeg", error };
        let mut child = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"])
            .arg(input_argument(path))
            .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-c:v", "mjpeg"])
            .args(["-q:v", &quality.to_string(), "-f", "mpjpeg", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal is for us, and must not look like the video's end.
            .process_group(0)
            .spawn()
            .map_err(tool_error)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(tool_error(std::io::Error::other("it has no output")));
        };
        let parts =
            MultipartReader::new(BufReader::with_capacity(PIPE_BUFFER_BYTES, stdout), MAX_IMAGE_BYTES);
        Ok(Self { child, parts, errors: Some(thread::spawn(move || keep_last_lines(stderr))) })
    }

    /// Waits for ffmpeg's end. How it ended, and the last it had to complain of.
    fn wait(&mut self) -> std::io::Result<(ExitStatus, Option<String>)> {
        let status = self.child.wait()?;
        let said = self.errors.take().and_then(|thread| thread.join().ok().flatten());
        Ok((status, said))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // Both fail only when ffmpeg is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Drains ffmpeg's complaints, so that it never blocks on them, and keeps the last few.
fn keep_last_lines(stderr: ChildStderr) -> Option<String> {
    let mut kept = VecDeque::with_capacity(KEPT_STDERR_LINES);
    let mut total = 0_usize;
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line).into_owned();
        if probe::last_line(&text).is_some() {
            total += 1;
            if kept.len() == KEPT_STDERR_LINES {
                kept.pop_front();
            }
            kept.push_back(text);
        }
    }
    let lines = Vec::from(kept).join("; ");
    match total {
        0 => None,
        1..=KEPT_STDERR_LINES => Some(lines),
        _ => Some(format!("{total} complaints, the last of them: {lines}")),
    }
}
