//! What a person sees while frames are fed.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(5);
const MEGABYTE: f64 = 1e6;

/// Watches a feed.
pub trait Progress {
    /// Frames were acknowledged: so many more, of so many bytes.
    fn acknowledged(&mut self, frames: u64, bytes: u64);

    /// Something that a person may want to know.
    fn note(&mut self, text: &str);
}

/// So much in so much time, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Volume {
    /// Acknowledged frames.
    pub frames: u64,
    /// Bytes of their images.
    pub bytes: u64,
}

impl Volume {
    /// Frames and megabytes a second, such as `31.4 fps, 1.2 MB/s`.
    pub fn rates(self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(1e-6);
        let megabytes = self.bytes as f64 / MEGABYTE;
        format!("{:.1} fps, {:.1} MB/s", self.frames as f64 / seconds, megabytes / seconds)
    }
}

/// On the standard error: a bar in a terminal, else a line every few seconds.
#[derive(Debug)]
pub struct ConsoleProgress {
    total: Option<u64>,
    volume: Volume,
    began: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl ConsoleProgress {
    /// `total` frames are expected, if that is known. Shows nothing at all when `quiet`.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        let began = Instant::now();
        let shown = match (quiet, stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(bar(total)),
            (false, false) => Shown::Lines { last: began },
        };
        Self { total, volume: Volume::default(), began, shown }
    }

    /// Leaves the screen to others.
    pub fn finish(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.abandon();
        }
    }

    fn line(&self) -> String {
        let total = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        format!("{}{total} frames, {}", self.volume.frames, self.volume.rates(self.began.elapsed()))
    }
}

impl Progress for ConsoleProgress {
    fn acknowledged(&mut self, frames: u64, bytes: u64) {
        self.volume.frames += frames;
        self.volume.bytes += bytes;
        let line = self.line();
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_message(self.volume.rates(self.began.elapsed()));
                bar.set_position(self.volume.frames);
            }
            Shown::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{line}");
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    fn note(&mut self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.println(text),
            Shown::Lines { .. } => eprintln!("{text}"),
            Shown::Nothing => {}
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => "{bar:30} {pos}/{len} frames  {msg}  {elapsed} + {eta}",
        None => "{spinner} {pos} frames  {msg}  {elapsed}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_survive_no_time() {
        let volume = Volume { frames: 50, bytes: 4_000_000 };
        assert_eq!(volume.rates(Duration::from_secs(2)), "25.0 fps, 2.0 MB/s");
        assert_eq!(Volume::default().rates(Duration::ZERO), "0.0 fps, 0.0 MB/s");
    }
}
