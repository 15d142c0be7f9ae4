//! One connection to one server.
//!
//! Invariant: between two exchanges nothing is on its way in either direction. An exchange that does
//! not come to its end, because it failed or its future was dropped, leaves the connection marked as
//! unusable, and whoever holds it throws it away.

use std::io;
use std::mem::MaybeUninit;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::error::Trouble;
use crate::protocol::{self, Fault, Reply, Request, When};

/// Memory for what arrives, to begin with: most answers are smaller.
const INPUT_BYTES: usize = 4096;

/// Lines of a list that nobody asked to end: a server has about 150 settings.
const LINES_MAX: usize = 4096;

/// A user name and a password. Debug shows neither.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(secret)")
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    since: Instant,
    is_in_step: bool,
}

impl Connection {
    /// Connects, and signs in if there is something to sign in with.
    pub(crate) async fn open(
        address: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Self, Trouble> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let input = BytesMut::with_capacity(INPUT_BYTES);
        // The earliest moment that is sure to lie after the server began to listen.
        let since = Instant::now();
        let mut connection = Self { stream, input, since, is_in_step: true };
        if let Some(Credentials { user, password }) = credentials {
            let value = format!("{user} {password}");
            let sign_in = Request::Put {
                key: "auth",
                value: value.as_bytes(),
                expires: 0,
                when: When::Always,
            };
            connection.exchange(&[sign_in]).await?;
        }
        Ok(connection)
    }

    /// When it was made.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    pub(crate) const fn is_in_step(&self) -> bool {
        self.is_in_step
    }

    /// Whether it can be used: nothing has arrived that nobody asked for, and the server has not
    /// closed it. This asks the system, not the runtime, which may not have heard of it yet.
    pub(crate) fn is_usable(&self) -> bool {
        if !self.is_in_step || !self.input.is_empty() {
            return false;
        }
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends commands all at once, and gives their answers in the same order.
    pub(crate) async fn exchange(
        &mut self,
        requests: &[Request<'_>],
    ) -> Result<Vec<Reply>, Trouble> {
        let mut output = Vec::new();
        for request in requests {
            protocol::encode(*request, &mut output);
        }
        self.is_in_step = false;
        self.stream.write_all(&output).await?;
        let mut replies = Vec::with_capacity(requests.len());
        while replies.len() < requests.len() {
            match protocol::decode(&mut self.input)? {
                Some(reply) => replies.push(reply),
                None => self.receive().await?,
            }
        }
        self.is_in_step = true;
        Ok(replies)
    }

    /// Sends a command whose answer is a list of lines; they are to be taken with
    /// [`Connection::line`] up to the last, after which [`Connection::finish`] has to be called.
    pub(crate) async fn send_line(&mut self, command: &str) -> Result<(), Trouble> {
        self.is_in_step = false;
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        Ok(())
    }

    /// The next line of a list.
    pub(crate) async fn line(&mut self) -> Result<String, Trouble> {
        loop {
            match protocol::decode_line(&mut self.input)? {
                Some(line) => return Ok(line),
                None => self.receive().await?,
            }
        }
    }

    /// All of a list has been taken.
    pub(crate) const fn finish(&mut self) {
        self.is_in_step = true;
    }

    /// The answer to `stats`, with an argument or without: names and values.
    pub(crate) async fn statistics(&mut self, of: &str) -> Result<Vec<(String, String)>, Trouble> {
        self.send_line(format!("stats {of}").trim_end()).await?;
        let mut statistics = Vec::new();
        for _ in 0..LINES_MAX {
            let line = self.line().await?;
            if line == "END" {
                self.finish();
                return Ok(statistics);
            }
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("STAT"), Some(name), value) => {
                    statistics.push((name.to_owned(), value.unwrap_or_default().to_owned()));
                }
                _ => return Err(Fault::Refused(line).into()),
            }
        }
        Err(Fault::Garbled.into())
    }

    async fn receive(&mut self) -> Result<(), Trouble> {
        self.input.reserve(INPUT_BYTES);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            let closed = "the server closed the connection";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed).into());
        }
        Ok(())
    }
}
