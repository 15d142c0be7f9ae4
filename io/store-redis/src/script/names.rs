//! What the scripts and the rest of this crate agree on, by the names that stand for it in the scripts.
//!
//! It is put in as text. A local of Lua that a function uses is made anew with the function whenever the
//! script runs, which is a tenth of what a short script takes.

use abide_session::{MAX_FIELDS, MAX_RECORD_BYTES, MAX_VALUE_BYTES};

use super::reply;
use crate::format::{ENDED, LIVE, META_BYTES, MOVED, SLACK_MS, VERSION};

/// The meta of a session, as the scripts read and write it: `lib.rs` says what stands where.
const META: &str = "'>BBI6I6I6I6c8c8I6I2I2I4'";
/// The name of the subject.
const SUBJECT: &str = r"'\255'";
/// What [`abide_session::Record::size`] counts for a record and for a field, besides what is in them.
const RECORD_BYTES: usize = 160;
const FIELD_BYTES: usize = 96;

/// The script with the names filled in.
pub(super) fn filled_in(script: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut text = String::with_capacity(script.len());
    for part in script.split_inclusive(|letter| !is_word(letter)) {
        let word = part.trim_end_matches(|letter| !is_word(letter));
        match meaning(word) {
            Some(meaning) => text.extend([&*meaning, part.strip_prefix(word).unwrap_or_default()]),
            None => text.push_str(part),
        }
    }
    text
}

/// What a name stands for.
fn meaning(name: &str) -> Option<String> {
    Some(match name {
        "GONE" => reply::GONE.to_string(),
        "DONE" => reply::DONE.to_string(),
        "CONFLICT" => reply::CONFLICT.to_string(),
        "STUB" => reply::STUB.to_string(),
        "TOO_LARGE" => reply::TOO_LARGE.to_string(),
        "INCOMPATIBLE" => reply::INCOMPATIBLE.to_string(),
        "NEWER" => reply::NEWER.to_string(),
        "CORRUPT" => reply::CORRUPT.to_string(),
        "UNBOUND" => reply::UNBOUND.to_string(),
        "VERSION" => VERSION.to_string(),
        "LIVE" => LIVE.to_string(),
        "MOVED" => MOVED.to_string(),
        "ENDED" => ENDED.to_string(),
        "META" => META.to_owned(),
        "META_BYTES" => META_BYTES.to_string(),
        "SUBJECT" => SUBJECT.to_owned(),
        "SLACK_MS" => SLACK_MS.to_string(),
        "MAX_FIELDS" => MAX_FIELDS.to_string(),
        "MAX_VALUE_BYTES" => MAX_VALUE_BYTES.to_string(),
        "MAX_RECORD_BYTES" => MAX_RECORD_BYTES.to_string(),
        "RECORD_BYTES" => RECORD_BYTES.to_string(),
        "FIELD_BYTES" => FIELD_BYTES.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_where_they_stand_as_words() {
        let script =
            "local a = {GONE, MAX_FIELDS}\nif b ~= META_BYTES+1 then return NO_DONE end -- DONE";
        let filled = "local a = {0, 256}\nif b ~= 56+1 then return NO_DONE end -- 1";
        assert_eq!(filled_in(script), filled);
    }

    #[test]
    fn sizes_are_counted_as_the_session_layer_counts_them() {
        use abide_session::{FieldName, Record, Stamp, Stamped};

        let mut record = Record::default();
        assert_eq!(record.size(), RECORD_BYTES);
        let field = Stamped::new(Stamp::new(1, 0), Some(bytes::Bytes::from_static(b"value")));
        record.fields.insert(FieldName::new("name").unwrap(), field);
        assert_eq!(record.size(), RECORD_BYTES + FIELD_BYTES + 9);
    }
}
