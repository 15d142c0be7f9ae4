//! The request target, in the one form in which it goes on.

use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri};

/// Turns an absolute-form target into origin form with its `Host` (RFC 9112 section 3.2.2), and
/// refuses what is no request for a resource here.
pub(crate) fn to_origin_form<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    let uri = request.uri();
    if request.method() == Method::CONNECT {
        // RFC 9110 section 9.3.6: this is no way out to other hosts.
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if uri.authority().is_none() {
        let fits = uri.path().starts_with('/')
            || (uri.path() == "*" && request.method() == Method::OPTIONS);
        return if fits { Ok(()) } else { Err(StatusCode::BAD_REQUEST) };
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(StatusCode::BAD_REQUEST);
    }
    // "… MUST ignore the received Host header field (if any) and instead replace it".
    let host = uri.authority().map(|authority| authority.as_str().to_owned());
    let origin = uri.path_and_query().map_or("/", |target| target.as_str());
    let origin: Uri = origin.parse().map_err(|_invalid| StatusCode::BAD_REQUEST)?;
    let host = host.filter(|host| !host.contains('@')).ok_or(StatusCode::BAD_REQUEST)?;
    let host = HeaderValue::from_str(&host).map_err(|_invalid| StatusCode::BAD_REQUEST)?;
    *request.uri_mut() = origin;
    request.headers_mut().insert(header::HOST, host);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, target: &str) -> Result<(String, Option<String>), u16> {
        let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("other"));
        to_origin_form(&mut request).map_err(|status| status.as_u16())?;
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        Ok((request.uri().to_string(), Some(host)))
    }

    #[test]
    fn a_target_goes_on_in_origin_form() {
        let fine = |target: &str, host: &str| Ok((target.to_owned(), Some(host.to_owned())));
        assert_eq!(of(Method::GET, "/a?b=c"), fine("/a?b=c", "other"));
        assert_eq!(of(Method::GET, "http://shop.example/a?b"), fine("/a?b", "shop.example"));
        assert_eq!(of(Method::GET, "http://shop.example:81"), fine("/", "shop.example:81"));
        assert_eq!(of(Method::OPTIONS, "*"), fine("*", "other"));
    }

    #[test]
    fn what_is_no_request_for_a_resource_here_is_refused() {
        assert_eq!(of(Method::CONNECT, "shop.example:443"), Err(405));
        assert_eq!(of(Method::GET, "shop.example:443"), Err(400));
        assert_eq!(of(Method::GET, "*"), Err(400));
        assert_eq!(of(Method::GET, "ftp://shop.example/"), Err(400));
        assert_eq!(of(Method::GET, "http://user@shop.example/"), Err(400));
    }
}
