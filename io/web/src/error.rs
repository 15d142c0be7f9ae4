//! What can go wrong with a session, for the handler that uses it.

use std::{error, fmt};

use abide_session::{Cause, StoreError};

/// Why a session could not be read or written.
///
/// With the feature `axum` it is a response: 503 with `Retry-After` where trying again can help, 413
/// for what a session can not hold, 500 otherwise. The response says nothing of what the session holds.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The store could not do it; see [`StoreError`] for what to do and whether anything changed.
    Store(StoreError),
    /// A field does not hold what was asked for: it was written as another type, or by another
    /// version of the program. Nothing changed; set it or remove it.
    Decode {
        /// The field.
        field: String,
        /// What the decoder says.
        cause: Cause,
    },
    /// A value can not be encoded. Nothing changed.
    Encode {
        /// The field.
        field: String,
        /// What the encoder says.
        cause: Cause,
    },
    /// The session has ended since this request loaded it, and what the request recorded was
    /// dropped. Only calls that must know say so: [`Session::save`](crate::Session::save),
    /// [`Session::take`](crate::Session::take), [`Session::once`](crate::Session::once) and those for
    /// streams.
    Gone,
    /// Others changed the same field again and again while this request tried to. Nothing changed;
    /// try again.
    Conflict,
    /// The response is on its way, and the browser could no longer be told the id of a new or
    /// renewed session. Nothing changed.
    TooLate,
    /// Where sessions are kept, this can not be done; the text says what would be needed. Nothing
    /// changed.
    Unsupported(&'static str),
    /// There is no [`SessionLayer`](crate::SessionLayer) around the handler that asks for a
    /// session.
    LayerMissing,
}

impl Error {
    /// Whether the same request may well succeed a moment later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable(_) | StoreError::Full) | Self::Conflict)
    }

    /// Whether the same changes would meet it again, however often they are tried.
    pub(crate) const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::TooLarge(_) | StoreError::Incompatible(_))
                | Self::Decode { .. }
                | Self::Encode { .. }
                | Self::TooLate
                | Self::Unsupported(_)
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(cause) => cause.fmt(f),
            Self::Decode { field, cause } => {
                write!(f, "the session's field {field:?} does not decode: {cause}")
            }
            Self::Encode { field, cause } => {
                write!(f, "the value for the session's field {field:?} does not encode: {cause}")
            }
            Self::Gone => f.write_str("the session has ended"),
            Self::Conflict => f.write_str("the session was changed by others again and again"),
            Self::TooLate => f.write_str(
                "the response has begun, so a session can no longer begin or be renewed",
            ),
            Self::Unsupported(needs) => f.write_str(needs),
            Self::LayerMissing => f.write_str(
                "no session layer: add `.layer(SessionLayer::new(store))` to the router, after the \
                 routes that use `Session`",
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Store(cause) => cause.source(),
            Self::Decode { cause, .. } | Self::Encode { cause, .. } => Some(&**cause),
            Self::Gone
            | Self::Conflict
            | Self::TooLate
            | Self::Unsupported(_)
            | Self::LayerMissing => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(cause: StoreError) -> Self {
        Self::Store(cause)
    }
}
