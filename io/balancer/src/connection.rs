//! One client's connection, from accept to close.

use crate::activity::{Activity, CoarseClock, Phase};
use crate::client_io::{Client, ClientIo};
use crate::config::Timeouts;
use crate::fields::Peer;
use crate::proxy;
use crate::tunnel::Tunnel;
use crate::worker::Worker;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The most fields of a head; more are answered 431.
const FIELDS_MAX: usize = 100;
/// How long a refused client is read on, so that the answer reaches it before the reset does.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 256 * 1024;
/// How long one is read on that still sends the content of a request whose answer is over, unless it
/// stops for [`LINGER`]: clients that look at the answer only when all is sent are many.
const LINGER_UPLOAD: Duration = Duration::from_secs(10);

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What belongs to one client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) client: Arc<Client>,
    pub(crate) peer: Peer,
    /// What the connection becomes when hyper has finished with it.
    pub(crate) tunnel: RefCell<Option<Tunnel>>,
}

/// The state of a connection that has just been taken.
pub(crate) fn client(clock: Arc<CoarseClock>, timeouts: Timeouts) -> Arc<Client> {
    let activity = Arc::new(Activity::new(clock, Phase::Idle, timeouts.idle));
    Arc::new(Client::new(activity, timeouts))
}

/// Serves all requests of one connection.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    client: Arc<Client>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    worker.counters.connections.add(1);
    worker.counters.connections_open.add(1);
    let _ = stream.set_nodelay(true);
    let connection = Rc::new(Connection {
        peer: Peer::new(peer.ip(), &worker.rules.config.trusted_proxies),
        client: Arc::clone(&client),
        tunnel: RefCell::new(None),
        worker: Rc::clone(&worker),
    });
    let service = {
        let connection = Rc::clone(&connection);
        service_fn(move |request| proxy::serve(Rc::clone(&connection), request))
    };
    let io = TokioIo::new(ClientIo::new(stream, Arc::clone(&client)));
    let mut http = Builder::new();
    // The length of a head is bounded by the framing; a smaller buffer here would cut answers up.
    http.max_headers(FIELDS_MAX);
    let mut serving = http.serve_connection(io, service).with_upgrades();
    let end = drive(&connection, &mut serving).await;
    finish(&connection, serving, end).await;
    let tunnel = connection.tunnel.borrow_mut().take();
    if let Some(tunnel) = tunnel {
        tunnel.run(&connection).await;
    }
    worker.counters.connections_open.subtract(1);
}

/// How hyper's part of a connection ended.
#[derive(Debug)]
enum End {
    /// By itself: closed, upgraded, or in an error.
    Done(Result<(), hyper::Error>),
    /// In this phase for too long.
    Expired(Phase),
}

/// Lets hyper work until it is done, the client is over its time, or the process stops.
async fn drive<S>(connection: &Connection, serving: &mut Serving<S>) -> End
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::body::AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let activity = &connection.client.activity;
    let mut stop = connection.worker.stop.clone();
    let mut stopping = std::pin::pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut stopped = false;
    poll_fn(|cx| {
        if !stopped && stopping.as_mut().poll(cx).is_ready() {
            stopped = true;
            Pin::new(&mut *serving).graceful_shutdown();
        }
        if let Poll::Ready(end) = Pin::new(&mut *serving).poll(cx) {
            return Poll::Ready(End::Done(end));
        }
        activity.wake_by(cx);
        match activity.phase() {
            // A request that waits for its server answers 504 by itself.
            Phase::Waiting => Poll::Pending,
            phase if activity.expired() => Poll::Ready(End::Expired(phase)),
            _ => Poll::Pending,
        }
    })
    .await
}

type Serving<S> = UpgradeableConnection<TokioIo<ClientIo>, S>;

/// Counts what went wrong, and lets a refused client read why.
async fn finish<S>(connection: &Connection, serving: Serving<S>, end: End)
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::body::AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let counters = &connection.worker.counters;
    let fault = connection.client.fault();
    if let Some(fault) = fault {
        counters.fault(fault);
        tracing::debug!(%fault, "refused a request");
    }
    let (refused, answer): (bool, &[u8]) = match end {
        End::Expired(phase) => {
            counters.timeout(phase);
            (phase == Phase::Head, REQUEST_TIMEOUT)
        }
        End::Done(Err(error)) if error.is_parse() => {
            if fault.is_none() {
                counters.malformed.add(1);
            }
            (true, b"")
        }
        End::Done(_) => (fault.is_some(), b""),
    };
    let uploading = connection.client.leaves_content();
    if !refused && !uploading {
        return;
    }
    let Some(parts) = serving.into_parts() else { return };
    let mut stream = parts.io.into_inner().into_stream();
    // The socket's buffer was empty, so a few bytes always fit.
    let _ = stream.try_write(answer);
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
    if refused {
        linger(&mut stream, LINGER, LINGER_BYTES_MAX).await;
    } else {
        linger(&mut stream, LINGER_UPLOAD, u64::MAX).await;
    }
}

/// Closing a socket with unread bytes resets it, and the reset can overtake the answer (RFC 9112
/// section 9.6). So the rest is read, for a while.
async fn linger(stream: &mut TcpStream, duration: Duration, bytes_max: u64) {
    let mut rest = [0; 4096];
    let mut bytes = 0;
    let reading = async {
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(LINGER, stream.read(&mut rest)).await {
            bytes += count as u64;
            if bytes > bytes_max {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(duration, reading).await;
}
