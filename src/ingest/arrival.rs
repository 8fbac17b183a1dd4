//! One message, checked: who sent it, what it is, and the picture that it may bring.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use camcount_jsonb::Value;
use camcount_vision::decode::{self, PictureFormat, PictureInfo};
use camcount_vision::payload;
use serde_json::json;

use super::identity::Identity;
use crate::arguments::shown;
use crate::error::{Error, Result};
use crate::jsonb::{Jsonb, unreadable};
use crate::settings;

/// Bytes that a picture, or a payload, may have at most.
pub const MAX_BYTES: usize = 64 << 20;

/// Bytes that JSON may have at most which brings a picture in base64 beside its metadata.
pub const MAX_JSON_BYTES: usize = 2 * MAX_BYTES;

/// What is to be stored of a message beside its payload.
pub struct Arrival<'a> {
    pub identity: Identity<'a>,
    pub ingestion_id: String,
    /// Octets of the picture, of the payload where there is none.
    pub size: usize,
    pub picture: Option<Picture<'a>>,
}

/// A JPEG or PNG file and what its header says.
pub struct Picture<'a> {
    pub info: PictureInfo,
    pub image: Cow<'a, [u8]>,
}

impl<'a> Arrival<'a> {
    /// A message by its payload.
    pub fn of_payload(identity: Identity<'a>, payload: Value<'_>) -> Result<Self> {
        const PARAMETER: &str = "p_data_payload";
        let refuse = |source| Error::Payload { parameter: PARAMETER, source };
        match identity.data_type {
            "frame" => return Self::of_base64(identity, payload),
            "detection" => payload::check_detections(payload.deserializer(), false).map_err(refuse)?,
            "tracking" => payload::check_detections(payload.deserializer(), true).map_err(refuse)?,
            "counting" => drop(payload::parse_counts(payload.deserializer()).map_err(refuse)?),
            other => {
                let reason = format!(
                    "must be frame, detection, tracking or counting, got {}",
                    shown(&format!("{other:?}"))
                );
                return Err(Error::invalid("p_data_type", reason));
            }
        }
        let size = payload.text_length().map_err(unreadable(PARAMETER))?;
        check_size(PARAMETER, size, MAX_BYTES)?;
        Ok(Self::new(identity, size, None))
    }

    /// The picture leaves the JSON; what else the object holds stays as metadata.
    fn of_base64(identity: Identity<'a>, payload: Value<'_>) -> Result<Self> {
        const PARAMETER: &str = "p_data_payload";
        payload.text_length().map_err(unreadable(PARAMETER))?;
        let image = match payload {
            Value::Object(payload) => payload.get("image").map_err(unreadable(PARAMETER))?,
            _ => None,
        };
        let Some(Value::String(text)) = image else {
            return Err(Error::invalid(PARAMETER, r#"must be an object with an "image" in base64"#));
        };
        let image = BASE64.decode(text.as_bytes()).map_err(|error| {
            Error::invalid(PARAMETER, format!(r#"has an "image" that is no base64: {error}"#))
        })?;
        Self::of_picture(identity, image.into(), PARAMETER)
    }

    /// A frame by its picture, which came as `parameter`.
    pub fn of_picture(identity: Identity<'a>, image: Cow<'a, [u8]>, parameter: &'static str) -> Result<Self> {
        check_size(parameter, image.len(), MAX_BYTES)?;
        let info = decode::probe(&image, &settings::image_limits())
            .map_err(|source| Error::Image { parameter, source })?;
        Ok(Self::new(identity, image.len(), Some(Picture { info, image })))
    }

    fn new(identity: Identity<'a>, size: usize, picture: Option<Picture<'a>>) -> Self {
        Self { ingestion_id: identity.ingestion_id(), identity, size, picture }
    }
}

impl Picture<'_> {
    /// Name of the file format.
    pub fn format(&self) -> &'static str {
        match self.info.format {
            PictureFormat::Jpeg => "jpeg",
            PictureFormat::Png => "png",
        }
    }

    /// The frame's metadata with `{"exif": …}` in front: what the sender says of it goes over what the file says.
    pub fn metadata(&self, told: Jsonb) -> Jsonb {
        match &self.info.exif {
            Some(exif) => Jsonb::of(&json!({"exif": exif})).overlaid_with(told),
            None => told,
        }
    }
}

/// Refuses what has more than `most` bytes.
pub fn check_size(parameter: &'static str, size: usize, most: usize) -> Result<()> {
    if size > most {
        return Err(Error::invalid(parameter, format!("is {size} bytes; {most} is the most")));
    }
    Ok(())
}
