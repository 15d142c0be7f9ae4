//! LZ4 blocks, one for each value that gets smaller by it.
//!
//! LZ4 because it is quick on values of a few hundred bytes, has no header, and expands in one pass
//! into a buffer of known length. Safe Rust in both directions.

use alloc::vec::Vec;

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

/// The value as a block, if that is worth while. `room` is only memory to work in.
///
/// Nothing of one value is used for another, so that the length of a block depends on its value
/// alone.
pub(super) fn compress<'a>(value: &[u8], room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if value.len() < VALUE_BYTES_MIN {
        return None;
    }
    let needed = get_maximum_output_size(value.len());
    if room.len() < needed {
        room.resize(needed, 0);
    }
    let length = compress_into(value, room).ok()?;
    let worth_while = value.len().saturating_sub(value.len() >> GAIN_SHIFT);
    room.get(..length).filter(|block| block.len() < worth_while)
}

/// Expands a block to exactly the length of `value`. False if it is no block of that length.
pub(super) fn expand(block: &[u8], value: &mut [u8]) -> bool {
    decompress_into(block, value).is_ok_and(|length| length == value.len())
}

/// Shorter values hardly repeat anything, and trying costs half a microsecond.
const VALUE_BYTES_MIN: usize = 64;
/// A block must save a thirty-second of the value, or it is not worth expanding it with each request.
const GAIN_SHIFT: u32 = 5;
