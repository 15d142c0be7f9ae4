//! Who may ask a listener for operators, and for what.
//!
//! Everybody may ask whether the process lives and is ready. For all else a token is asked for, if one
//! is set, and one is set wherever another machine can connect. Without one whoever reaches the listener
//! may look, and an order needs the header `X-Abide-Admin`: no page of another site can send that to a
//! loopback address without a preflight request, which fails.

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};

use crate::config::{Admin, Token};

impl Admin {
    /// The answer to a request that may not be made; `None` if it may. Nothing is read but its method,
    /// path and header fields.
    pub fn refusal<B>(&self, request: &Request<B>) -> Option<Response<&'static str>> {
        let looks = matches!(*request.method(), Method::GET | Method::HEAD);
        if looks && matches!(request.uri().path(), "/health" | "/ready") {
            return None;
        }
        let fields = request.headers();
        let Some(Token(token)) = &self.token else {
            let may = looks || fields.contains_key("x-abide-admin");
            let told = "an order needs the header X-Abide-Admin, so that no web page can give it\n";
            return (!may).then(|| refuse(StatusCode::FORBIDDEN, told));
        };
        let given = fields.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        (!same(given, token.as_bytes())).then(|| {
            let mut answer = refuse(StatusCode::UNAUTHORIZED, "a token is needed\n");
            let scheme = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            answer
        })
    }
}

/// Compares without telling by its time how much was right.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given.iter().zip(wanted).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == wanted.len() && differences == 0
}

fn refuse(status: StatusCode, text: &'static str) -> Response<&'static str> {
    let mut answer = Response::new(text);
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(token: Option<&str>, method: &str, path: &str, field: (&str, &str)) -> u16 {
        let listen = "127.0.0.1:1".parse().unwrap();
        let admin = Admin { listen, token: token.map(|token| Token(token.to_owned())) };
        let request = Request::builder().method(method).uri(path).header(field.0, field.1);
        admin.refusal(&request.body(()).unwrap()).map_or(200, |answer| answer.status().as_u16())
    }

    #[test]
    fn whoever_reaches_it_may_look_and_gives_an_order_with_the_header_alone() {
        let asked = |method, path, name| status(None, method, path, (name, "1"));
        assert_eq!(asked("GET", "/metrics", "x-other"), 200);
        assert_eq!(asked("POST", "/servers/a/drain", "x-other"), 403);
        assert_eq!(asked("POST", "/health", "x-other"), 403);
        assert_eq!(asked("POST", "/servers/a/drain", "x-abide-admin"), 200);
    }

    #[test]
    fn where_a_token_is_set_nothing_but_health_and_ready_goes_without() {
        let token = "a-token-of-operators";
        let bearer = format!("Bearer {token}");
        let asked =
            |method, path, value| status(Some(token), method, path, ("authorization", value));
        for path in ["/health", "/ready"] {
            assert_eq!(asked("GET", path, ""), 200);
            assert_eq!(asked("POST", path, ""), 401);
        }
        for (method, path) in
            [("GET", "/metrics"), ("GET", "/cluster"), ("POST", "/cluster/lost/b")]
        {
            assert_eq!(asked(method, path, &bearer), 200);
            for wrong in ["", token, "Bearer ", "Bearer a-token", "Bearer a-token-of-operatorS"] {
                assert_eq!(asked(method, path, wrong), 401, "{method} {path} {wrong}");
            }
            let header = ("x-abide-admin", "1");
            assert_eq!(status(Some(token), method, path, header), 401, "the header is no token");
        }
    }
}
