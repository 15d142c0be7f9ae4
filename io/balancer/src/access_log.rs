//! One line for each request, written in batches.
//!
//! A line is formatted into a buffer of its worker; full buffers, and once a second all of them, go
//! to one writing thread. So a request pays for its text and for no system call. If the disk can not
//! keep up, lines are dropped and counted rather than requests held up.
//!
//! The path is logged without its query and path parameters: they may carry a session id.

use crate::config::AccessLog;
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// A worker hands its buffer over when it holds so much.
const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers that may wait for the disk: 4 MiB.
const BUFFERS_WAITING_MAX: usize = 64;
/// The longest path in a line; the rest is cut off.
const PATH_BYTES_MAX: usize = 1024;

/// What is known of a request when it is over.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) client: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// `-` if no server answered.
    pub(crate) server: &'a str,
    pub(crate) verdict: &'a str,
}

/// The thread that writes, and the way to it.
#[derive(Debug)]
pub(crate) struct LogWriter {
    buffers: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// `None` if there is to be no log.
    ///
    /// # Errors
    /// If the file can not be opened for appending.
    pub(crate) fn start(log: &AccessLog) -> io::Result<Option<Self>> {
        let sink: Box<dyn Write + Send> = match log {
            AccessLog::Off => return Ok(None),
            AccessLog::Stderr => Box::new(io::stderr()),
            AccessLog::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let (buffers, waiting) = sync_channel(BUFFERS_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(sink, &waiting))?;
        Ok(Some(Self { buffers, dropped: Arc::default(), thread }))
    }

    /// The end that a worker holds.
    pub(crate) fn lines(&self) -> LogLines {
        LogLines {
            buffer: RefCell::new(Vec::with_capacity(BUFFER_BYTES + 4096)),
            buffers: self.buffers.clone(),
            dropped: Arc::clone(&self.dropped),
            second: RefCell::new((0, String::new())),
        }
    }

    /// Buffers lost because the disk could not keep up.
    pub(crate) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Writes what is left. Every [`LogLines`] must be gone, or this waits for it.
    pub(crate) fn finish(self) {
        drop(self.buffers);
        let _ = self.thread.join();
    }
}

fn write_all(mut sink: Box<dyn Write + Send>, waiting: &Receiver<Vec<u8>>) {
    let mut complained = false;
    for buffer in waiting {
        if let Err(error) = sink.write_all(&buffer).and_then(|()| sink.flush())
            && !complained
        {
            complained = true;
            tracing::error!(%error, "the access log can not be written; lines are lost");
        }
    }
}

/// One worker's lines.
#[derive(Debug)]
pub(crate) struct LogLines {
    buffer: RefCell<Vec<u8>>,
    buffers: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// The text of the second it was formatted for.
    second: RefCell<(u64, String)>,
}

impl LogLines {
    /// Adds the line of one request that ended at `now`, the time since the Unix epoch.
    pub(crate) fn add(&self, entry: &Entry<'_>, now: Duration) {
        let mut buffer = self.buffer.borrow_mut();
        self.add_time(&mut buffer, now);
        add_line(&mut buffer, entry);
        if buffer.len() >= BUFFER_BYTES {
            self.hand_over(&mut buffer);
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.is_empty() {
            self.hand_over(&mut buffer);
        }
    }

    fn hand_over(&self, buffer: &mut Vec<u8>) {
        let full = std::mem::replace(buffer, Vec::with_capacity(BUFFER_BYTES + 4096));
        match self.buffers.try_send(full) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// RFC 3339 with milliseconds. The text up to the second is made once a second.
    fn add_time(&self, buffer: &mut Vec<u8>, now: Duration) {
        let mut second = self.second.borrow_mut();
        if second.0 != now.as_secs() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
            let text = humantime::format_rfc3339_seconds(time).to_string();
            *second = (now.as_secs(), text.trim_end_matches('Z').to_owned());
        }
        buffer.extend_from_slice(second.1.as_bytes());
        let millis = now.subsec_millis();
        let digit = |value: u32| b'0' + u8::try_from(value % 10).unwrap_or(0);
        buffer.extend_from_slice(&[
            b'.',
            digit(millis / 100),
            digit(millis / 10),
            digit(millis),
            b'Z',
            b' ',
        ]);
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.flush();
    }
}

/// `client "METHOD path" status bytes microseconds server verdict`.
fn add_line(buffer: &mut Vec<u8>, entry: &Entry<'_>) {
    let mut number = itoa::Buffer::new();
    let mut space_number = |buffer: &mut Vec<u8>, value: u64| {
        buffer.push(b' ');
        buffer.extend_from_slice(number.format(value).as_bytes());
    };
    buffer.extend_from_slice(entry.client.as_bytes());
    buffer.extend_from_slice(b" \"");
    buffer.extend_from_slice(entry.method.as_bytes());
    buffer.push(b' ');
    buffer.extend_from_slice(loggable(entry.path).as_bytes());
    buffer.push(b'"');
    space_number(buffer, u64::from(entry.status));
    space_number(buffer, entry.bytes);
    space_number(buffer, u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX));
    buffer.push(b' ');
    buffer.extend_from_slice(entry.server.as_bytes());
    buffer.push(b' ');
    buffer.extend_from_slice(entry.verdict.as_bytes());
    buffer.push(b'\n');
}

/// The path up to its first parameter, at most [`PATH_BYTES_MAX`] long. The parser has already refused
/// control characters and quotes can not end a line, so nobody can forge one.
fn loggable(path: &str) -> &str {
    let end = path.find(['?', ';', '#', '"']).unwrap_or(path.len());
    let mut end = end.min(PATH_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> String {
        let mut buffer = Vec::new();
        let entry = Entry {
            client: "192.0.2.7",
            method: "GET",
            path,
            status: 200,
            bytes: 150,
            took: Duration::from_micros(321),
            server: "a",
            verdict: "sticky",
        };
        add_line(&mut buffer, &entry);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_line_says_who_what_how_and_why() {
        assert_eq!(line("/cart"), "192.0.2.7 \"GET /cart\" 200 150 321 a sticky\n");
    }

    #[test]
    fn a_session_id_in_the_target_is_not_logged() {
        for path in ["/cart?sid=secret", "/cart;jsessionid=secret", "/cart;a=b?sid=secret"] {
            assert_eq!(line(path), line("/cart"));
        }
    }

    #[test]
    fn a_path_is_cut_at_path_bytes_max() {
        assert_eq!(line(&"a".repeat(2000)).len(), line("").len() + PATH_BYTES_MAX);
    }

    #[test]
    fn lines_reach_the_file() {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("abide-access-log-{}", std::process::id()));
        let writer = LogWriter::start(&AccessLog::File(path.clone())).unwrap().unwrap();
        let lines = writer.lines();
        let entry = Entry {
            client: "::1",
            method: "GET",
            path: "/",
            status: 502,
            bytes: 0,
            took: Duration::ZERO,
            server: "-",
            verdict: "none",
        };
        lines.add(&entry, Duration::from_millis(1_700_000_000_007));
        drop(lines);
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "2023-11-14T22:13:20.007Z ::1 \"GET /\" 502 0 0 - none\n");
    }
}
