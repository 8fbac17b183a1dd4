//! The framing of ffmpeg's `mpjpeg` output: a MIME multipart stream whose parts state their length.

use std::io::{self, BufRead, Read};

const MAX_HEADER_BYTES: u64 = 1024;
const MAX_HEADER_LINES: usize = 16;

/// Splits a multipart stream into its parts' bodies. Reads exactly what the `Content-length` headers promise, and so
/// never searches the pictures for a boundary.
#[derive(Debug)]
pub struct MultipartReader<R> {
    input: R,
    max_body: u64,
}

/// The stream is not made of parts with a stated length.
#[derive(Debug, thiserror::Error)]
pub enum FramingError {
    /// The pipe failed.
    #[error("cannot read frames from ffmpeg: {0}")]
    Read(#[from] io::Error),
    /// The stream ends within a part.
    #[error("ffmpeg's output ends in the middle of a frame")]
    Truncated,
    /// A header line, or the number of them, is beyond what a part may have.
    #[error(
        "ffmpeg's output has a part whose header is longer than {MAX_HEADER_LINES} lines of {MAX_HEADER_BYTES} bytes"
    )]
    HeaderTooLong,
    /// A part without a readable length.
    #[error("ffmpeg's output has a frame without a valid Content-length header")]
    NoLength,
    /// A part larger than the caller allows.
    #[error(
        "ffmpeg's output has a frame of {bytes} bytes; at most {limit} are taken (a higher --quality is smaller)"
    )]
    TooLarge {
        /// The stated length.
        bytes: u64,
        /// The caller's limit.
        limit: u64,
    },
}

impl<R: BufRead> MultipartReader<R> {
    /// Reads parts of at most `max_body` bytes.
    pub fn new(input: R, max_body: u64) -> Self {
        Self { input, max_body }
    }

    /// The next part's body; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the stream ends within a part or is not such a stream.
    pub fn next_part(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        let Some(length) = self.read_header()? else { return Ok(None) };
        if length > self.max_body {
            return Err(FramingError::TooLarge { bytes: length, limit: self.max_body });
        }
        let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.input.by_ref().take(length).read_to_end(&mut body)?;
        if (body.len() as u64) < length { Err(FramingError::Truncated) } else { Ok(Some(body)) }
    }

    /// Skips the boundary and reads the header up to its empty line. The length of the body that follows.
    fn read_header(&mut self) -> Result<Option<u64>, FramingError> {
        let mut length = None;
        let mut in_header = false;
        for _ in 0..MAX_HEADER_LINES {
            let line = self.read_line()?;
            match line.as_deref().map(str::trim_end) {
                None if !in_header => return Ok(None),
                None => return Err(FramingError::Truncated),
                Some("") if in_header => return length.map(Some).ok_or(FramingError::NoLength),
                Some(text) => {
                    if let Some((name, value)) = text.split_once(':') {
                        in_header = true;
                        if name.eq_ignore_ascii_case("content-length") {
                            length = value.trim().parse().ok();
                        }
                    }
                }
            }
        }
        Err(FramingError::HeaderTooLong)
    }

    fn read_line(&mut self) -> Result<Option<String>, FramingError> {
        let mut line = Vec::new();
        self.input.by_ref().take(MAX_HEADER_BYTES).read_until(b'\n', &mut line)?;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(String::from_utf8_lossy(&line).into_owned())),
            Some(_) if line.len() as u64 == MAX_HEADER_BYTES => Err(FramingError::HeaderTooLong),
            Some(_) => Err(FramingError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Hands out its bytes in pieces of the given sizes, over and over, as a pipe may.
    struct Pieces<'a> {
        bytes: &'a [u8],
        sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes.next().map_or(0, |size| *size).min(buffer.len()).min(self.bytes.len());
            buffer[..size].copy_from_slice(&self.bytes[..size]);
            self.bytes = &self.bytes[size..];
            Ok(size)
        }
    }

    fn mpjpeg(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = b"--ffmpeg\r\n".to_vec();
        for body in bodies {
            stream.extend(
                format!("Content-type: image/jpeg\r\nContent-length: {}\r\n\r\n", body.len()).bytes(),
            );
            stream.extend(body);
            stream.extend(b"\r\n--ffmpeg\r\n");
        }
        stream
    }

    fn all_parts(stream: &[u8], sizes: &[usize]) -> Result<Vec<Vec<u8>>, FramingError> {
        let input = BufReader::with_capacity(7, Pieces { bytes: stream, sizes: sizes.iter().cycle() });
        let mut reader = MultipartReader::new(input, 1 << 16);
        std::iter::from_fn(|| reader.next_part().transpose()).collect()
    }

    proptest! {
        #[test]
        fn any_bodies_survive_any_chunking(
            bodies in vec(vec(any::<u8>(), 0..200), 0..8),
            sizes in vec(1usize..50, 1..10),
        ) {
            prop_assert_eq!(all_parts(&mpjpeg(&bodies), &sizes).unwrap(), bodies);
        }

        #[test]
        fn a_cut_stream_yields_whole_frames_and_then_at_most_an_error(
            bodies in vec(vec(any::<u8>(), 1..100), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let stream = mpjpeg(&bodies);
            let mut reader = MultipartReader::new(&stream[..cut.index(stream.len())], 1 << 16);
            let mut expected = bodies.iter();
            while let Ok(Some(part)) = reader.next_part() {
                prop_assert_eq!(Some(&part), expected.next());
            }
        }

        #[test]
        fn noise_never_panics(stream in vec(any::<u8>(), 0..3000)) {
            let mut reader = MultipartReader::new(&stream[..], 1 << 10);
            while let Ok(Some(_)) = reader.next_part() {}
        }
    }

    #[test]
    fn bodies_that_look_like_boundaries_are_bodies() {
        let bodies = vec![b"\r\n--ffmpeg\r\nContent-length: 3\r\n\r\n".to_vec(), b"\r\n\r\n".to_vec()];
        assert_eq!(all_parts(&mpjpeg(&bodies), &[5]).unwrap(), bodies);
    }

    #[test]
    fn refuses_parts_without_a_length_too_long_or_cut() {
        let first = |stream: &[u8]| MultipartReader::new(stream, 10).next_part();
        assert!(matches!(first(b"--x\r\nContent-type: a\r\n\r\n"), Err(FramingError::NoLength)));
        assert!(matches!(first(b"--x\r\nContent-length: -1\r\n\r\n"), Err(FramingError::NoLength)));
        assert!(matches!(
            first(b"--x\r\nContent-length: 11\r\n\r\n"),
            Err(FramingError::TooLarge { bytes: 11, limit: 10 })
        ));
        assert!(matches!(first(b"--x\r\nContent-length: 5\r\n\r\nabc"), Err(FramingError::Truncated)));
        assert!(matches!(first(&[b'x'; 5000]), Err(FramingError::HeaderTooLong)));
        assert!(matches!(first(&[b'\n'; 5000]), Err(FramingError::HeaderTooLong)));
    }
}
