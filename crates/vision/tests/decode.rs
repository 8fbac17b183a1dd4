//! Encoded pictures of every kind, whole and damaged.

use camcount_vision::decode::{
    DecodeError, Limits, Picture, PictureFormat, decode, encode_jpeg, encode_png, probe,
};
use proptest::prelude::*;

const FRAME: &[u8] = include_bytes!("data/vtest_300.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("data/progressive.jpg");
const GREY: &[u8] = include_bytes!("data/grey.jpg");
const CMYK: &[u8] = include_bytes!("data/cmyk.jpg");
const PALETTE: &[u8] = include_bytes!("data/palette.png");
const GREY_16: &[u8] = include_bytes!("data/grey16.png");
const RGBA: &[u8] = include_bytes!("data/rgba.png");
const GREY_ALPHA: &[u8] = include_bytes!("data/grey_alpha.png");

fn decoded(bytes: &[u8]) -> Result<Picture, DecodeError> {
    decode(bytes, &Limits::default())
}

fn gradient(width: u32, height: u32) -> Picture {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [(x * 5) as u8, (y * 5) as u8, 128]));
    Picture { width, height, rgb: pixels.flatten().collect() }
}

#[test]
fn every_kind_becomes_rgb_of_the_size_that_probing_told() {
    for (name, bytes) in [
        ("frame", FRAME),
        ("progressive", PROGRESSIVE),
        ("grey", GREY),
        ("cmyk", CMYK),
        ("palette", PALETTE),
        ("grey 16 bit", GREY_16),
        ("rgba", RGBA),
        ("grey alpha", GREY_ALPHA),
    ] {
        let info = probe(bytes, &Limits::default()).unwrap();
        let picture = decoded(bytes).unwrap();
        assert_eq!((picture.width, picture.height), (info.width, info.height), "{name}");
        assert_eq!(picture.rgb.len(), (info.width * info.height * 3) as usize, "{name}");
    }
    let frame = probe(FRAME, &Limits::default()).unwrap();
    assert_eq!((frame.format, frame.width, frame.height), (PictureFormat::Jpeg, 768, 576));
}

/// Mean absolute difference of two pictures of one size.
fn difference(one: &Picture, other: &Picture) -> f64 {
    assert_eq!((one.width, one.height), (other.width, other.height));
    let sum: u64 = one.rgb.iter().zip(&other.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.rgb.len() as f64
}

#[test]
fn kinds_of_one_picture_agree() {
    let progressive = decoded(PROGRESSIVE).unwrap();
    assert!(difference(&progressive, &decoded(CMYK).unwrap()) < 12.0);
    assert!(difference(&progressive, &decoded(PALETTE).unwrap()) < 16.0);
    let grey = decoded(GREY).unwrap();
    assert!(grey.rgb.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    assert!(difference(&progressive, &grey) < 16.0);
    let rgba = decoded(RGBA).unwrap();
    assert!(difference(&rgba, &decoded(GREY_ALPHA).unwrap()) < 16.0);
}

#[test]
fn what_is_encoded_decodes_again() {
    for (width, height) in [(1, 1), (1, 7), (33, 1), (50, 40)] {
        let picture = gradient(width, height);
        assert_eq!(decoded(&encode_png(&picture).unwrap()).unwrap(), picture);
        let jpeg = decoded(&encode_jpeg(&picture, 95).unwrap()).unwrap();
        assert!(difference(&jpeg, &picture) < 4.0);
    }
}

#[test]
fn a_picture_that_contradicts_itself_is_not_encoded() {
    let wrong = Picture { width: 2, height: 2, rgb: vec![0; 11] };
    let message = encode_jpeg(&wrong, 90).unwrap_err().to_string();
    assert!(message.contains("2x2") && message.contains("12 bytes") && message.contains("11"), "{message}");
    assert!(encode_png(&Picture { width: 0, height: 0, rgb: vec![] }).is_err());
}

#[test]
fn a_jpeg_truncated_anywhere_is_an_error() {
    let steps = (0..2000).chain((2000..FRAME.len() - 64).step_by(487)).chain(FRAME.len() - 64..FRAME.len());
    for length in steps {
        let error = decoded(&FRAME[..length]).unwrap_err();
        assert!(
            matches!(error, DecodeError::Truncated { .. })
                || (length < 3 && matches!(error, DecodeError::Empty | DecodeError::NotAnImage { .. })),
            "{length}: {error}"
        );
    }
    for length in 3..PROGRESSIVE.len() {
        assert!(matches!(decoded(&PROGRESSIVE[..length]), Err(DecodeError::Truncated { .. })), "{length}");
    }
}

#[test]
fn bytes_after_the_end_of_a_jpeg_are_ignored() {
    let mut bytes = FRAME.to_vec();
    bytes.extend([0; 64]);
    assert_eq!(decoded(&bytes).unwrap(), decoded(FRAME).unwrap());
}

#[test]
fn a_png_truncated_anywhere_is_an_error() {
    let png = encode_png(&gradient(60, 50)).unwrap();
    for length in 4..png.len() {
        assert!(decoded(&png[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    // The header of a PNG of 20,000 x 20,000 pixels; the rest would be 400 million of them in 50 kB.
    let mut bomb = encode_png(&gradient(4, 4)).unwrap();
    bomb[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&20_000u32.to_be_bytes());
    let checksum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&checksum.to_be_bytes());
    for outcome in [probe(&bomb, &Limits::default()).map(|_| ()), decoded(&bomb).map(|_| ())] {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, DecodeError::TooLarge { width: 20_000, height: 20_000, max_pixels: 50_000_000 }),
            "{error}"
        );
    }
    let limits = Limits { max_pixels: 768 * 576 - 1 };
    assert!(matches!(probe(FRAME, &limits), Err(DecodeError::TooLarge { .. })));
    assert!(matches!(decode(FRAME, &limits), Err(DecodeError::TooLarge { .. })));
    assert!(decode(FRAME, &Limits { max_pixels: 768 * 576 }).is_ok());
}

/// The checksum of PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn what_is_no_image_says_what_it_starts_with() {
    assert!(matches!(decoded(b""), Err(DecodeError::Empty)));
    let message = probe(b"hello", &Limits::default()).unwrap_err().to_string();
    assert!(message.contains("68, 65, 6c, 6c") && message.contains("ff, d8, ff"), "{message}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_picture_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0usize..3) {
        let start: &[u8] = [&[], &FRAME[..700], &GREY_16[..40]][start];
        let bytes = [start, &bytes].concat();
        let _ = probe(&bytes, &Limits::default());
        let _ = decode(&bytes, &Limits { max_pixels: 1_000_000 });
    }

    #[test]
    fn damaged_pictures_are_pictures_or_errors(
        which in 0usize..7,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = [PROGRESSIVE, GREY, CMYK, PALETTE, GREY_16, RGBA, GREY_ALPHA][which].to_vec();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(picture) = decode(&bytes, &Limits { max_pixels: 1_000_000 }) {
            prop_assert_eq!(picture.rgb.len(), (picture.width * picture.height * 3) as usize);
        }
    }
}
