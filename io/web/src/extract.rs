//! The session as an axum extractor, and its errors as responses.

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::answer::RETRY_AFTER_SECONDS;
use crate::{Error, Session};

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::LayerMissing)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.is_transient() {
            let retry = [(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS))];
            let message = "sessions are not available right now; try again\n";
            return (StatusCode::SERVICE_UNAVAILABLE, retry, message).into_response();
        }
        tracing::error!(error = %self, "a handler gave up on its session");
        let message = match self {
            Self::LayerMissing => self.to_string(),
            _ => "the session can not be used\n".to_owned(),
        };
        (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
    }
}
