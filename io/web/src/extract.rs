//! The session and all sessions as axum extractors, and errors as responses.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::answer::{RETRY_AFTER_SECONDS, status_of};
use crate::{Error, Session, Sessions, StoreError};

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::LayerMissing)
    }
}

impl<S: Sync> FromRequestParts<S> for Sessions {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get::<Session>().map(Session::sessions).ok_or(Error::LayerMissing)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.is_transient() {
            let retry = [(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS))];
            let message = "sessions are not available right now; try again\n";
            return (StatusCode::SERVICE_UNAVAILABLE, retry, message).into_response();
        }
        if let Self::Store(StoreError::TooLarge(_)) = self {
            return (status_of(&self), format!("{self}\n")).into_response();
        }
        tracing::error!(target: "abide::session", error = %self, "a handler gave up on its session");
        let status = status_of(&self);
        let message = match self {
            Self::LayerMissing | Self::Unsupported(_) => self.to_string(),
            _ => "the session can not be used\n".to_owned(),
        };
        (status, message).into_response()
    }
}
