//! Where one HTTP/1 request ends and the next begins, and which requests must not go on.
//!
//! A proxy and the server behind it both cut one stream of bytes into requests. Where they cut
//! differently, a visitor can hide a request inside another one ("request smuggling"). A lenient
//! parser in the proxy is no protection: by the time it hands over a parsed request, the evidence
//! (a `Content-Length` beside a `Transfer-Encoding`, say) is gone. So [`Framing`] watches the raw
//! bytes on their way to the parser and stops them at the first byte of anything that two readers
//! could read differently (RFC 9112 sections 2.2, 5, 6 and 7).
//!
//! It is a filter, not a parser: it accepts a subset of what the parser accepts and knows only line
//! ends, three field names and the chunked coding. What is merely malformed (a bad method, a control
//! character in a field) is left to the parser, which refuses it; what the parser takes leniently but
//! in one way only (a line that ends in a bare LF) passes, because the proxy writes requests anew and
//! the server sees them in normal form.
//!
//! Invariants:
//! * [`Framing::advance`] gives the same answer however the bytes are cut into calls.
//! * After a fault nothing is accepted any more.
//! * Memory is bounded by [`LINE_BYTES_MAX`] and used only while a line is split over two reads.

#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]

extern crate alloc;

mod chunked;
mod fault;
mod head;

pub use fault::{Fault, Violation};

use alloc::vec::Vec;
use chunked::Chunked;
use head::Head;
use memchr::memchr;

/// The longest line of a request head, in bytes. A longer one is [`Fault::LineTooLong`]. Browsers
/// send cookies of up to 4 KiB each in one line; servers commonly take 8 KiB.
pub const LINE_BYTES_MAX: usize = 32 * 1024;

/// The longest request head, in bytes without its line ends. A longer one is [`Fault::HeadTooLong`], so
/// that a parser never has to hold more. nginx and HAProxy take 8 to 32 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What the next byte belongs to: for time-outs, which differ by phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Between two requests; nothing of the next one has arrived.
    Idle,
    /// In the request line or the fields.
    Head,
    /// In the content of a request.
    Content,
    /// No longer HTTP: the connection was upgraded.
    Tunnel,
}

/// The position in one client's stream of requests.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    /// The beginning of a head line of which the end has not arrived.
    carry: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// Between requests, and in the empty lines that RFC 9112 section 2.2 lets a client send there.
    #[default]
    Idle,
    Head(Head),
    /// So many bytes of content are to come.
    Length(u64),
    Chunked(Chunked),
    Tunnel,
    Refused(Fault),
}

impl Framing {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next bytes of the stream. `Ok` if all of them may go to the parser.
    ///
    /// # Errors
    /// [`Violation::at`] says how many of the bytes may still go on; what follows must not, in this
    /// call or any later one.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = match &mut self.state {
                State::Tunnel => return Ok(()),
                State::Refused(fault) => Err(*fault),
                State::Length(left) => Ok(consume_length(left, rest)),
                State::Chunked(chunked) => chunked.advance(rest),
                State::Idle | State::Head(_) => self.consume_line(rest),
            };
            match step {
                Ok(consumed) => rest = rest.get(consumed..).unwrap_or_default(),
                Err(fault) => {
                    self.state = State::Refused(fault);
                    self.carry = Vec::new();
                    return Err(Violation { at: bytes.len().saturating_sub(rest.len()), fault });
                }
            }
            if self.content_is_over() {
                self.state = State::Idle;
            }
        }
        Ok(())
    }

    /// The connection was upgraded (RFC 9110 section 7.8): from here on bytes are not ours to judge.
    pub fn tunnel(&mut self) {
        self.state = State::Tunnel;
    }

    /// What the next byte belongs to.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Idle if self.carry.is_empty() => Phase::Idle,
            State::Idle | State::Head(_) | State::Refused(_) => Phase::Head,
            State::Length(_) | State::Chunked(_) => Phase::Content,
            State::Tunnel => Phase::Tunnel,
        }
    }

    fn content_is_over(&self) -> bool {
        match &self.state {
            State::Length(left) => *left == 0,
            State::Chunked(chunked) => chunked.is_over(),
            _ => false,
        }
    }

    /// Takes one line of a head, or as much of it as is here. Returns the bytes taken.
    fn consume_line(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        let Some(end) = memchr(b'\n', rest) else {
            self.keep(rest)?;
            return Ok(rest.len());
        };
        let (line, _) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        if self.carry.is_empty() {
            self.line(line)?;
        } else {
            self.keep(line)?;
            let whole = core::mem::take(&mut self.carry);
            self.line(&whole)?;
        }
        Ok(end.saturating_add(1))
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Fault> {
        if self.carry.len().saturating_add(part.len()) > LINE_BYTES_MAX {
            return Err(Fault::LineTooLong);
        }
        self.carry.extend_from_slice(part);
        Ok(())
    }

    /// One whole line without its LF.
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Fault::LineTooLong);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match &mut self.state {
            State::Idle if line.is_empty() => {}
            State::Idle => self.state = State::Head(Head::after_request_line(line)?),
            State::Head(head) if line.is_empty() => {
                self.state = match head.content()? {
                    head::Content::Length(bytes) => State::Length(bytes),
                    head::Content::Chunked => State::Chunked(Chunked::default()),
                };
            }
            State::Head(head) => head.field(line)?,
            _ => {}
        }
        Ok(())
    }
}

/// Takes what belongs to the content out of `rest`; returns how much that is.
fn consume_length(left: &mut u64, rest: &[u8]) -> usize {
    let here = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(*left);
    *left = left.saturating_sub(here);
    usize::try_from(here).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
