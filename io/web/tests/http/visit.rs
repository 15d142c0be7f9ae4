//! A visit: one request whose handler stands in the test.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use abide::{Error, Session, SessionLayer};
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use tower::{Layer, ServiceExt, service_fn};

/// What a browser keeps of one site, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(pub(crate) BTreeMap<String, String>);

/// What came of a visit.
#[derive(Debug)]
pub(crate) struct Visit<T> {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What the handler gave.
    pub(crate) outcome: Result<T, String>,
}

impl Jar {
    /// Sends one request that `handler` answers; an error of it is the response.
    pub(crate) async fn visit<T>(
        &mut self,
        layer: &SessionLayer,
        handler: impl AsyncFnOnce(Session) -> Result<T, Error>,
    ) -> Visit<T> {
        let mut request = Request::builder().uri("/");
        if !self.0.is_empty() {
            let pairs: Vec<_> =
                self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let request = request.body(Body::empty()).unwrap();
        let outcome = Cell::new(None);
        let mut handler = Some(handler);
        let service = service_fn(|request: Request<Body>| {
            let handler = handler.take().expect("one request");
            let outcome = &outcome;
            async move {
                let session = request.extensions().get::<Session>().unwrap().clone();
                let answer = handler(session).await;
                let response = match &answer {
                    Ok(_) => Response::new(Body::empty()),
                    Err(_) if is_transient(&answer) => {
                        StatusCode::SERVICE_UNAVAILABLE.into_response()
                    }
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                };
                outcome.set(Some(answer.map_err(|error| error.to_string())));
                Ok::<_, Infallible>(response)
            }
        });
        let Ok(response) = layer.layer(service).oneshot(request).await;
        let headers = response.headers().clone();
        for text in headers.get_all(header::SET_COOKIE) {
            self.apply(text.to_str().unwrap());
        }
        let outcome = outcome.take().expect("the handler was asked");
        Visit { status: response.status(), headers, outcome }
    }

    fn apply(&mut self, set_cookie: &str) {
        let (pair, attributes) = set_cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if attributes.contains("Max-Age=0;") {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Another browser that somebody copied this one's cookies to.
    pub(crate) fn stolen(&self) -> Self {
        self.clone()
    }
}

impl<T> Visit<T> {
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let texts = self.headers.get_all(header::SET_COOKIE).iter();
        texts.map(|text| text.to_str().unwrap()).collect()
    }
}

fn is_transient<T>(answer: &Result<T, Error>) -> bool {
    answer.as_ref().err().is_some_and(Error::is_transient)
}
