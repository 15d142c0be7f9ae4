//! The listener for operators: health, metrics, the servers and what to do with them.
//!
//! | request | answer |
//! |--|--|
//! | `GET /health` | 200 as long as the process serves |
//! | `GET /ready` | 200 if some server takes new visitors and no stop was asked for, else 503 |
//! | `GET /metrics` | Prometheus text |
//! | `GET /servers` | the servers as JSON |
//! | `POST /servers/NAME/ready` | take new visitors again |
//! | `POST /servers/NAME/drain?seconds=N` | keep its visitors for so long (default: for ever), take no new ones |
//! | `POST /servers/NAME/maintenance` | send nobody there |
//!
//! Who may ask for what: [`crate::operators`].

use crate::fleet::Fleet;
use crate::metrics::{self, Counters, ServerGauges};
use crate::worker::Rules;
use abide_affinity::Admin as Wanted;
use abide_time::Time;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Operators and scrapers at a time; further ones wait.
const CONNECTIONS_MAX: usize = 64;
/// An operator's connection that says nothing is closed.
const HEADER_LIMIT: Duration = Duration::from_secs(30);

/// What the listener can tell and do.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) rules: Arc<Rules>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) counters: Vec<Arc<Counters>>,
    pub(crate) log_dropped: Option<Arc<AtomicU64>>,
    pub(crate) stop: watch::Receiver<bool>,
}

type Answer = Response<Full<Bytes>>;

/// Answers operators until it is dropped.
pub(crate) async fn run(admin: Admin, listener: std::net::TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin listener could not start");
            return;
        }
    };
    let admin = Arc::new(admin);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        tokio::task::spawn_local(async move {
            let service = hyper::service::service_fn(|request| {
                let answer = admin.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        if let Some(refusal) =
            self.rules.config.admin.as_ref().and_then(|admin| admin.refusal(request))
        {
            return refusal.map(Full::from);
        }
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/health") => text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/ready") => self.ready(),
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics(),
            (&Method::GET | &Method::HEAD, "/servers") => self.servers(),
            (&Method::POST, _) if path.starts_with("/servers/") => self.order(request),
            (_, "/health" | "/ready" | "/metrics" | "/servers") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n")
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /health, /ready, /metrics, /servers and \
                 POST /servers/NAME/{ready,drain,maintenance}\n",
            ),
        }
    }

    fn ready(&self) -> Answer {
        if *self.stop.borrow() {
            text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        } else if self.fleet.view().load().takes_new() {
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "no server takes new visitors\n")
        }
    }

    fn metrics(&self) -> Answer {
        let view = self.fleet.view().load();
        let servers: Vec<ServerGauges> = view
            .servers()
            .iter()
            .enumerate()
            .map(|(place, server)| ServerGauges {
                name: server.name.to_string(),
                state: server.state().as_str(),
                in_flight: self.fleet.in_flight(place),
            })
            .collect();
        let dropped = self.log_dropped.as_ref().map_or(0, |dropped| dropped.load(Relaxed));
        let mut answer =
            text(StatusCode::OK, &metrics::exposition(&self.counters, &servers, dropped));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    }

    fn servers(&self) -> Answer {
        let view = self.fleet.view().load();
        let now = self.fleet.clock.now();
        let servers: Vec<_> = view
            .servers()
            .iter()
            .enumerate()
            .map(|(place, server)| {
                let drain_seconds_left = match server.admin {
                    Wanted::Draining { until } if until < Time::MAX => {
                        Some(until.since(now).as_secs())
                    }
                    _ => None,
                };
                json!({
                    "name": server.name.as_str(),
                    "address": self.fleet.address(place).to_string(),
                    "weight": server.weight.get(),
                    "state": server.state().as_str(),
                    "in_flight": self.fleet.in_flight(place),
                    "drain_seconds_left": drain_seconds_left,
                })
            })
            .collect();
        let mut answer = text(StatusCode::OK, &format!("{}\n", json!({ "servers": servers })));
        let kind = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    }

    /// `POST /servers/NAME/ORDER`.
    fn order(&self, request: &Request<Incoming>) -> Answer {
        let mut parts = request.uri().path().trim_start_matches("/servers/").split('/');
        let (Some(name), Some(order), None) = (parts.next(), parts.next(), parts.next()) else {
            return text(StatusCode::NOT_FOUND, "use POST /servers/NAME/ORDER\n");
        };
        let wanted = match order {
            "ready" => Wanted::Ready,
            "maintenance" => Wanted::Maintenance,
            "drain" => match self.drain_until(request.uri().query()) {
                Some(until) => Wanted::Draining { until },
                None => return text(StatusCode::BAD_REQUEST, "write drain?seconds=600\n"),
            },
            _ => {
                let orders = "the orders are ready, drain and maintenance\n";
                return text(StatusCode::NOT_FOUND, orders);
            }
        };
        if self.fleet.administer(name, wanted) {
            self.servers()
        } else {
            text(StatusCode::NOT_FOUND, "there is no server of that name\n")
        }
    }

    /// `None` if the query is something else than `seconds=N`; without one there is no deadline.
    fn drain_until(&self, query: Option<&str>) -> Option<Time> {
        let Some(query) = query else { return Some(Time::MAX) };
        let seconds = query.strip_prefix("seconds=")?.parse().ok()?;
        Some(self.fleet.clock.now().after(Duration::from_secs(seconds)))
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text.to_owned())));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
