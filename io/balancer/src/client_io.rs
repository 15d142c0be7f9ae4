//! The client's socket, with a reader of its own between it and hyper.
//!
//! hyper tells of a request only what is left after parsing: a `Content-Length` beside a
//! `Transfer-Encoding` is gone by then, and so is the difference between strict and lenient chunks.
//! So every byte passes [`abide_framing::Framing`] first. Where that refuses, hyper is given a byte
//! that it must refuse as well, so that its own 400 goes out in the right place, and after that an
//! error (in content it may take the byte). Passing bytes also tell the connection's [`Activity`] what goes on.

use crate::activity::{Activity, Phase};
use crate::config::Timeouts;
use abide_framing::{Fault, Framing};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What hyper is given in place of what was refused. A NUL stands nowhere in HTTP; the empty line is
/// there because hyper does not look at a head that came in parts until it has seen its end.
const POISON: &[u8] = b"\0\r\n\r\n";

/// What socket and request tell each other about one connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) activity: Arc<Activity>,
    pub(crate) timeouts: Timeouts,
    /// Bytes are no longer requests.
    tunnel: AtomicBool,
    /// The framing's fault by its place in [`FAULTS`], plus one; 0 for none.
    fault: AtomicU8,
    /// What the framing waits for, so that the end of a request knows whether the next has begun.
    head_begun: AtomicBool,
    /// An answer was over before the content of its request.
    leaves_content: AtomicBool,
}

impl Client {
    pub(crate) fn new(activity: Arc<Activity>, timeouts: Timeouts) -> Self {
        Self {
            activity,
            timeouts,
            tunnel: AtomicBool::new(false),
            fault: AtomicU8::new(0),
            head_begun: AtomicBool::new(false),
            leaves_content: AtomicBool::new(false),
        }
    }

    /// A request has been parsed and is being served.
    pub(crate) fn begin_request(&self) {
        self.activity.enter(Phase::Transfer, self.timeouts.stall);
    }

    /// All of the request is with the server.
    pub(crate) fn wait_for_answer(&self) {
        self.activity.enter(Phase::Waiting, self.timeouts.response);
    }

    /// The answer goes out.
    pub(crate) fn send_answer(&self) {
        self.activity.enter(Phase::Transfer, self.timeouts.stall);
    }

    /// The answer has gone to hyper whole.
    pub(crate) fn end_request(&self) {
        if self.tunnel.load(Relaxed) {
            return;
        }
        if self.head_begun.load(Relaxed) {
            self.activity.enter(Phase::Head, self.timeouts.header);
        } else {
            self.activity.enter(Phase::Idle, self.timeouts.idle);
        }
    }

    /// The connection becomes a tunnel once the answer that is about to be sent is out.
    pub(crate) fn begin_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
        self.activity.enter(Phase::Tunnel, self.timeouts.tunnel);
    }

    /// Why the framing refused this client, if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let place = usize::from(self.fault.load(Relaxed)).checked_sub(1)?;
        Fault::ALL.get(place).copied()
    }

    /// The answer is over, and the client may still be sending.
    pub(crate) fn leave_content(&self) {
        self.leaves_content.store(true, Relaxed);
    }

    pub(crate) fn leaves_content(&self) -> bool {
        self.leaves_content.load(Relaxed)
    }

    fn refuse(&self, fault: Fault) {
        let place = Fault::ALL.iter().position(|known| *known == fault).unwrap_or(0);
        self.fault.store(u8::try_from(place + 1).unwrap_or(u8::MAX), Relaxed);
    }

    fn bytes_passed(&self) {
        match self.activity.phase() {
            Phase::Transfer => self.activity.extend(self.timeouts.stall),
            Phase::Tunnel => self.activity.extend(self.timeouts.tunnel),
            Phase::Idle | Phase::Head | Phase::Waiting => {}
        }
    }
}

/// A socket whose requests are framed without doubt.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TcpStream,
    framing: Framing,
    client: Arc<Client>,
    /// What is left to give of [`POISON`].
    poison: &'static [u8],
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, client: Arc<Client>) -> Self {
        Self { stream, framing: Framing::new(), client, poison: POISON }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn give_poison(&mut self, buf: &mut ReadBuf<'_>) {
        let (now, later) = self.poison.split_at(self.poison.len().min(buf.remaining()));
        buf.put_slice(now);
        self.poison = later;
    }

    /// Looks at what has just been read: the part of `buf` from `from` on.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, from: usize) {
        if self.client.tunnel.load(Relaxed) {
            return;
        }
        let Some(fresh) = buf.filled().get(from..) else { return };
        if let Err(violation) = self.framing.advance(fresh) {
            self.client.refuse(violation.fault);
            buf.set_filled(from + violation.at);
            self.give_poison(buf);
            return;
        }
        let head_begun = self.framing.phase() == abide_framing::Phase::Head;
        self.client.head_begun.store(head_begun, Relaxed);
        if head_begun && self.client.activity.phase() == Phase::Idle {
            self.client.activity.enter(Phase::Head, self.client.timeouts.header);
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(fault) = self.client.fault() {
            if !self.poison.is_empty() {
                self.give_poison(buf);
                return Poll::Ready(Ok(()));
            }
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault.as_str())));
        }
        let from = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > from {
            self.client.bytes_passed();
            self.inspect(buf, from);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.client.bytes_passed();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.client.bytes_passed();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
