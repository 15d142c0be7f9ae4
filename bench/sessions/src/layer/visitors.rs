//! Those who send the requests.

use std::time::Duration;

use abide_bench_sessions::turns::cpu_time;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{ACCEPT, ACCEPT_ENCODING, COOKIE, HOST, SET_COOKIE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::Kind;

/// An app and those who visit it.
pub struct Visitors {
    new_app: fn() -> Router,
    app: Router,
    /// The whole `Cookie` field of each visitor; empty for an app without sessions.
    cookies: Vec<HeaderValue>,
    next: usize,
    runtime: Runtime,
}

impl Visitors {
    /// An app whose store holds so many sessions, if it has a store.
    pub fn new(new_app: fn() -> Router, sessions: usize) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without I/O starts");
        let app = ready(new_app);
        let mut visitors = Self { new_app, app, cookies: Vec::new(), next: 0, runtime };
        for _ in 0..sessions {
            let response = visitors.ask("/fill", None);
            visitors.cookies.push(
                cookie_of(&response).unwrap_or(HeaderValue::from_static("theme=dark; seen=1")),
            );
        }
        visitors
    }

    /// Makes sure that the app does what is measured.
    pub fn check(&mut self) {
        let cookie = self.cookies.first().expect("somebody has visited the app").clone();
        for (path, begins) in [
            ("/untouched", "Ada Lovelace has 3 pieces"),
            ("/read", "Ada Lovelace has 3 pieces"),
            ("/update", "Ada Lovelace has 4 pieces"),
            ("/write", "Ada Lovelace has 4 pieces and looks at /products/"),
        ] {
            let response = self.ask(path, Some(&cookie));
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let response = self.ask("/show", Some(&cookie));
            let body = self.runtime.block_on(to_bytes(response.into_body(), 1024));
            let body = body.expect("an answer of this app is short");
            let text = String::from_utf8_lossy(&body);
            assert!(text.starts_with(begins), "after {path} the session is: {text}");
        }
        let untouched = self.ask("/untouched", None);
        assert!(cookie_of(&untouched).is_none(), "a visit that writes nothing gives no cookie");
        let first = self.ask("/first", None);
        let cookie = cookie_of(&first).expect("a first visit that writes gives a cookie");
        assert!(self.cookies.iter().all(|other| *other != cookie), "a session of its own");
        self.cookies[0] = self.ask_for_cookie();
    }

    /// Sends so many requests of a kind; gives the CPU time.
    pub fn send(&mut self, kind: Kind, requests: u32) -> Duration {
        if kind.path == "/first" {
            // Or the store would grow from turn to turn.
            self.app = ready(self.new_app);
        }
        let Self { app, cookies, next, runtime, .. } = self;
        cpu_time(|| {
            // A server's task begins with a full budget for each request; so that it never ends
            // here, there is none.
            runtime.block_on(tokio::task::unconstrained(async {
                for _ in 0..requests {
                    *next = (*next + 1) % cookies.len();
                    let request = request(kind.path, kind.known.then(|| &cookies[*next]));
                    let response = app.clone().oneshot(request).await;
                    let response = response.expect("an app answers");
                    assert_eq!(response.status(), StatusCode::OK);
                }
            }));
        })
    }

    fn ask_for_cookie(&self) -> HeaderValue {
        cookie_of(&self.ask("/fill", None)).expect("a filled session has a cookie")
    }

    fn ask(&self, path: &'static str, cookie: Option<&HeaderValue>) -> Response<Body> {
        let answer = self.app.clone().oneshot(request(path, cookie));
        self.runtime.block_on(answer).expect("an app answers")
    }
}

/// An app as `axum::serve` takes it: each handler made a service once, not with each request.
fn ready(new_app: fn() -> Router) -> Router {
    new_app().with_state(())
}

/// A request as a browser sends it, with two cookies of others before ours.
fn request(path: &'static str, cookie: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("shop.example.org"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br"));
    if let Some(cookie) = cookie {
        headers.insert(COOKIE, cookie.clone());
    }
    request
}

/// The `Cookie` field of a browser that got this response.
fn cookie_of(response: &Response<Body>) -> Option<HeaderValue> {
    let set = response.headers().get(SET_COOKIE)?.to_str().expect("cookies are ASCII");
    let pair = set.split(';').next().unwrap_or_default();
    HeaderValue::from_str(&format!("theme=dark; seen=1; {pair}")).ok()
}
