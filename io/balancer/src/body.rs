//! Content on its way through, frame by frame: never gathered, only watched.

use crate::client_io::Client;
use crate::exchange::Exchange;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Sleep;

/// How long content is held back for a server that was asked whether it wants it (RFC 9110 section
/// 10.1.1) and says nothing. Then it is sent, as RFC 9110 asks of every client.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// The content of a request on its way to a server.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none, so the request can be sent again.
    Empty,
    /// What the client sends.
    Incoming(Box<IncomingRequest>),
}

#[derive(Debug)]
pub(crate) struct IncomingRequest {
    incoming: Incoming,
    client: Arc<Client>,
    upload: Arc<Upload>,
    /// Runs while the server is being asked whether it wants the content. hyper tells the client to go
    /// on at the moment the content is first asked for, so asking is put off until the server has.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How far the content of a request has come; shared by the request's [`Exchange`] and its body, which
/// is in the hands of the connection to the server.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    /// All of it has gone to the server.
    sent: AtomicBool,
    /// The server said `100 Continue`.
    wanted: AtomicBool,
    /// The client broke off, or sent what is no content.
    broken: AtomicBool,
    /// Nobody needs it any more.
    cancelled: AtomicBool,
    waiting: std::sync::Mutex<Option<Waker>>,
}

impl Upload {
    pub(crate) fn finish(&self) {
        self.sent.store(true, Relaxed);
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Relaxed)
    }

    /// Whether it is the client's doing that the server did not get all of it.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    pub(crate) fn go_on(&self) {
        self.wanted.store(true, Relaxed);
        self.wake();
    }

    /// Ends an upload whose answer is over, and with it the connection to the server.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waiting.lock().ok().and_then(|mut waker| waker.take()) {
            waker.wake();
        }
    }

    fn wake_later(&self, cx: &Context<'_>) {
        if let Ok(mut waiting) = self.waiting.lock() {
            *waiting = Some(cx.waker().clone());
        }
    }
}

/// Why content did not reach the server whole.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client broke off, or sent what is no content.
    Client(hyper::Error),
    /// The answer was over first.
    Cancelled,
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the answer was over before the request"),
        }
    }
}

impl std::error::Error for UploadError {}

impl RequestBody {
    /// `is_asked` if the client waits to hear whether the server wants the content.
    pub(crate) fn incoming(
        incoming: Incoming,
        client: Arc<Client>,
        upload: Arc<Upload>,
        is_asked: bool,
    ) -> Self {
        let patience = is_asked.then(|| Box::pin(tokio::time::sleep(CONTINUE_WAIT)));
        Self::Incoming(Box::new(IncomingRequest { incoming, client, upload, patience }))
    }
}

impl IncomingRequest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.upload.cancelled.load(Relaxed) {
            return Poll::Ready(Some(Err(UploadError::Cancelled)));
        }
        if let Some(patience) = &mut self.patience {
            if patience.as_mut().poll(cx).is_pending() && !self.upload.wanted.load(Relaxed) {
                self.upload.wake_later(cx);
                return Poll::Pending;
            }
            self.patience = None;
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if self.incoming.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.finish();
        } else if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.upload.broken.store(true, Relaxed);
        } else if polled.is_pending() {
            self.upload.wake_later(cx);
        }
        polled.map_err(UploadError::Client)
    }

    fn finish(&mut self) {
        if !self.upload.is_sent() {
            self.upload.finish();
            self.client.wait_for_answer();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Incoming(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Incoming(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Incoming(body) => body.incoming.size_hint(),
        }
    }
}

/// The content of an answer on its way to a client. Its end is the end of the [`Exchange`].
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// What a server sends.
    Incoming(Incoming, Exchange),
    /// Before a tunnel.
    Nothing,
    /// What the balancer says itself.
    Text(Option<Bytes>, #[expect(dead_code, reason = "ends the exchange when dropped")] Exchange),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Text(text, _) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Incoming(incoming, exchange) => {
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => {
                        exchange.count_bytes(frame.data_ref().map_or(0, Bytes::len));
                        if incoming.is_end_stream() {
                            exchange.answered();
                        }
                    }
                    Poll::Ready(None) => exchange.answered(),
                    Poll::Ready(Some(Err(_))) | Poll::Pending => {}
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Text(text, _) => text.is_none(),
            Self::Incoming(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Text(text, _) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Incoming(incoming, _) => incoming.size_hint(),
        }
    }
}
