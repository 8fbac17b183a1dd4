//! Words packed by [pco](https://docs.rs/pco), in its "wrapped" format: a chunk of one page, without the header and
//! the length that a file of its own would have.

use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::block::{Error, Result};

/// Higher ones take longer and save nothing on camera metrics.
const LEVEL: usize = 8;

/// Words as they are, and the difference to the one before. (Of pco 1.1's others, what a convolution of the last six
/// words leads to expect would save some 3 % of camera metrics, and panics where a few words are left after the last
/// 512; looking back is slow and lets a few octets claim hundreds of megabytes, as do its other modes.)
const WAYS: [DeltaSpec; 2] = [DeltaSpec::NoOp, DeltaSpec::TryConsecutive(1)];

/// Of pco's format, with which each packed column begins.
const MAJOR: u8 = 4;
const NEWEST_MINOR: u8 = 1;
/// The next octet is pco's mode and its differences, four bits each. What is not written here is not read.
const NO_DIFFERENCES: u8 = 0x00;
const CONSECUTIVE: u8 = 0x10;

/// The words in the fewest octets of all ways that are tried; `None` where pco has none that leads back to them.
pub(super) fn pack<T: Number>(words: &[T]) -> Option<Vec<u8>> {
    let packed = WAYS.into_iter().filter_map(|way| pack_by(words, way)).min_by_key(Vec::len)?;
    // The rows that a block is made of are deleted.
    let is_exact =
        unpack::<T>(&packed, words.len()).is_ok_and(|(found, rest)| found == words && rest.is_empty());
    is_exact.then_some(packed)
}

fn pack_by<T: Number>(words: &[T], way: DeltaSpec) -> Option<Vec<u8>> {
    let config = ChunkConfig::default()
        .with_compression_level(LEVEL)
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(way)
        .with_enable_8_bit(true);
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(words, &config).ok()?;
    let out = Vec::with_capacity(chunk.meta_size_hint() + chunk.page_size_hint(0));
    let out = chunk.write_meta(file.write_header(out).ok()?).ok()?;
    chunk.write_page(0, out).ok()
}

/// So many words, and the octets behind them.
pub(super) fn unpack<T: Number>(octets: &[u8], count: usize) -> Result<(Vec<T>, &[u8])> {
    match octets {
        [MAJOR, 0..=NEWEST_MINOR, NO_DIFFERENCES | CONSECUTIVE, ..] => {
            unpack_checked(octets, count).map_err(|_| Error::Malformed)
        }
        _ => Err(Error::Malformed),
    }
}

fn unpack_checked<T: Number>(octets: &[u8], count: usize) -> pco::errors::PcoResult<(Vec<T>, &[u8])> {
    let (file, rest) = FileDecompressor::new(octets)?;
    let (mut chunk, rest) = file.chunk_decompressor(rest)?;
    let mut page = chunk.page_decompressor(rest, count)?;
    let mut words = vec![T::default(); count];
    page.read(&mut words)?;
    Ok((words, page.into_src()))
}
