//! Keep-alive connections to one server.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Connections that are open and free; there are as many as requests that were on their way at once.
#[derive(Debug)]
pub(crate) struct Connections {
    address: SocketAddr,
    free: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

impl Connections {
    pub(crate) const fn to(address: SocketAddr) -> Self {
        Self { address, free: Mutex::new(Vec::new()) }
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Panics
    /// If there is none: a server of a race answers whatever happens to its sessions.
    pub(crate) async fn send(&self, request: Request<Empty<Bytes>>) -> Response<Bytes> {
        let mut connection = self.connection().await;
        let response = connection.send_request(request).await.expect("a server answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a server answers whole").to_bytes();
        self.free().push(connection);
        Response::from_parts(parts, body)
    }

    async fn connection(&self) -> SendRequest<Empty<Bytes>> {
        loop {
            let free = self.free().pop();
            let Some(mut connection) = free else { return self.open().await };
            if connection.ready().await.is_ok() {
                return connection;
            }
        }
    }

    async fn open(&self) -> SendRequest<Empty<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("a server listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.expect("a connection of HTTP/1.1");
        // It ends with the sender.
        tokio::spawn(connection);
        sender
    }

    fn free(&self) -> MutexGuard<'_, Vec<SendRequest<Empty<Bytes>>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
