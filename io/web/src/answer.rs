//! What a response has to carry because of its session.

use abide_session::{Id, StoreError};
use abide_time::Time;
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::Error;
use crate::layer::Settings;

/// Seconds after which a client may try again: an outage of a store is over at once or takes long,
/// and a second spreads those who wait.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";

/// What a response has to tell the browser.
#[derive(Debug, Default)]
pub(crate) enum CookieChange {
    /// Nothing.
    #[default]
    None,
    /// An id, to be kept until then.
    Id(Id, Time),
    /// To forget its id.
    Remove,
    /// These cookies, whole.
    Texts(Vec<String>),
}

/// Tells the browser about its cookie, and of others that are left over if it changes; and caches to
/// whom the response belongs.
pub(crate) fn complete(
    headers: &mut HeaderMap,
    settings: &Settings,
    (change, left_over): (CookieChange, Vec<String>),
    now: Time,
) {
    vary(headers, &COOKIE);
    if let Some(name) = &settings.id_header {
        vary(headers, name);
    }
    let mut texts = match change {
        CookieChange::None => return,
        CookieChange::Id(id, until) => {
            let text = settings.cookie.text(id.text().as_str(), Some(until.since(now)));
            text.into_iter().collect()
        }
        CookieChange::Remove => vec![settings.cookie.removal()],
        CookieChange::Texts(texts) => texts,
    };
    texts.extend(left_over);
    for text in texts {
        // It is ASCII without control characters, which the cookie has made sure of.
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            headers.append(SET_COOKIE, value);
        }
    }
    keep_private(headers);
}

/// The response to a request whose session could not be kept.
pub(crate) fn refusal<B: Default>(error: &Error) -> Response<B> {
    let mut response = Response::new(B::default());
    if error.is_transient() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    } else {
        *response.status_mut() = status_of(error);
    }
    response
}

/// What a response says of an error that waiting does not help.
pub(crate) const fn status_of(error: &Error) -> StatusCode {
    match error {
        // Most likely because of what was sent (RFC 9110 section 15.5.14).
        Error::Store(StoreError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Adds a field name to `Vary`, unless it is there.
fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    let listed = headers.get_all(VARY).iter().any(|value| {
        directives(value).any(|listed| listed == "*" || listed.eq_ignore_ascii_case(name.as_str()))
    });
    if !listed {
        headers.append(VARY, HeaderValue::from(name.clone()));
    }
}

/// No cache that serves several people may keep the response, whatever the handler allowed.
fn keep_private(headers: &mut HeaderMap) {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private");
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, PRIVATE);
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in directives(value) {
            let name = directive.split('=').next().unwrap_or_default().trim();
            if ["no-store", "private"].iter().any(|private| directive.eq_ignore_ascii_case(private))
            {
                return;
            }
            if !["public", "s-maxage"].iter().any(|shared| name.eq_ignore_ascii_case(shared)) {
                kept.push(directive);
            }
        }
    }
    kept.insert(0, "private");
    let value = HeaderValue::try_from(kept.join(", "));
    headers.insert(CACHE_CONTROL, value.unwrap_or(PRIVATE));
}

fn directives(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim).filter(|directive| !directive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(cache_control: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in cache_control {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        keep_private(&mut headers);
        let all: Vec<_> =
            headers.get_all(CACHE_CONTROL).iter().map(|v| v.to_str().unwrap()).collect();
        all.join(" | ")
    }

    #[test]
    fn a_response_with_a_cookie_is_private() {
        for (given, expected) in [
            (&[][..], "private"),
            (&["max-age=60"], "private, max-age=60"),
            (&["public, max-age=60, s-maxage=600"], "private, max-age=60"),
            (&["Public", "S-MaxAge=5"], "private"),
            (&["no-store"], "no-store"),
            (&["private, max-age=60"], "private, max-age=60"),
            // Private for one field only is not private.
            (&["private=\"x-a\""], "private, private=\"x-a\""),
        ] {
            assert_eq!(guarded(given), expected, "{given:?}");
        }
    }

    #[test]
    fn vary_names_the_cookie_once() {
        for (given, expected) in [
            (&[][..], &["cookie"][..]),
            (&["accept, Cookie"], &["accept, Cookie"]),
            (&["*"], &["*"]),
            (&["accept"], &["accept", "cookie"]),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(VARY, HeaderValue::from_static(value));
            }
            vary(&mut headers, &COOKIE);
            assert!(headers.get_all(VARY).iter().eq(expected.iter()), "{given:?}");
        }
    }
}
