//! A video file through ffmpeg into a sink, without a database. Skips where ffmpeg is absent.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use camcount_gateway::feed::{FeedOptions, feed};
use camcount_gateway::pace::Rate;
use camcount_gateway::progress::Progress;
use camcount_gateway::sink::{Sink, SinkError};
use camcount_gateway::source::{self, Frame, Source, SourceError, SourceOptions};
use camcount_gateway::stop::{Stop, SystemClock};
use chrono::DateTime;

const START_MICROS: i64 = 1_700_000_000_000_000;

#[derive(Default)]
struct Kept(Vec<Frame>);

impl Sink for Kept {
    fn send(&mut self, frames: &[Frame]) -> Result<(), SinkError> {
        self.0.extend_from_slice(frames);
        Ok(())
    }
}

struct Silent;

impl Progress for Silent {
    fn acknowledged(&mut self, _frames: u64, _bytes: u64) {}
    fn note(&mut self, _text: &str) {}
}

/// A video of two and a half seconds at 12 frames a second, or `None` where there is no ffmpeg.
fn test_video(folder: &Path) -> Option<PathBuf> {
    // A name that ffmpeg would take for an option or a protocol, were it not told otherwise.
    let path = folder.join("concat:-y test.mp4");
    let mut output = std::ffi::OsString::from("file:");
    output.push(&path);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=96x64:rate=12:duration=2.5"])
        .args(["-pix_fmt", "yuv420p"])
        .arg(output)
        .status();
    match made {
        Ok(status) => {
            assert!(status.success(), "ffmpeg could not make the test video: {status}");
            Some(path)
        }
        Err(error) => {
            eprintln!("skipped: ffmpeg cannot be run ({error})");
            None
        }
    }
}

fn open(path: &Path, rate: Option<&str>) -> Result<Box<dyn Source>, SourceError> {
    let start = DateTime::from_timestamp_micros(START_MICROS).unwrap();
    let rate = rate.map(|rate| rate.parse().unwrap());
    source::open(path, SourceOptions { start, rate, quality: 4 })
}

fn fed(source: &mut dyn Source) -> Vec<Frame> {
    let mut sink = Kept::default();
    let clock = SystemClock::new(Stop::default());
    let options = FeedOptions { rate: Rate::Max, limit: None, retry_for: Duration::ZERO };
    feed(source, &mut sink, &clock, &mut Silent, options).unwrap();
    sink.0
}

#[test]
fn every_frame_of_a_video_arrives_numbered_and_timed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = test_video(folder.path()) else { return };
    let mut video = open(&path, None).unwrap();
    assert_eq!(video.frame_count(), Some(30));
    let frames = fed(video.as_mut());
    assert_eq!(frames.iter().map(|frame| frame.number).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    for frame in &frames {
        let offset = (frame.number - 1) * 1_000_000 / 12;
        assert_eq!(frame.timestamp.timestamp_micros(), START_MICROS + offset);
        assert!(frame.image.starts_with(&[0xff, 0xd8]) && frame.image.ends_with(&[0xff, 0xd9]), "no JPEG");
    }
    assert_ne!(frames[0].image, frames[29].image);
}

#[test]
fn a_given_rate_changes_the_times_and_not_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = test_video(folder.path()) else { return };
    let frames = fed(open(&path, Some("4")).unwrap().as_mut());
    assert_eq!(frames.len(), 30);
    assert_eq!(frames[29].timestamp.timestamp_micros(), START_MICROS + 29 * 250_000);
}

#[test]
fn a_source_may_be_left_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = test_video(folder.path()) else { return };
    let mut video = open(&path, None).unwrap();
    assert_eq!(video.next_frame().unwrap().unwrap().number, 1);
    drop(video);
}

#[test]
fn what_is_no_video_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    if test_video(folder.path()).is_none() {
        return;
    }
    let text = folder.path().join("notes.mp4");
    std::fs::write(&text, "this is no video").unwrap();
    let Err(SourceError::NotVideo { detail, .. }) = open(&text, None) else { panic!("text is no video") };
    assert!(!detail.is_empty());

    let missing = open(&folder.path().join("missing.mp4"), None).err().unwrap();
    assert!(matches!(missing, SourceError::Read { .. }), "{missing}");

    let address = open(Path::new("rtsp://user:secret@camera/1"), None).err().unwrap();
    assert!(!address.to_string().contains("secret"), "{address}");
}

#[test]
fn a_video_cut_short_gives_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = test_video(folder.path()) else { return };
    // Matroska can be read without its end, unlike MP4.
    let whole = folder.path().join("whole.mkv");
    let mut input = std::ffi::OsString::from("file:");
    input.push(&path);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(input)
        .args(["-c", "copy"])
        .arg(&whole)
        .status();
    assert!(made.unwrap().success());
    let bytes = std::fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.mkv");
    std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let frames = fed(open(&cut, None).unwrap().as_mut());
    assert!((1..30).contains(&frames.len()), "{} frames", frames.len());
}
