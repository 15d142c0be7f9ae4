//! A connection to another node, after both have greeted: letters in, letters out.
//!
//! Two tasks, so that a peer that does not read never keeps this node from hearing it. What is to be
//! sent waits in memory, at most [`MAX_QUEUED_BYTES`]: a peer that takes nothing for that long is better
//! off with a new connection. What comes is read no faster than the node takes it.
//!
//! A frame is four bytes of length, the low one first, and a letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abide_replica::limits::MAX_LETTER_BYTES;
use abide_replica::wire::{self, Unread};
use abide_replica::{Birth, Contact, Letter, NodeId};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::counters::Counts;
use crate::shell::Input;

/// The bytes that wait to be sent to one node: a few slots of the largest sessions.
pub(crate) const MAX_QUEUED_BYTES: usize = 256 * 1024 * 1024;
/// Bytes that are handed to the operating system at once.
const WRITTEN_AT_ONCE: usize = 256 * 1024;
/// Bytes that are asked of it at once.
const READ_AT_ONCE: usize = 64 * 1024;
/// Letters that are handed on together.
const LETTERS_AT_ONCE: usize = 256;
/// The length before each frame.
const LENGTH_BYTES: usize = 4;

/// The end of a connection that sends.
#[derive(Debug)]
pub(crate) struct Link {
    /// The process at the other end.
    pub(crate) birth: Birth,
    /// Which of all connections of this process it is.
    pub(crate) number: u64,
    /// Whether this process has made it.
    pub(crate) is_dialed: bool,
    frames: mpsc::UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    tasks: [tokio::task::AbortHandle; 2],
}

/// Who a connection leads to, and which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub(crate) peer: NodeId,
    pub(crate) birth: Birth,
    pub(crate) number: u64,
    pub(crate) is_dialed: bool,
}

/// A connection on which nothing but greetings has passed.
pub(crate) struct Fresh {
    pub(crate) met: Met,
    /// Who it is, as it says.
    pub(crate) contact: Contact,
    pub(crate) halves: Halves,
}

/// The two directions of a connection.
pub(crate) struct Halves {
    pub(crate) read: Box<dyn AsyncRead + Unpin + Send>,
    pub(crate) write: Box<dyn AsyncWrite + Unpin + Send>,
}

impl Halves {
    pub(crate) fn of(
        (read, write): (
            impl AsyncRead + Unpin + Send + 'static,
            impl AsyncWrite + Unpin + Send + 'static,
        ),
    ) -> Self {
        Self { read: Box::new(read), write: Box::new(write) }
    }
}

impl Link {
    /// Takes over a connection. What comes in goes to the node.
    pub(crate) fn start(fresh: Fresh, node: mpsc::Sender<Input>, counts: Arc<Counts>) -> Self {
        let Fresh { met, halves: Halves { read, write }, .. } = fresh;
        let Met { peer, birth, number, is_dialed } = met;
        let (frames, waiting) = mpsc::unbounded_channel();
        let queued = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&counts);
        let sending = tokio::spawn(send(write, waiting, Arc::clone(&queued), counted));
        let reading = tokio::spawn(async move {
            let fault = receive(read, met, &node, &counts).await;
            tracing::debug!(peer = peer.0, %fault, "a connection to another node has ended");
            let _ = node.send(Input::Down(peer, number)).await;
        });
        let tasks = [sending.abort_handle(), reading.abort_handle()];
        Self { birth, number, is_dialed, frames, queued, tasks }
    }

    /// Sends frames. False if the other end does not take them, or is gone.
    pub(crate) fn send(&self, frames: Vec<u8>) -> bool {
        let queued = self.queued.fetch_add(frames.len(), Ordering::Relaxed);
        queued.saturating_add(frames.len()) <= MAX_QUEUED_BYTES && self.frames.send(frames).is_ok()
    }
}

/// Nothing comes of it any more, and nothing goes.
impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Appends a letter as a frame. False if it is too long to be taken.
pub(crate) fn append(letter: &Letter, frames: &mut Vec<u8>) -> bool {
    let begin = frames.len();
    frames.extend_from_slice(&[0; LENGTH_BYTES]);
    wire::write(letter, frames);
    let length = frames.len().saturating_sub(begin).saturating_sub(LENGTH_BYTES);
    let is_short = length <= MAX_LETTER_BYTES;
    let place = frames.get_mut(begin..).and_then(<[u8]>::first_chunk_mut::<LENGTH_BYTES>);
    if let (true, Some(place), Ok(length)) = (is_short, place, u32::try_from(length)) {
        *place = length.to_le_bytes();
        return true;
    }
    frames.truncate(begin);
    false
}

async fn send(
    mut write: impl AsyncWrite + Unpin,
    mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    counts: Arc<Counts>,
) {
    while let Some(mut bytes) = frames.recv().await {
        while bytes.len() < WRITTEN_AT_ONCE
            && let Ok(more) = frames.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
            // The end that reads learns it as well, and says so.
            return;
        }
        queued.fetch_sub(bytes.len(), Ordering::Relaxed);
        counts.sent(bytes.len());
    }
}

/// Hands letters on until the connection ends; says why.
async fn receive(
    mut read: impl AsyncRead + Unpin,
    met: Met,
    node: &mpsc::Sender<Input>,
    counts: &Counts,
) -> String {
    let mut buffer = BytesMut::new();
    loop {
        let letters = match take_letters(&mut buffer) {
            Ok(letters) => letters,
            Err(fault) => {
                tracing::warn!(peer = met.peer.0, %fault, "another node sends what can not be read");
                return fault;
            }
        };
        if !letters.is_empty() {
            let input = Input::Letters(met.peer, met.number, letters);
            if node.send(input).await.is_err() {
                return "this node stops".to_owned();
            }
            continue;
        }
        buffer.reserve(READ_AT_ONCE);
        match read.read_buf(&mut buffer).await {
            Ok(0) => return "the other end has closed it".to_owned(),
            Ok(count) => counts.received(count),
            Err(error) => return error.to_string(),
        }
    }
}

/// The whole letters at the front of the buffer, some of them.
fn take_letters(buffer: &mut BytesMut) -> Result<Vec<Letter>, String> {
    let mut letters = Vec::new();
    while letters.len() < LETTERS_AT_ONCE
        && let Some(head) = buffer.first_chunk::<LENGTH_BYTES>()
    {
        let length = usize::try_from(u32::from_le_bytes(*head)).unwrap_or(usize::MAX);
        if length > MAX_LETTER_BYTES {
            return Err(format!("a letter of {length} bytes; it takes {MAX_LETTER_BYTES}"));
        }
        let Some(bytes) = buffer.get(LENGTH_BYTES..LENGTH_BYTES.saturating_add(length)) else {
            break;
        };
        match wire::read(bytes) {
            Ok(letter) => letters.push(letter),
            Err(Unread::Later) => {}
            Err(fault) => return Err(fault.to_string()),
        }
        buffer.advance(LENGTH_BYTES.saturating_add(length));
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use abide_replica::Message;

    use super::*;

    fn ping(number: u64) -> Letter {
        Letter { birth: Birth(7), message: Message::Ping { number, heard: 0, is_whole: true } }
    }

    #[test]
    fn letters_come_out_of_any_pieces_in_order() {
        let mut frames = Vec::new();
        for number in 0..600 {
            assert!(append(&ping(number), &mut frames));
        }
        for piece in [1, 7, 4096, usize::MAX] {
            let (mut buffer, mut count) = (BytesMut::new(), 0);
            for bytes in frames.chunks(piece.min(frames.len())) {
                buffer.extend_from_slice(bytes);
                loop {
                    let letters = take_letters(&mut buffer).unwrap();
                    assert!(letters.len() <= LETTERS_AT_ONCE);
                    if letters.is_empty() {
                        break;
                    }
                    for letter in letters {
                        assert_eq!(format!("{letter:?}"), format!("{:?}", ping(count)));
                        count += 1;
                    }
                }
            }
            assert_eq!((count, buffer.len()), (600, 0));
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_before_memory_runs_out() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let met = Met { peer: NodeId(1), birth: Birth(1), number: 1, is_dialed: true };
        let contact = Contact::listed("b", "");
        let fresh = Fresh { met, contact, halves: Halves::of(tokio::io::split(ours)) };
        let (node, _inputs) = mpsc::channel(1);
        let link = Link::start(fresh, node, Arc::default());
        // Pages that nobody has written to take no memory.
        let part = MAX_QUEUED_BYTES / 4;
        for _ in 0..4 {
            assert!(link.send(vec![0; part]));
        }
        assert!(!link.send(vec![0; 1]));
    }

    #[test]
    fn a_letter_that_is_too_long_or_none_ends_the_connection() {
        let long = u32::try_from(MAX_LETTER_BYTES + 1).unwrap().to_le_bytes();
        let mut buffer = BytesMut::from(&long[..]);
        assert!(take_letters(&mut buffer).unwrap_err().contains("it takes"));
        let mut buffer = BytesMut::from(&[1, 0, 0, 0, 0xff][..]);
        assert!(take_letters(&mut buffer).unwrap_err().contains("no letter"));
        // What a later version may say is passed over.
        let mut buffer = BytesMut::from(&[3, 0, 0, 0, 7, 0xff, 1][..]);
        assert!(take_letters(&mut buffer).unwrap().is_empty() && buffer.is_empty());
    }
}
