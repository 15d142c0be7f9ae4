//! Active checks: asks each server, and tells its monitor what it said.
//!
//! When to ask, and what follows from the answers, is decided in [`abide_affinity::health`].

use crate::config::CheckConfig;
use crate::fleet::Fleet;
use abide_affinity::health::Input;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Drives all monitors until it is dropped. Without active checks there are still ejections to end.
pub(crate) async fn run(fleet: Arc<Fleet>, check: Option<CheckConfig>) {
    loop {
        for place in fleet.due() {
            if fleet.handle(place, Input::Tick)
                && let Some(check) = check.clone()
            {
                let fleet = Arc::clone(&fleet);
                // At most one a fast interval and server, and each ends within its time-out.
                tokio::task::spawn_local(async move {
                    let passed = probe(fleet.address(place), &check).await;
                    let input = if passed { Input::ProbePassed } else { Input::ProbeFailed };
                    fleet.handle(place, input);
                    fleet.probe_sooner.notify_one();
                });
            }
        }
        let pause = fleet.deadline().since(fleet.clock.now());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = fleet.probe_sooner.notified() => {}
        }
    }
}

async fn probe(address: SocketAddr, check: &CheckConfig) -> bool {
    let answer = tokio::time::timeout(check.timeout, ask(address, &check.path)).await;
    matches!(answer, Ok(Some(status)) if status.is_success() || status.is_redirection())
}

async fn ask(address: SocketAddr, path: &str) -> Option<http::StatusCode> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "abide-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    // Ends with the answer, or with the time-out that drops the sender.
    tokio::task::spawn_local(connection);
    Some(sender.send_request(request).await.ok()?.status())
}
