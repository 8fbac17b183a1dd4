//! What a video file says of itself, by way of `ffprobe`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{FrameRate, SourceError};

/// The facts of a file's first video stream.
#[derive(Debug, PartialEq)]
pub(super) struct VideoFacts {
    /// The average rate; `None` where the container has none.
    pub rate: Option<FrameRate>,
    /// As stated, or estimated from duration and rate.
    pub frames: Option<u64>,
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize)]
struct Stream {
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    nb_frames: Option<String>,
    duration: Option<String>,
}

#[derive(Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

/// Asks ffprobe for the first video stream of the file.
pub(super) fn probe(path: &Path) -> Result<VideoFacts, SourceError> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "json", "-show_entries"])
        .arg("stream=avg_frame_rate,r_frame_rate,nb_frames,duration:format=duration")
        .arg(super::video::input_argument(path))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| SourceError::Tool { tool: "ffprobe", error })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(SourceError::not_video(path, last_line(&said).unwrap_or("ffprobe failed")));
    }
    let report = serde_json::from_slice::<Report>(&output.stdout)
        .map_err(|error| SourceError::not_video(path, format!("ffprobe's answer is unreadable: {error}")))?;
    facts(&report).ok_or_else(|| SourceError::not_video(path, "it has no video stream"))
}

fn facts(report: &Report) -> Option<VideoFacts> {
    let stream = report.streams.first()?;
    let rates = [&stream.avg_frame_rate, &stream.r_frame_rate];
    let rate = rates.into_iter().flatten().find_map(|text| text.parse::<FrameRate>().ok());
    let stated = stream.nb_frames.as_ref().and_then(|text| text.parse().ok());
    let duration = [&stream.duration, &report.format.duration];
    let seconds = duration.into_iter().flatten().find_map(|text| text.parse::<f64>().ok());
    let estimated = seconds.zip(rate).map(|(seconds, rate)| (seconds * rate.per_second()).round() as u64);
    Some(VideoFacts { rate, frames: stated.or(estimated).filter(|frames| *frames > 0) })
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts_of(report: &str) -> Option<VideoFacts> {
        facts(&serde_json::from_str(report).unwrap())
    }

    #[test]
    fn stated_counts_win_over_estimates() {
        let report = r#"{"streams":[{"avg_frame_rate":"10/1","nb_frames":"795","duration":"1.0"}]}"#;
        let rate = FrameRate::new(10, 1);
        assert_eq!(facts_of(report), Some(VideoFacts { rate, frames: Some(795) }));
    }

    #[test]
    fn counts_are_estimated_and_the_base_rate_stands_in_for_the_average() {
        let report =
            r#"{"streams":[{"avg_frame_rate":"0/0","r_frame_rate":"25/1"}],"format":{"duration":"2.0"}}"#;
        assert_eq!(facts_of(report), Some(VideoFacts { rate: FrameRate::new(25, 1), frames: Some(50) }));
    }

    #[test]
    fn a_file_may_say_nothing_or_have_no_video() {
        assert_eq!(facts_of(r#"{"streams":[{}]}"#), Some(VideoFacts { rate: None, frames: None }));
        assert_eq!(facts_of(r#"{"streams":[],"format":{"duration":"9"}}"#), None);
    }
}
