//! Encoded pictures to pixels, and back.
//!
//! Everything a camera or a client sends enters here, so nothing is taken on trust: the header is read first, its
//! dimensions are held against [`Limits`], and only then is memory for the pixels asked for. A file that ends early is
//! an error, not a frame whose lower part is grey.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbImage};
use serde::{Deserialize, Serialize};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors as JpegError;

use crate::exif::{self, Exif};

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

/// What a picture may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width × height that is decoded. Decoding takes about 3 to 12 bytes of memory for each pixel.
    pub max_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 50_000_000 }
    }
}

/// The encodings understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureFormat {
    /// Baseline or progressive JPEG: YCbCr, grey, RGB or CMYK.
    Jpeg,
    /// PNG of any colour type and bit depth; transparency is ignored.
    Png,
}

/// What the header of an encoded picture says.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInfo {
    /// How it is encoded.
    pub format: PictureFormat,
    /// Pixels across, once upright.
    pub width: u32,
    /// Pixels down, once upright.
    pub height: u32,
    /// What the camera wrote into a JPEG; `None` for a PNG, and where there is nothing of use.
    pub exif: Option<Exif>,
}

/// Why bytes are not a picture that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the image is empty: expected the bytes of a JPEG or PNG file")]
    Empty,
    /// The first bytes belong to neither format.
    #[error(
        "the bytes are no image: they start with {start:02x?}, and a JPEG starts with [ff, d8, ff], a PNG with [89, 50, 4e, 47]"
    )]
    NotAnImage {
        /// The first bytes, four at most.
        start: Vec<u8>,
    },
    /// More pixels than allowed.
    #[error("the image has {width}x{height} pixels: at most {max_pixels} pixels are allowed")]
    TooLarge {
        /// Pixels across, as its header says.
        width: u32,
        /// Pixels down, as its header says.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// The file ends before the picture does.
    #[error("the {} is truncated: it ends before the picture does, after {length} bytes", .format.name())]
    Truncated {
        /// Which format it started as.
        format: PictureFormat,
        /// How many bytes there were.
        length: usize,
    },
    /// The file contradicts its format.
    #[error("the {} is corrupt: {reason}", .format.name())]
    Corrupt {
        /// Which format it started as.
        format: PictureFormat,
        /// What the decoder found wrong.
        reason: String,
    },
    /// A legal file of a kind that is not decoded, for example an arithmetic-coded JPEG.
    #[error("the {} is of a kind that is not supported: {reason}; send a baseline or progressive JPEG, or a PNG", .format.name())]
    Unsupported {
        /// Which format it started as.
        format: PictureFormat,
        /// What it would need.
        reason: String,
    },
}

/// Why a picture could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// `rgb` does not fit the dimensions, or there are no pixels.
    #[error("a picture of {width}x{height} pixels needs {} bytes of RGB and at least one pixel, found {found}", u64::from(*.width) * u64::from(*.height) * 3)]
    WrongSize {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Length of `rgb`.
        found: usize,
    },
    /// The encoder refused, for example a JPEG of more than 65,535 pixels across.
    #[error("cannot encode the picture: {0}")]
    Encoder(#[from] image::ImageError),
}

impl PictureFormat {
    /// `JPEG` or `PNG`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        }
    }

    fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [] => Err(DecodeError::Empty),
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Ok(Self::Png),
            _ => Err(DecodeError::NotAnImage { start: bytes.iter().take(4).copied().collect() }),
        }
    }
}

/// Reads the header only: format and dimensions, held against the limits. Allocates nothing for pixels, so it is
/// cheap enough for every picture at the door.
///
/// # Errors
/// As [`decode`], as far as the header shows it. A truncated body passes: only decoding finds that.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<PictureInfo, DecodeError> {
    match PictureFormat::of(bytes)? {
        PictureFormat::Jpeg => probe_jpeg(&mut jpeg_decoder(bytes), bytes, limits),
        PictureFormat::Png => probe_png(&mut png::Decoder::new(Cursor::new(bytes)), bytes, limits),
    }
}

/// Decodes a JPEG or PNG to RGB. Grey, CMYK, palette and 16-bit pictures are converted; transparency is dropped; a JPEG
/// whose Exif data says that the camera was turned is turned upright.
///
/// # Errors
/// Bytes that are neither format, that exceed the limits, that end early, or that contradict their format.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    match PictureFormat::of(bytes)? {
        PictureFormat::Jpeg => decode_jpeg(bytes, limits),
        PictureFormat::Png => decode_png(bytes, limits),
    }
}

/// Encodes as a baseline JPEG of `quality` 1 (smallest) to 100 (best); values outside are brought inside.
///
/// # Errors
/// A picture without pixels, whose `rgb` has the wrong length, or of more than 65,535 pixels across or down.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    encode(picture, JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100)))?;
    Ok(bytes)
}

/// Encodes as an 8-bit RGB PNG.
///
/// # Errors
/// A picture without pixels or whose `rgb` has the wrong length.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    encode(picture, PngEncoder::new(&mut bytes))?;
    Ok(bytes)
}

fn encode(picture: &Picture, encoder: impl ImageEncoder) -> Result<(), EncodeError> {
    let Picture { width, height, rgb } = picture;
    if rgb.is_empty() || rgb.len() as u64 != u64::from(*width) * u64::from(*height) * 3 {
        return Err(EncodeError::WrongSize { width: *width, height: *height, found: rgb.len() });
    }
    Ok(encoder.write_image(rgb, *width, *height, ExtendedColorType::Rgb8)?)
}

fn within(
    limits: &Limits,
    format: PictureFormat,
    width: u32,
    height: u32,
) -> Result<PictureInfo, DecodeError> {
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(DecodeError::TooLarge { width, height, max_pixels: limits.max_pixels });
    }
    Ok(PictureInfo { format, width, height, exif: None })
}

fn jpeg_decoder(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    // The dimensions have a limit of their own, so the decoder's only gets in the way.
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn probe_jpeg(
    decoder: &mut JpegDecoder<ZCursor<&[u8]>>,
    bytes: &[u8],
    limits: &Limits,
) -> Result<PictureInfo, DecodeError> {
    decoder.decode_headers().map_err(|error| jpeg_error(error, bytes))?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    let exif = decoder.exif().and_then(|segment| exif::read(segment));
    let (width, height) = match orientation(exif.as_ref()) {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    };
    let info = within(limits, PictureFormat::Jpeg, width as u32, height as u32)?;
    Ok(PictureInfo { exif, ..info })
}

/// How the camera was held.
fn orientation(exif: Option<&Exif>) -> Orientation {
    let orientation = exif.and_then(|exif| exif.orientation).and_then(Orientation::from_exif);
    orientation.unwrap_or(Orientation::NoTransforms)
}

fn decode_jpeg(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let mut decoder = jpeg_decoder(bytes);
    let PictureInfo { width, height, exif, .. } = probe_jpeg(&mut decoder, bytes, limits)?;
    if !jpeg_is_complete(bytes) {
        return Err(DecodeError::Truncated { format: PictureFormat::Jpeg, length: bytes.len() });
    }
    let mut rgb = vec![0; width as usize * height as usize * 3];
    decoder.decode_into(&mut rgb).map_err(|error| jpeg_error(error, bytes))?;
    Ok(upright(Picture { width, height, rgb }, decoder.dimensions(), orientation(exif.as_ref())))
}

/// Turns a picture whose rows are still `stored` across and down.
fn upright(picture: Picture, stored: Option<(usize, usize)>, orientation: Orientation) -> Picture {
    let (Some((across, down)), false) = (stored, orientation == Orientation::NoTransforms) else {
        return picture;
    };
    let Picture { width, height, rgb } = picture;
    let Some(image) = RgbImage::from_raw(across as u32, down as u32, rgb) else {
        return Picture { width, height, rgb: Vec::new() };
    };
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    Picture { width, height, rgb: image.into_rgb8().into_raw() }
}

/// Whether an end-of-image marker follows the last start of a scan. The decoder forgives a last row that is cut short;
/// neither marker can occur inside entropy-coded data, and a thumbnail's own end comes before the picture's scan.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let marker = |code: u8| move |pair: &[u8]| pair == [0xff, code];
    bytes.windows(2).rposition(marker(0xd9)).is_some_and(|end| !bytes[end + 2..].windows(2).any(marker(0xda)))
}

fn jpeg_error(error: JpegError, bytes: &[u8]) -> DecodeError {
    let format = PictureFormat::Jpeg;
    match error {
        JpegError::ExhaustedData | JpegError::IoErrors(_) => {
            DecodeError::Truncated { format, length: bytes.len() }
        }
        JpegError::Unsupported(kind) => DecodeError::Unsupported { format, reason: format!("{kind:?}") },
        // It reports the lack of bytes in several other ways as well.
        _ if !jpeg_is_complete(bytes) => DecodeError::Truncated { format, length: bytes.len() },
        other => DecodeError::Corrupt { format, reason: other.to_string() },
    }
}

fn probe_png(
    decoder: &mut png::Decoder<Cursor<&[u8]>>,
    bytes: &[u8],
    limits: &Limits,
) -> Result<PictureInfo, DecodeError> {
    let header = decoder.read_header_info().map_err(|error| png_error(error, bytes))?;
    within(limits, PictureFormat::Png, header.width, header.height)
}

fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let corrupt = |error| png_error(error, bytes);
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let PictureInfo { width, height, .. } = probe_png(&mut decoder, bytes, limits)?;
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let size = reader.output_buffer_size().ok_or(DecodeError::TooLarge {
        width,
        height,
        max_pixels: limits.max_pixels,
    })?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(corrupt)?;
    reader.finish().map_err(corrupt)?;
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        png::ColorType::Rgb | png::ColorType::Indexed => pixels,
        png::ColorType::Rgba => drop_alpha(pixels),
        png::ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        png::ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
    };
    Ok(Picture { width, height, rgb })
}

/// In place, since the pixels may be most of the memory there is.
fn drop_alpha(mut rgba: Vec<u8>) -> Vec<u8> {
    let count = rgba.len() / 4;
    for pixel in 1..count {
        rgba.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
    }
    rgba.truncate(count * 3);
    rgba
}

fn png_error(error: png::DecodingError, bytes: &[u8]) -> DecodeError {
    let format = PictureFormat::Png;
    match error {
        png::DecodingError::IoError(_) => DecodeError::Truncated { format, length: bytes.len() },
        png::DecodingError::LimitsExceeded => {
            DecodeError::Unsupported { format, reason: "its metadata takes more than 64 MiB".to_owned() }
        }
        other => DecodeError::Corrupt { format, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use ::exif::{Tag, Value};

    use super::*;
    use crate::exif::tests::with_exif;

    const FRAME: &[u8] = include_bytes!("../tests/data/vtest_300.jpg");

    /// The frame as a camera sends it that was held in one of Exif's eight ways.
    fn held(orientation: u16) -> (PictureInfo, Picture) {
        let jpeg = with_exif(FRAME, &[(Tag::Orientation, Value::Short(vec![orientation]))]);
        let limits = Limits::default();
        (probe(&jpeg, &limits).unwrap(), decode(&jpeg, &limits).unwrap())
    }

    fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
        picture.rgb.as_chunks::<3>().0[(y * picture.width + x) as usize]
    }

    #[test]
    fn a_picture_is_turned_upright() {
        let stored = decode(FRAME, &Limits::default()).unwrap();
        let (right, bottom) = (stored.width - 1, stored.height - 1);
        // Where the stored pixel at (100, 50) lies once upright.
        for (orientation, x, y) in [
            (1, 100, 50),
            (2, right - 100, 50),
            (3, right - 100, bottom - 50),
            (4, 100, bottom - 50),
            (5, 50, 100),
            (6, bottom - 50, 100),
            (7, bottom - 50, right - 100),
            (8, 50, right - 100),
            (9, 100, 50),
        ] {
            let (info, picture) = held(orientation);
            let turned = (5..=8).contains(&orientation);
            let size = if turned { (stored.height, stored.width) } else { (stored.width, stored.height) };
            assert_eq!((info.width, info.height), size);
            assert_eq!((picture.width, picture.height), size);
            assert_eq!(pixel(&picture, x, y), pixel(&stored, 100, 50), "orientation {orientation}");
        }
    }
}
