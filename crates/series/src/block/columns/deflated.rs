//! Octets of texts, deflated (RFC 1951) where that makes them fewer. PostgreSQL's own compression does not reach them:
//! it looks at the beginning of a block, and gives up.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use crate::block::octets::{Octets, put_unsigned};
use crate::block::{Error, MAX_TEXT, Result};

/// Beyond this, zlib's default, time is spent for little.
const LEVEL: u8 = 6;
/// Fewer octets are not tried.
const LEAST: usize = 64;
/// In place of the number of deflated octets.
const PLAIN: u64 = 0;

pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    let deflated = (LEAST..=MAX_TEXT).contains(&text.len()).then(|| compress_to_vec(text, LEVEL));
    match deflated.filter(|deflated| deflated.len() < text.len()) {
        Some(deflated) => {
            put_unsigned(deflated.len() as u64, out);
            out.extend(deflated);
        }
        None => {
            put_unsigned(PLAIN, out);
            out.extend(text);
        }
    }
}

/// So many octets of text.
pub(super) fn read(octets: &mut Octets<'_>, length: usize) -> Result<Vec<u8>> {
    let deflated = match octets.unsigned()? {
        PLAIN => return Ok(octets.take(length)?.to_vec()),
        deflated => octets.take(usize::try_from(deflated).map_err(|_| Error::Malformed)?)?,
    };
    if length > MAX_TEXT {
        return Err(Error::Malformed);
    }
    let mut text = vec![0; length];
    match decompress_slice_iter_to_slice(&mut text, [deflated].into_iter(), false, true) {
        Ok(found) if found == length => Ok(text),
        _ => Err(Error::Malformed),
    }
}
