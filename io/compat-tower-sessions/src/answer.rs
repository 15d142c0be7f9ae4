//! What a response has to carry because of its session.

use abide_session::StoreError;
use http::header::{CACHE_CONTROL, COOKIE, RETRY_AFTER, SET_COOKIE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Seconds after which a client may try again: an outage of a store is over at once or takes long,
/// and a second spreads those who wait.
const RETRY_AFTER_SECONDS: &str = "1";

/// Tells the browser about its cookie, and caches to whom the response belongs.
pub(crate) fn complete(headers: &mut HeaderMap, cookie: Option<String>) {
    vary_by_cookie(headers);
    // The text is ASCII without control characters, which the cookie has made sure of.
    if let Some(mut value) = cookie.and_then(|text| HeaderValue::try_from(text).ok()) {
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
        keep_private(headers);
    }
}

/// The response to a request whose session could not be kept.
pub(crate) fn refusal<B: Default>(is_transient: bool) -> Response<B> {
    let mut response = Response::new(B::default());
    if is_transient {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    } else {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

/// Whether the same request may well succeed a moment later.
pub(crate) const fn is_transient(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Full)
}

fn vary_by_cookie(headers: &mut HeaderMap) {
    let listed = headers
        .get_all(VARY)
        .iter()
        .flat_map(directives)
        .any(|listed| listed == "*" || listed.eq_ignore_ascii_case(COOKIE.as_str()));
    if !listed {
        headers.append(VARY, HeaderValue::from(COOKIE));
    }
}

/// No cache that serves several people may keep the response, whatever the handler allowed (RFC
/// 9111, section 7.3).
fn keep_private(headers: &mut HeaderMap) {
    let mut kept = vec!["private"];
    for directive in headers.get_all(CACHE_CONTROL).iter().flat_map(directives) {
        let name = directive.split('=').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "no-store" => return,
            // Private for some fields only is not private.
            "private" | "public" | "s-maxage" => {}
            _ => kept.push(directive),
        }
    }
    let value = HeaderValue::try_from(kept.join(", "));
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private")));
}

fn directives(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim).filter(|directive| !directive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_with_a_cookie_is_private_and_varies_once() {
        for (cache_control, vary, expected) in [
            (None, None, "private"),
            (Some("max-age=60"), Some("accept, Cookie"), "private, max-age=60"),
            (Some("Public, max-age=60, s-maxage=600"), Some("*"), "private, max-age=60"),
            (Some("no-store"), None, "no-store"),
            (Some("private, max-age=60"), None, "private, max-age=60"),
            (Some("private=\"x-a\""), None, "private"),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(cache_control.map(|v| (CACHE_CONTROL, HeaderValue::from_static(v))));
            headers.extend(vary.map(|v| (VARY, HeaderValue::from_static(v))));
            complete(&mut headers, Some("id=1".to_owned()));
            assert_eq!(headers[CACHE_CONTROL], expected);
            assert_eq!(headers[VARY], vary.unwrap_or("cookie"));
            assert_eq!(headers[SET_COOKIE], "id=1");
        }
    }

    #[test]
    fn a_response_without_a_cookie_may_be_cached() {
        let mut headers = HeaderMap::new();
        complete(&mut headers, None);
        assert!(!headers.contains_key(CACHE_CONTROL) && headers.contains_key(VARY));
    }
}
