//! One request: where it goes, what becomes of it if that fails, and what the client is told.
//!
//! ```text
//! keys -> decide -> [pick] -> attempt --answer--> cookie, fields, body --> client
//!                      ^          |
//!                      +-- retry -+  next server, only if nothing can happen twice
//! ```
//!
//! A request is sent again only if it can not have had an effect. No connection was made: the next
//! server. It was given back unsent, or is safe (RFC 9110 section 9.2.1) and has no content, and the
//! connection had been idle: a new connection to the same server. It is safe, has no content, and the
//! server broke off: the next server, within a budget. What may have been read is otherwise never sent
//! again.

use crate::activity::Phase;
use crate::body::{AnswerBody, RequestBody, Upload};
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::fields::{self, Hop};
use crate::io_error::{IoError, Side};
use crate::pool::{self, Lease};
use crate::target;
use crate::tunnel::Tunnel;
use abide_affinity::{Choice, CookieAction, Presented, Reason, Request as Asked, Sticky, Verdict};
use abide_cookie::Without;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use smallvec::SmallVec;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const X_ABIDE_VERDICT: HeaderName = HeaderName::from_static("x-abide-verdict");

/// Servers that one request is tried at.
const ATTEMPTS_MAX: usize = 3;

/// A request, ready to be sent.
struct Prepared {
    head: Head,
    /// Taken by the first attempt that gets as far as a connection.
    body: Option<RequestBody>,
    /// Can be sent again even if it was read.
    replayable: bool,
    hop: Hop,
    client_upgrade: Option<OnUpgrade>,
    /// The client waits to hear from the server whether to send its content.
    is_asked: bool,
}

#[derive(Clone)]
struct Head {
    method: Method,
    uri: Uri,
    fields: HeaderMap,
}

/// Answers one request. hyper calls this for each, one after the other on a connection.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let worker = Rc::clone(&connection.worker);
    let view = worker.view();
    let mut exchange = Exchange::begin(
        Rc::clone(&connection),
        view,
        request.method().clone(),
        request.uri().clone(),
    );
    if let Err(refusal) = target::to_origin_form(&mut request) {
        return Ok(say(exchange, refusal, Reason::None));
    }
    worker.retries.borrow_mut().earn();
    let https = fields::is_https(request.headers(), &connection.peer);
    let verdict = decide(&exchange, &request);
    let mut prepared = prepare(&exchange, request);
    let (answer, verdict) = match send(&mut exchange, &mut prepared, verdict).await {
        Ok(answered) => answered,
        Err((status, reason)) => return Ok(say(exchange, status, reason)),
    };
    Ok(forward(exchange, prepared, answer, &Settled { verdict, https }))
}

/// What is known when a server has answered.
struct Settled {
    verdict: Verdict,
    https: bool,
}

fn decide(exchange: &Exchange, request: &Request<Incoming>) -> Verdict {
    let connection = &exchange.connection;
    let worker = &connection.worker;
    let rules = &worker.rules;
    let fields = request.headers();
    let cookies: SmallVec<[&[u8]; 4]> =
        fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let asked = Asked {
        target: request.uri().path_and_query().map_or("", |target| target.as_str()),
        cookies: &cookies,
        header: &|name| fields.get(name).map(HeaderValue::as_bytes),
        client: Some(client_address(connection, fields)),
    };
    let now = abide_time::Time::EPOCH.after(exchange.began());
    let keys = rules.sources.keys(&asked, now);
    let visitor = u32::try_from(worker.random() >> 32).unwrap_or_default();
    let verdict = abide_affinity::decide(exchange.view(), &keys, now, visitor);
    match verdict.presented {
        Presented::Valid => worker.counters.cookies_opened.add(1),
        Presented::Forged => worker.counters.cookies_forged.add(1),
        Presented::Expired => worker.counters.cookies_expired.add(1),
        Presented::Absent => {}
    }
    verdict
}

fn client_address(connection: &Connection, fields: &HeaderMap) -> IpAddr {
    let trusted = &connection.worker.rules.config.trusted_proxies;
    fields::client_address(fields, &connection.peer, trusted)
}

/// Makes of the client's request the one that servers get.
fn prepare(exchange: &Exchange, mut request: Request<Incoming>) -> Prepared {
    let connection = &exchange.connection;
    let rules = &connection.worker.rules;
    let wants_upgrade = request.headers().contains_key(header::UPGRADE);
    let client_upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
    let (parts, incoming) = request.into_parts();
    let mut fields = parts.headers;
    let hop = fields::remove_hop_by_hop(&mut fields);
    if let Some(name) = &rules.config.session_id_cookie {
        give_session_id(&mut fields, name);
    }
    if let Some(sticky) = rules.sources.sticky() {
        strip_cookie(&mut fields, sticky);
    }
    fields::add_forwarded(&mut fields, &connection.peer);
    fields::add_hop_by_hop(&mut fields, hop);
    let is_asked = fields.contains_key(header::EXPECT);
    let body = if incoming.is_end_stream() {
        exchange.upload.finish();
        connection.client.wait_for_answer();
        RequestBody::Empty
    } else {
        let client = Arc::clone(&connection.client);
        RequestBody::incoming(incoming, client, Arc::clone(&exchange.upload), is_asked)
    };
    let replayable = matches!(body, RequestBody::Empty) && parts.method.is_safe() && !hop.upgrade;
    let head = Head { method: parts.method, uri: parts.uri, fields };
    Prepared { head, body: Some(body), replayable, hop, client_upgrade, is_asked }
}

/// The balancer's own cookie is nobody else's business.
fn strip_cookie(fields: &mut HeaderMap, sticky: &Sticky) {
    let name = sticky.name().as_str().as_bytes();
    let has_ours =
        |field: &HeaderValue| abide_cookie::values(field.as_bytes(), name).next().is_some();
    if !fields.get_all(header::COOKIE).iter().any(has_ours) {
        return;
    }
    let kept: SmallVec<[HeaderValue; 2]> = fields
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| match abide_cookie::without(value.as_bytes(), name) {
            Without::Unchanged => Some(value.clone()),
            Without::Empty => None,
            Without::Changed(rest) => HeaderValue::from_bytes(&rest).ok(),
        })
        .collect();
    fields.remove(header::COOKIE);
    for value in kept {
        fields.append(header::COOKIE, value);
    }
}

/// The app reads its session id from a header, which must be true or absent.
fn give_session_id(fields: &mut HeaderMap, cookie: &str) {
    let id = fields
        .get_all(header::COOKIE)
        .iter()
        .find_map(|field| abide_cookie::values(field.as_bytes(), cookie.as_bytes()).next())
        .and_then(|id| HeaderValue::from_bytes(id).ok());
    match id {
        Some(id) => fields.insert(X_SESSION_ID, id),
        None => fields.remove(X_SESSION_ID),
    };
}

/// Tries servers until one answers. `Err` is what the client is told if none does.
async fn send(
    exchange: &mut Exchange,
    prepared: &mut Prepared,
    mut verdict: Verdict,
) -> Result<(Response<Incoming>, Verdict), (StatusCode, Reason)> {
    let worker = Rc::clone(&exchange.connection.worker);
    let mut tried: SmallVec<[usize; ATTEMPTS_MAX]> = SmallVec::new();
    let mut failure = StatusCode::SERVICE_UNAVAILABLE;
    loop {
        let place = match verdict.choice {
            Choice::Server(place) => place,
            Choice::Balance => match worker.pick(exchange.view()) {
                Some(place) => place,
                None => return Err((failure, Reason::None)),
            },
            // Of a strict pool only its own server could have answered, so a bad gateway is beside the
            // point: the session is there when the server is.
            Choice::Nobody if verdict.reason == Reason::Strict => {
                return Err((StatusCode::SERVICE_UNAVAILABLE, verdict.reason));
            }
            Choice::Nobody => return Err((failure, verdict.reason)),
        };
        exchange.occupy(place, verdict.reason);
        let error = match attempt(exchange, prepared, place).await {
            Ok(answer) => {
                worker.fleet.answered(place);
                return Ok((answer, verdict));
            }
            Err(error) => error,
        };
        failure = status_of(&error);
        count_failure(exchange, place, &error);
        tried.push(place);
        if tried.len() == ATTEMPTS_MAX || !may_go_on(exchange, prepared, &error) {
            return Err((failure, verdict.reason));
        }
        worker.counters.retries.add(1);
        verdict = abide_affinity::retry(exchange.view(), &verdict, &tried);
    }
}

/// Whether the request may go to another server after this.
fn may_go_on(exchange: &Exchange, prepared: &Prepared, error: &IoError) -> bool {
    match error {
        IoError::Connect(_) => prepared.body.is_some(),
        IoError::Broken(Side::Server, _) if prepared.replayable => {
            let worker = &exchange.connection.worker;
            let within = worker.retries.borrow_mut().spend(worker.fleet.clock.now());
            if !within {
                worker.counters.retries_over_budget.add(1);
            }
            within
        }
        IoError::Broken(..) | IoError::ResponseTimeout | IoError::Stalled => false,
    }
}

fn count_failure(exchange: &Exchange, place: usize, error: &IoError) {
    let worker = &exchange.connection.worker;
    let counters = worker.counters.server(place);
    match error {
        IoError::Connect(_) => counters.connect_failures.add(1),
        IoError::Broken(Side::Server, _) => counters.broken.add(1),
        IoError::Broken(Side::Client, _) => return,
        IoError::Stalled => return worker.counters.timeout(Phase::Transfer),
        IoError::ResponseTimeout => worker.counters.timeout(Phase::Waiting),
    }
    let server = exchange.view().server(place).map(|server| server.name.as_str());
    tracing::debug!(server, %error, "a request failed");
    worker.fleet.failed(place);
}

fn status_of(error: &IoError) -> StatusCode {
    match error {
        IoError::Connect(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            StatusCode::GATEWAY_TIMEOUT
        }
        IoError::Connect(_) | IoError::Broken(Side::Server, _) => StatusCode::BAD_GATEWAY,
        IoError::Broken(Side::Client, _) => StatusCode::BAD_REQUEST,
        IoError::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
        IoError::Stalled => StatusCode::REQUEST_TIMEOUT,
    }
}

/// Sends the request to one server. A connection that was idle may have died unnoticed; that is no
/// fault of the server, so a new one is tried in its place.
async fn attempt(
    exchange: &mut Exchange,
    prepared: &mut Prepared,
    place: usize,
) -> Result<Response<Incoming>, IoError> {
    let worker = Rc::clone(&exchange.connection.worker);
    loop {
        let lease = match worker.pool.take(place, prepared.replayable) {
            Some(lease) => lease,
            None => {
                let limit = worker.rules.config.timeouts.connect;
                let lease = pool::connect(worker.fleet.address(place), limit).await?;
                worker.counters.server(place).connects.add(1);
                lease
            }
        };
        let reused = lease.reused;
        match one_try(exchange, prepared, lease).await {
            Err(Failed { unsent, .. }) if reused && (unsent || prepared.replayable) => {}
            Err(failed) => return Err(failed.error),
            Ok(answer) => return Ok(answer),
        }
    }
}

/// A try that brought no answer.
struct Failed {
    error: IoError,
    /// No byte of it went out; the body is back where it was.
    unsent: bool,
}

async fn one_try(
    exchange: &mut Exchange,
    prepared: &mut Prepared,
    mut lease: Lease,
) -> Result<Response<Incoming>, Failed> {
    let body = if prepared.replayable {
        RequestBody::Empty
    } else {
        prepared.body.take().unwrap_or(RequestBody::Empty)
    };
    let request = request(prepared, body, &exchange.upload);
    let client = Arc::clone(&exchange.connection.client);
    let mut answering = std::pin::pin!(lease.sender.try_send_request(request));
    let activity = &client.activity;
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending if activity.expired() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await;
    match answered {
        None if activity.phase() == Phase::Waiting => {
            Err(Failed { error: IoError::ResponseTimeout, unsent: false })
        }
        None => Err(Failed { error: IoError::Stalled, unsent: false }),
        Some(Ok(answer)) => {
            exchange.hold(lease);
            client.send_answer();
            Ok(answer)
        }
        Some(Err(mut failed)) => {
            let message = failed.take_message();
            let unsent = message.is_some();
            prepared.body = message.map(Request::into_body).or_else(|| prepared.body.take());
            let side = if exchange.upload.is_broken() { Side::Client } else { Side::Server };
            Err(Failed { error: IoError::Broken(side, failed.into_error()), unsent })
        }
    }
}

fn request(prepared: &Prepared, body: RequestBody, upload: &Arc<Upload>) -> Request<RequestBody> {
    let mut request = Request::new(body);
    // A request that may have to be sent again keeps its head.
    let head = prepared.head.clone();
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.fields;
    if prepared.is_asked {
        let upload = Arc::clone(upload);
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                upload.go_on();
            }
        });
    }
    request
}

/// Makes of a server's answer the one that the client gets.
fn forward(
    mut exchange: Exchange,
    prepared: Prepared,
    mut answer: Response<Incoming>,
    settled: &Settled,
) -> Response<AnswerBody> {
    exchange.status(answer.status().as_u16());
    let switching = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    let server_upgrade = switching.then(|| hyper::upgrade::on(&mut answer));
    let (mut parts, incoming) = answer.into_parts();
    parts.version = Version::HTTP_11;
    let hop = fields::remove_hop_by_hop(&mut parts.headers);
    add_verdict(&mut parts.headers, &exchange, settled.verdict.reason);
    add_cookie(&mut parts.headers, &exchange, settled);
    if switching {
        let (Some(client), Some(server), true) =
            (prepared.client_upgrade, server_upgrade, prepared.hop.upgrade && hop.upgrade)
        else {
            return say(exchange, StatusCode::BAD_GATEWAY, settled.verdict.reason);
        };
        fields::add_hop_by_hop(&mut parts.headers, hop);
        let connection = Rc::clone(&exchange.connection);
        connection.client.begin_tunnel();
        *connection.tunnel.borrow_mut() = Some(Tunnel { client, server, exchange });
        return Response::from_parts(parts, AnswerBody::Nothing);
    }
    if incoming.is_end_stream() {
        exchange.answered();
    }
    Response::from_parts(parts, AnswerBody::Incoming(incoming, exchange))
}

fn add_verdict(fields: &mut HeaderMap, exchange: &Exchange, reason: Reason) {
    if !exchange.connection.worker.rules.config.verdict_header {
        return;
    }
    let name = exchange.server_name().unwrap_or("-");
    if let Ok(value) = HeaderValue::from_str(&format!("{name} {reason}")) {
        fields.insert(X_ABIDE_VERDICT, value);
    }
}

/// The one place where the sticky cookie is written: for the server that finally answered.
fn add_cookie(fields: &mut HeaderMap, exchange: &Exchange, settled: &Settled) {
    let worker = &exchange.connection.worker;
    let (Some(sticky), Some(place)) = (worker.rules.sources.sticky(), exchange.place()) else {
        return;
    };
    let now = abide_time::Time::EPOCH.after(exchange.began());
    let CookieAction::Write(ticket) = sticky.after(exchange.view(), &settled.verdict, place, now)
    else {
        return;
    };
    let cookie = if settled.https { &worker.rules.sticky_https } else { &worker.rules.sticky_http };
    let mut nonce = [0; Sticky::NONCE_BYTES];
    let Some(cookie) = cookie else { return };
    if getrandom::fill(&mut nonce).is_err() {
        tracing::error!("the system gives no random numbers, so no cookie is written");
        return;
    }
    let text = cookie.text(&sticky.seal(&ticket, nonce), Some(worker.rules.config.sticky.life));
    let Some(value) = text.ok().and_then(|text| HeaderValue::from_str(&text).ok()) else { return };
    fields.append(header::SET_COOKIE, value);
    forbid_shared_caches(fields);
    worker.counters.cookies_written.add(1);
}

/// A shared cache that stores an answer with its cookie would hand one visitor's server to all. One
/// more `private` forbids that, whatever else the field says (RFC 9111 section 5.2.2.7).
fn forbid_shared_caches(fields: &mut HeaderMap) {
    let forbids = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.contains("private") || text.contains("no-store"))
    };
    if !fields.get_all(header::CACHE_CONTROL).iter().any(forbids) {
        fields.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// An answer of the balancer itself.
fn say(mut exchange: Exchange, status: StatusCode, reason: Reason) -> Response<AnswerBody> {
    exchange.refuse(reason);
    exchange.status(status.as_u16());
    exchange.connection.client.send_answer();
    let text = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    exchange.count_bytes(text.len());
    let mut fields = HeaderMap::new();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status.is_client_error() {
        // Whoever sends this is no browser; what follows it is not worth the risk.
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    add_verdict(&mut fields, &exchange, reason);
    let mut answer = Response::new(AnswerBody::Text(Some(Bytes::from(text)), exchange));
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    answer
}
