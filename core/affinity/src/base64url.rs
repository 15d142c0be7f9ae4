//! base64url without padding (RFC 4648 section 5), for values that everybody may see.
//!
//! Looks characters up in a table, which is several times as fast as the constant time of the crate
//! that reads keys, and right here: what is decoded came from the client. Strict: there is one text
//! for each value, so no other characters, no padding, and no bits left over.

use alloc::string::String;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const INVALID: u8 = 0xff;

/// The value of each character, or [`INVALID`].
#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs when compiled, where a fault is an error"
)]
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Fills `bytes` from a text that has exactly as many; `None` if it has not, or is malformed.
pub(crate) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len().checked_mul(4)?.div_ceil(3) {
        return None;
    }
    // Values are below 64, so all of them together tell whether one was invalid.
    let mut seen = 0;
    let mut left_over = 0;
    for (characters, bytes) in text.chunks(4).zip(bytes.chunks_mut(3)) {
        let word = characters.iter().fold(0_u32, |word, character| {
            let value = VALUES.get(usize::from(*character)).copied().unwrap_or(INVALID);
            seen |= value;
            (word << 6) | u32::from(value)
        });
        let missing_bits = match characters.len() {
            4 => 0,
            3 => 6,
            2 => 12,
            _ => return None,
        };
        let [_, decoded @ ..] = (word << missing_bits).to_be_bytes();
        for (byte, decoded) in bytes.iter_mut().zip(decoded) {
            *byte = decoded;
        }
        left_over |= decoded.iter().skip(bytes.len()).fold(0, |bits, byte| bits | byte);
    }
    (seen < 64 && left_over == 0).then_some(())
}

/// The text of these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for triple in bytes.chunks(3) {
        let mut padded = [0; 4];
        for (place, byte) in padded.iter_mut().skip(1).zip(triple) {
            *place = *byte;
        }
        let word = u32::from_be_bytes(padded);
        let characters = triple.len().saturating_add(1);
        for shift in [18_u32, 12, 6, 0].into_iter().take(characters) {
            let value = usize::try_from((word >> shift) & 63).unwrap_or_default();
            text.push(ALPHABET.get(value).copied().unwrap_or_default().into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use base64ct::{Base64UrlUnpadded, Encoding as _};
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &[u8], bytes: usize) -> Option<Vec<u8>> {
        let mut value = vec![0; bytes];
        decode(text, &mut value).map(|()| value)
    }

    #[test]
    fn there_is_one_text_for_each_value() {
        assert_eq!(decoded(b"AA", 1), Some(vec![0]));
        for text in [&b"AB"[..], b"A", b"AA=", b"AAA", b"A+", b"A\xff"] {
            assert_eq!(decoded(text, 1), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn encodes_as_another_implementation_does(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let text = encode(&bytes);
            prop_assert_eq!(&text, &Base64UrlUnpadded::encode_string(&bytes));
            prop_assert_eq!(decoded(text.as_bytes(), bytes.len()), Some(bytes));
        }

        #[test]
        fn decodes_only_what_it_would_encode(
            text in prop_oneof!["[A-Za-z0-9_-]{0,12}", "[A-D=+/ ]{0,12}"],
            bytes in 0_usize..10,
        ) {
            if let Some(value) = decoded(text.as_bytes(), bytes) {
                prop_assert_eq!(encode(&value), text);
            }
        }
    }
}
