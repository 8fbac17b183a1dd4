//! Pictures for people: annotated frames and heat maps.

mod annotate;
mod density;

use camcount_vision::decode::{self, Picture};

use crate::error::{Error, Result};
use crate::settings;

/// Decodes a kept frame.
fn decode(image: &[u8]) -> Result<Picture> {
    decode::decode(image, &settings::image_limits())
        .map_err(|source| Error::Image { parameter: "image", source })
}
