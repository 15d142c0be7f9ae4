//! base64url without padding (RFC 4648 section 5), for values that everybody may see.
//!
//! It looks characters up in a table, which is several times as fast as the constant time of the
//! crate that reads keys, and right here: what is decoded came from the client. Strict: there is one
//! text for each value, so no other characters, no padding, and no bits left over.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text of these bytes.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the text of these bytes.
pub fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// How many characters the text of so many bytes has.
pub const fn encoded_len(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// Fills `bytes` from a text that has exactly as many. `None` if it has not, or is malformed; then
/// `bytes` may hold anything.
pub fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != encoded_len(bytes.len()) {
        return None;
    }
    URL_SAFE_NO_PAD
        .decode_slice(text, bytes)
        .ok()
        .filter(|filled| *filled == bytes.len())
        .map(|_| ())
}

/// Appends the bytes of a text. `None` if it is malformed; then anything may have been appended.
pub fn decode_onto(text: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_vec(text, bytes).ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use base64ct::{Base64UrlUnpadded, Encoding as _};
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &[u8], bytes: usize) -> Option<Vec<u8>> {
        let mut value = vec![0; bytes];
        decode(text, &mut value).map(|()| value)
    }

    fn appended(text: &[u8]) -> Option<Vec<u8>> {
        let mut value = vec![7];
        decode_onto(text, &mut value)?;
        assert_eq!(value.remove(0), 7);
        Some(value)
    }

    #[test]
    fn there_is_one_text_for_each_value() {
        assert_eq!(decoded(b"AA", 1), Some(vec![0]));
        assert_eq!(appended(b"AA"), Some(vec![0]));
        for text in [&b"AB"[..], b"A", b"AA=", b"AA==", b"AAA", b"A+", b"A\xff"] {
            assert_eq!(decoded(text, 1), None, "{}", text.escape_ascii());
        }
        for text in [&b"AB"[..], b"A", b"AA=", b"AA==", b"AAB", b"A+", b"A\xff", b"AA\n"] {
            assert_eq!(appended(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn encodes_as_another_implementation_does(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(&text, &Base64UrlUnpadded::encode_string(&bytes));
            let mut longer = String::from("1");
            encode_onto(&bytes, &mut longer);
            prop_assert_eq!(longer.strip_prefix("1"), Some(text.as_str()));
            prop_assert_eq!(appended(text.as_bytes()), Some(bytes.clone()));
            prop_assert_eq!(decoded(text.as_bytes(), bytes.len()), Some(bytes));
        }

        #[test]
        fn decodes_only_what_it_would_encode(
            text in prop_oneof!["[A-Za-z0-9_-]{0,12}", "[A-D=+/ ]{0,12}"],
            bytes in 0_usize..10,
        ) {
            if let Some(value) = decoded(text.as_bytes(), bytes) {
                prop_assert_eq!(&encode(&value), &text);
            }
            if let Some(value) = appended(text.as_bytes()) {
                prop_assert_eq!(encode(&value), text);
            }
        }
    }
}
