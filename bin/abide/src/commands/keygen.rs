//! `abide keygen`: new keys.

use std::io::{self, IsTerminal, Write};

use abide_keys::{Key, KeyRing};
use serde_json::json;

use super::FlagReader;
use crate::arguments::Keygen;
use crate::configuration::{Fault, Problems};
use crate::failure::Failure;
use crate::process;

/// Prints keys. This is the one place that shows a secret, because it was asked for.
pub(crate) fn keygen(arguments: &Keygen) -> Result<(), Failure> {
    let mut reader = FlagReader::new([("count", arguments.count.clone())]);
    let count = reader.read("count", |text| {
        let count = text.parse().ok().filter(|count| (1..=KeyRing::KEYS_MAX).contains(count));
        let remedy = "write a whole number from 1 to 8, the most that a ring holds";
        count.ok_or_else(|| Fault::new(format!("`{text}` is out of range"), remedy))
    });
    Problems::check(reader.into_problems())?;
    let keys: Vec<String> =
        (0..count.unwrap_or(1)).map(|_| new_key()).collect::<Result<_, Failure>>()?;
    if arguments.json {
        return process::print_json(&json!({ "keys": keys }));
    }
    process::print(&format!("{}\n", keys.join("\n")))?;
    if io::stdout().is_terminal() {
        // For a person. If nobody reads standard error, the keys are there all the same.
        _ = writeln!(
            io::stderr(),
            "\nWhoever has a key can read and make what it seals. To have it in a file, not on the \
             screen:\n  (umask 077; abide keygen > keys)"
        );
    }
    Ok(())
}

/// A key from the system's randomness, as text.
pub(crate) fn new_key() -> Result<String, Failure> {
    let mut secret = [0; Key::BYTES];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::Other(format!("the system gives no random bytes: {error}")))?;
    Ok(Key::new(secret).expose().to_string())
}
