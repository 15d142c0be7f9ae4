//! What can go wrong in a store, grouped by what the caller can do.

use alloc::boxed::Box;
use core::{error, fmt};

use crate::record::FieldName;
use crate::seal::Seal;

/// What lies below an error: the driver's own, kept whole.
pub type Cause = Box<dyn error::Error + Send + Sync>;

/// Why a store could not do what it was asked.
///
/// An outcome that belongs to the life of a session (gone, conflict, unknown) is not an error: it
/// is a value of the call's own type.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store could not be reached, or did not answer in time. Retry later. Whether the call
    /// took effect is unknown; calling again is safe, because every call may be repeated.
    Unavailable(Cause),
    /// The store is at its limit and will not forget a live session to make room. Nothing changed.
    /// Retry after sessions have expired, or give the store more room.
    Full,
    /// The change would take the session past a limit. Nothing changed. Retrying does not help.
    TooLarge(Limit),
    /// What is stored under this id can not be read. Nothing changed. It stays as it is, for
    /// somebody to look at, until it expires or is ended.
    Corrupt(Cause),
    /// A counter or a set was to be changed in a field that holds something else. Nothing changed.
    /// Retrying does not help: set or remove the field first.
    Incompatible(FieldName),
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// A field's name is empty or longer than [`crate::MAX_FIELD_NAME_BYTES`].
    FieldName,
    /// More than [`crate::MAX_FIELDS`] fields.
    Fields,
    /// A value longer than [`crate::MAX_VALUE_BYTES`].
    Value,
    /// A record larger than [`crate::MAX_RECORD_BYTES`].
    Record,
    /// A subject is empty or longer than [`crate::MAX_SUBJECT_BYTES`].
    Subject,
    /// More than the cookies of a sealed session hold: [`crate::Seal::PARTS_MAX`] of them, and
    /// [`crate::Seal::VALUES_BYTES_MAX`] of values in all.
    Cookie,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(cause) => write!(f, "the session store is unavailable: {cause}"),
            Self::Full => f.write_str("the session store is full"),
            Self::TooLarge(limit) => write!(f, "{limit}"),
            Self::Corrupt(cause) => write!(f, "a stored session can not be read: {cause}"),
            Self::Incompatible(field) => {
                let field = field.as_str();
                write!(f, "the session's field {field:?} is not the counter or the set to change")
            }
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unavailable(cause) | Self::Corrupt(cause) => Some(&**cause),
            Self::Full | Self::TooLarge(_) | Self::Incompatible(_) => None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::limits as limit;
        match self {
            Self::FieldName => {
                write!(f, "a field name must have 1 to {} bytes", limit::MAX_FIELD_NAME_BYTES)
            }
            Self::Fields => write!(f, "a session can have {} fields", limit::MAX_FIELDS),
            Self::Value => write!(f, "a value can have {} bytes", limit::MAX_VALUE_BYTES),
            Self::Record => write!(f, "a session can have {} bytes", limit::MAX_RECORD_BYTES),
            Self::Subject => {
                write!(f, "a subject must have 1 to {} bytes", limit::MAX_SUBJECT_BYTES)
            }
            Self::Cookie => {
                let (cookies, bytes) = (Seal::PARTS_MAX, Seal::VALUES_BYTES_MAX);
                write!(f, "a sealed session can have {cookies} cookies and {bytes} bytes of values")
            }
        }
    }
}
