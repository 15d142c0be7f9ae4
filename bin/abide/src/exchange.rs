//! One HTTP exchange between the demo's own processes on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The field without which the demo's control takes no order. A page of another site can not send
/// it without asking first, and is refused then.
pub(crate) const DEMO_FIELD: &str = "x-abide-demo";

/// An exchange that takes longer has failed. On loopback it takes a millisecond.
const EXCHANGE_MS_MAX: u64 = 5_000;
/// The longest answer taken. The demo's state with nine servers and all its events is 8 KB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What went wrong, for a log line.
pub(crate) type ExchangeError = Box<dyn std::error::Error + Send + Sync>;

/// Asks `address` and takes the whole answer.
pub(crate) async fn ask(
    address: SocketAddr,
    method: Method,
    target: &str,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    tokio::time::timeout(Duration::from_millis(EXCHANGE_MS_MAX), exchange(address, method, target))
        .await?
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    target: &str,
) -> Result<(StatusCode, Bytes), ExchangeError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", address.to_string())
        .header("connection", "close")
        .header(DEMO_FIELD, "1")
        .body(Body::empty())?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok::<_, ExchangeError>((head.status, body))
    };
    // The connection needs driving while the answer is awaited, and is of no use after it.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        driven = &mut connection => { driven?; answer.await }
    }
}
