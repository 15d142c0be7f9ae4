//! A connection after an upgrade (WebSocket): bytes both ways, none of them read.

use crate::activity::Phase;
use crate::connection::Connection;
use crate::exchange::Exchange;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::task::Poll;
use tokio::io::copy_bidirectional_with_sizes;

/// For each direction of each tunnel. WebSocket messages are mostly small, and this is memory for as
/// long as the tunnel lives.
const BUFFER_BYTES: usize = 4 * 1024;

/// The two ends of a tunnel. The request that opened it ends with it, so that the server's requests
/// in flight count it.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: OnUpgrade,
    pub(crate) server: OnUpgrade,
    pub(crate) exchange: Exchange,
}

impl Tunnel {
    /// Passes bytes until both sides have closed, one failed, or nothing passed for too long.
    pub(crate) async fn run(self, connection: &Connection) {
        let Self { client, server, mut exchange } = self;
        let counters = &connection.worker.counters;
        counters.tunnels_open.add(1);
        let copying = async {
            let (client, server) = tokio::try_join!(client, server).ok()?;
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES)
                .await
                .ok()
        };
        let activity = &connection.client.activity;
        let expired = poll_fn(|cx| {
            activity.wake_by(cx);
            if activity.expired() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            copied = copying => if let Some((_, to_client)) = copied {
                exchange.count_bytes(usize::try_from(to_client).unwrap_or(usize::MAX));
            },
            () = expired => counters.timeout(Phase::Tunnel),
        }
        counters.tunnels_open.subtract(1);
    }
}
