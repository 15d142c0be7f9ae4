//! The key ring of a command: from a file, from the environment, or drawn here and now.

use std::path::Path;

use abide_keys::{Key, KeyError, KeyRing};

use super::surroundings::{KEYS_VARIABLE, Surroundings};
use super::value::unreadable;
use super::{Fault, Place, Problem, Reader};

/// The key ring, and whether it was drawn just now, so that it will be another one after a restart.
/// A file wins over the variable, as a flag does over all that is inherited.
pub(crate) fn key_ring(reader: &mut Reader, surroundings: &Surroundings<'_>) -> (KeyRing, bool) {
    let new = || Key::new(surroundings.random);
    let drawn = || KeyRing::new(vec![new()]).expect("one key makes a ring");
    if reader.has("keys-file") {
        let ring = reader.optional("keys-file", |path| {
            let text =
                (surroundings.read)(Path::new(path)).map_err(|error| unreadable(path, &error))?;
            parse(&text, path)
        });
        return (ring.unwrap_or_else(drawn), false);
    }
    let Some(text) = &surroundings.keys else {
        return (drawn(), true);
    };
    match parse(text, KEYS_VARIABLE) {
        Ok(ring) => (ring, false),
        Err(Fault { fault, remedy }) => {
            reader.note(Problem::at(&Place::Environment(KEYS_VARIABLE), "", fault, remedy));
            (drawn(), false)
        }
    }
}

/// One key a line; empty lines and those that begin with `#` do not count. No message shows a key.
fn parse(text: &str, whence: &str) -> Result<KeyRing, Fault> {
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let mut keys = Vec::new();
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
        keys.push(Key::parse(line).map_err(|error| {
            let what = match error {
                KeyError::Damaged => "was damaged in copying",
                _ => "is not a key",
            };
            let fault = format!("line {number} of {whence} {what}");
            Fault::new(fault, "print one with `abide keygen` and copy it whole")
        })?);
    }
    KeyRing::new(keys).map_err(|_error| {
        let fault = format!("{whence} holds no keys, more than 8, or one twice");
        Fault::new(fault, "put 1 to 8 different keys there, one a line; `abide keygen` prints them")
    })
}
