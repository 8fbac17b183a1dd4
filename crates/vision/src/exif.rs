//! What a camera wrote into a JPEG beside the pixels: when, where and how it was held.
//!
//! Exif 2.32 (CIPA DC-008), section 4.6. What is missing or makes no sense is left out: a camera with a wrong clock or
//! a broken header still sends pictures.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, SecondsFormat};
use exif::{Field, In, Rational, Reader, Tag, Value};
use serde::Serialize;

/// The Exif data that camcount keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Exif {
    /// When the picture was taken, in ISO 8601: with its offset from UTC where the camera gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// 1 to 8: how the stored rows and columns lie in the picture; 1 is as stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// Where the camera was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place on the globe, in WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Metres above sea level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub altitude: Option<f64>,
}

/// Reads the Exif data of a JPEG's segment, which begins with its TIFF header; `None` where there is nothing of use.
pub fn read(segment: &[u8]) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let parsed = reader.read_raw(segment.to_vec()).or_else(|error| error.distill_partial_result(drop));
    let tags = Tags(parsed.ok()?);
    let exif = Exif { taken_at: tags.taken_at(), orientation: tags.orientation(), location: tags.location() };
    (exif != Exif::default()).then_some(exif)
}

struct Tags(exif::Exif);

impl Tags {
    fn value(&self, tag: Tag) -> Option<&Value> {
        self.0.get_field(tag, In::PRIMARY).map(|Field { value, .. }| value)
    }

    fn ascii(&self, tag: Tag) -> Option<&[u8]> {
        match self.value(tag)? {
            Value::Ascii(texts) => texts.first().map(Vec::as_slice),
            _ => None,
        }
    }

    fn rationals(&self, tag: Tag) -> Option<Vec<f64>> {
        match self.value(tag)? {
            Value::Rational(values) => Some(values.iter().map(Rational::to_f64).collect()),
            _ => None,
        }
    }

    fn orientation(&self) -> Option<u8> {
        let value = self.value(Tag::Orientation)?.get_uint(0)?;
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value))
    }

    fn taken_at(&self) -> Option<String> {
        let mut time = exif::DateTime::from_ascii(self.ascii(Tag::DateTimeOriginal)?).ok()?;
        // Each is optional, and a wrong one spoils nothing.
        let _ = self.ascii(Tag::SubSecTimeOriginal).map(|text| time.parse_subsec(text));
        let _ = self.ascii(Tag::OffsetTimeOriginal).map(|text| time.parse_offset(text));
        let local = local_time(&time)?;
        let offset = time.offset.and_then(|minutes| FixedOffset::east_opt(i32::from(minutes) * 60));
        let Some(offset) = offset else {
            return Some(local.format("%Y-%m-%dT%H:%M:%S%.f").to_string());
        };
        let time: DateTime<FixedOffset> = local.and_local_timezone(offset).single()?;
        Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, false))
    }

    fn location(&self) -> Option<Location> {
        let latitude = self.degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, b"S", 90.0)?;
        let longitude = self.degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, b"W", 180.0)?;
        Some(Location { latitude, longitude, altitude: self.altitude() })
    }

    /// Degrees, minutes and seconds as degrees; negative where the reference is `negative`.
    fn degrees(&self, tag: Tag, reference: Tag, negative: &[u8], limit: f64) -> Option<f64> {
        let values = self.rationals(tag)?;
        let [degrees, minutes, seconds] = *values.as_slice() else { return None };
        let degrees = degrees + minutes / 60.0 + seconds / 3600.0;
        let sign = if self.ascii(reference)? == negative { -1.0 } else { 1.0 };
        // A zero denominator makes it infinite or no number.
        (0.0..=limit).contains(&degrees).then_some(sign * degrees)
    }

    fn altitude(&self) -> Option<f64> {
        let metres =
            self.rationals(Tag::GPSAltitude)?.first().copied().filter(|metres| metres.is_finite())?;
        let below = self.value(Tag::GPSAltitudeRef).and_then(|value| value.get_uint(0)) == Some(1);
        Some(if below { -metres } else { metres })
    }
}

fn local_time(time: &exif::DateTime) -> Option<NaiveDateTime> {
    NaiveDate::from_ymd_opt(time.year.into(), time.month.into(), time.day.into())?.and_hms_nano_opt(
        time.hour.into(),
        time.minute.into(),
        time.second.into(),
        time.nanosecond.unwrap_or(0),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use exif::experimental::Writer;
    use proptest::prelude::*;

    use super::*;

    /// A segment with these fields.
    fn segment(fields: &[(Tag, Value)]) -> Vec<u8> {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(tag, value)| Field { tag: *tag, ifd_num: In::PRIMARY, value: value.clone() })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut data = Cursor::new(Vec::new());
        writer.write(&mut data, false).unwrap();
        data.into_inner()
    }

    /// The JPEG with Exif data of these fields.
    pub(crate) fn with_exif(jpeg: &[u8], fields: &[(Tag, Value)]) -> Vec<u8> {
        let data = segment(fields);
        let length = (data.len() as u16 + 8).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, b"Exif\0\0", &data, &jpeg[2..]].concat()
    }

    fn ascii(text: &str) -> Value {
        Value::Ascii(vec![text.as_bytes().to_vec()])
    }

    fn rationals(values: &[(u32, u32)]) -> Value {
        Value::Rational(values.iter().map(|&(num, denom)| Rational { num, denom }).collect())
    }

    #[test]
    fn time_place_and_orientation_are_read() {
        let fields = [
            (Tag::Orientation, Value::Short(vec![6])),
            (Tag::DateTimeOriginal, ascii("2026:01:05 08:00:00")),
            (Tag::SubSecTimeOriginal, ascii("25")),
            (Tag::OffsetTimeOriginal, ascii("+07:00")),
            (Tag::GPSLatitudeRef, ascii("S")),
            (Tag::GPSLatitude, rationals(&[(33, 1), (51, 1), (36, 1)])),
            (Tag::GPSLongitudeRef, ascii("E")),
            (Tag::GPSLongitude, rationals(&[(151, 1), (12, 1), (0, 1)])),
            (Tag::GPSAltitudeRef, Value::Byte(vec![1])),
            (Tag::GPSAltitude, rationals(&[(5, 2)])),
        ];
        let exif = read(&segment(&fields)).unwrap();
        let location = exif.location.unwrap();
        assert_eq!(
            (exif.orientation, exif.taken_at.as_deref()),
            (Some(6), Some("2026-01-05T08:00:00.250+07:00"))
        );
        assert!((location.latitude + 33.86).abs() < 1e-9 && (location.longitude - 151.2).abs() < 1e-9);
        assert_eq!(location.altitude, Some(-2.5));
    }

    #[test]
    fn a_time_without_offset_has_none() {
        let exif = read(&segment(&[(Tag::DateTimeOriginal, ascii("2026:01:05 08:00:00"))])).unwrap();
        assert_eq!(exif.taken_at.as_deref(), Some("2026-01-05T08:00:00"));
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let fields = [
            (Tag::Orientation, Value::Short(vec![9])),
            (Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")),
            (Tag::GPSLatitudeRef, ascii("N")),
            (Tag::GPSLatitude, rationals(&[(1, 0), (0, 1), (0, 1)])),
            (Tag::GPSLongitudeRef, ascii("E")),
            (Tag::GPSLongitude, rationals(&[(200, 1), (0, 1), (0, 1)])),
        ];
        assert_eq!(read(&segment(&fields)), None);
        assert_eq!(read(b"text"), None);
    }

    #[test]
    fn one_broken_entry_spoils_no_other() {
        let fields =
            [(Tag::Orientation, Value::Short(vec![6])), (Tag::ImageDescription, ascii(&"x".repeat(50)))];
        let mut data = segment(&fields);
        data.truncate(data.len() - 40);
        assert_eq!(read(&data).and_then(|exif| exif.orientation), Some(6));
        for offset in ["+99:00", "nonsense"] {
            let fields = [
                (Tag::DateTimeOriginal, ascii("2026:01:05 08:00:00")),
                (Tag::OffsetTimeOriginal, ascii(offset)),
            ];
            let exif = read(&segment(&fields)).unwrap();
            assert_eq!(exif.taken_at.as_deref(), Some("2026-01-05T08:00:00"), "{offset}");
        }
    }

    proptest! {
        #[test]
        fn broken_data_does_no_harm(spoilt in prop::collection::vec((0usize..100, any::<u8>()), 0..20)) {
            let fields = [
                (Tag::DateTimeOriginal, ascii("2026:01:05 08:00:00")),
                (Tag::GPSLatitudeRef, ascii("N")),
                (Tag::GPSLatitude, rationals(&[(1, 1), (2, 1), (3, 1)])),
            ];
            let mut data = segment(&fields);
            for (place, byte) in spoilt {
                data[place] = byte;
            }
            let _ = read(&data);
        }
    }
}
