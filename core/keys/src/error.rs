//! What can be wrong with keys that somebody wrote down.

use core::fmt;

/// Why a text is no key, or keys make no ring. Faults of a configuration; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not in the form that `abide keygen` prints.
    Form,
    /// The text has the right form but was damaged: its check digits do not fit.
    Damaged,
    /// A ring has no key, more than [`KeyRing::KEYS_MAX`](crate::KeyRing::KEYS_MAX), or the same one
    /// twice.
    Ring,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "a key looks like `k1.` and 2 and 43 more characters; `abide keygen` prints one"
            }
            Self::Damaged => "the key was damaged in copying: its check digits do not fit",
            Self::Ring => "a key ring needs 1 to 8 different keys",
        })
    }
}

impl core::error::Error for KeyError {}
