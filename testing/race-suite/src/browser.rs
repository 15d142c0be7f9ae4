//! A browser: a jar of cookies, and requests that may overlap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{COOKIE, HOST, RETRY_AFTER, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use tokio::task::{JoinError, JoinHandle};

use crate::connections::Connections;
use crate::gate::Gate;
use crate::jar::Jar;
use crate::race::{Bad, bad};

/// A browser. Clones are tabs: they share the jar.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    servers: Arc<[Connections]>,
    jar: Arc<Mutex<Jar>>,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    target: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    /// Whether it told the browser about any cookie.
    pub(crate) sets_cookie: bool,
    pub(crate) says_when_to_retry: bool,
}

/// Asks without changing anything.
pub(crate) fn get(target: impl Into<String>) -> Ask {
    Ask { method: Method::GET, target: target.into() }
}

/// Asks for a change.
pub(crate) fn post(target: impl Into<String>) -> Ask {
    Ask { method: Method::POST, target: target.into() }
}

impl Ask {
    /// The same, waiting at this gate between what the handler reads and what it writes.
    pub(crate) fn held_at(self, gate: &Gate) -> Self {
        self.with(&format!("gate={}", gate.number()))
    }

    /// The same, stepping aside so often between what the handler reads and what it writes.
    pub(crate) fn dawdling(self, yields: u32) -> Self {
        self.with(&format!("yields={yields}"))
    }

    fn with(mut self, parameter: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(parameter);
        self
    }
}

impl Browser {
    pub(crate) fn new(servers: &Arc<[Connections]>) -> Self {
        Self { servers: Arc::clone(servers), jar: Arc::default() }
    }

    /// Somebody with a copy of these cookies, as they are now.
    pub(crate) fn copied(&self) -> Self {
        let jar = self.jar().clone();
        Self { servers: Arc::clone(&self.servers), jar: Arc::new(Mutex::new(jar)) }
    }

    /// The cookies.
    pub(crate) fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to a server, and obeys the response.
    pub(crate) async fn send(&self, server: usize, ask: Ask) -> Answer {
        let mut request = Request::builder().method(ask.method).uri(ask.target).header(HOST, "a");
        if let Some(cookies) = self.jar().field() {
            request = request.header(COOKIE, cookies);
        }
        let request = request.body(Empty::new()).expect("what a race asks for is a request");
        let server = self.servers.get(server).expect("there are as many servers as races use");
        let response = server.send(request).await;
        self.obey(&response)
    }

    /// Sends a request in the background.
    pub(crate) fn begin(&self, server: usize, ask: Ask) -> JoinHandle<Answer> {
        let browser = self.clone();
        tokio::spawn(async move { browser.send(server, ask).await })
    }

    /// Sends a request that waits at a gate, and returns when it is there.
    pub(crate) async fn hold(
        &self,
        server: usize,
        ask: Ask,
        gate: &Gate,
    ) -> Result<JoinHandle<Answer>, Bad> {
        let mut request = self.begin(server, ask.clone().held_at(gate));
        tokio::select! {
            biased;
            arrived = gate.has_arrived(1) => {
                if arrived { Ok(request) } else { bad(format!("{ask:?} did not come to the gate")) }
            }
            answer = &mut request => bad(format!("{ask:?} did not wait: {answer:?}")),
        }
    }

    fn obey(&self, response: &Response<Bytes>) -> Answer {
        let set_cookies = response.headers().get_all(SET_COOKIE);
        let mut jar = self.jar();
        for set_cookie in set_cookies {
            jar.apply(&String::from_utf8_lossy(set_cookie.as_bytes()));
        }
        Answer {
            status: response.status(),
            body: String::from_utf8_lossy(response.body()).into_owned(),
            sets_cookie: response.headers().contains_key(SET_COOKIE),
            says_when_to_retry: response.headers().contains_key(RETRY_AFTER),
        }
    }
}

/// The answer of a request that was begun.
pub(crate) async fn finished(request: JoinHandle<Answer>) -> Answer {
    joined(request.await)
}

/// The answer of a request that was waited for.
pub(crate) fn joined(answer: Result<Answer, JoinError>) -> Answer {
    answer.expect("a request is answered")
}
