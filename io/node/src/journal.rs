//! Sessions on a disk, so that they are there again when all nodes were down.
//!
//! Whatever the node takes over goes to a thread that writes it to the *journal* and makes it safe (`fsync`)
//! every [`SYNC_EVERY`]: no answer waits for it, and of a stop of all nodes at once what was answered in the
//! last moment is lost, at most 50 ms on a disk that is not slow. From time to time the node begins
//! the next journal and *copies* its whole table, a little at a time; when the copy is complete, what is
//! older goes. What stands in the files, and why a copy needs no moment of rest, is told in
//! [`abide_replica::journal`].
//!
//! A disk that is full or does not answer stops nothing: the node goes on in memory, says so once and in its
//! counters, and forgets what it can not write. Once a second it begins a new journal with a whole copy, until
//! that succeeds; then the disk has all again.

mod files;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use abide_replica::Node;
use abide_replica::journal::{Recovered, write_frame};
use abide_session::Slot;
use tokio::time::Instant;

use crate::counters::Counts;
use crate::error::JoinError;
use files::Files;
use writer::Job;

/// How long what was written waits at most for the disk to be asked to keep it.
pub(crate) const SYNC_EVERY: Duration = Duration::from_millis(20);
/// Bytes that wait to be written. What comes when there are more is forgotten, and a copy made later.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// A journal that is longer than this, and than the last copy, is ended by a copy.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// How much of the table is copied at once, and how often: the node does nothing else meanwhile, some hundred
/// microseconds.
const COPIED_AT_ONCE_BYTES: usize = 512 * 1024;
const COPY_EVERY: Duration = Duration::from_millis(5);
/// How long a disk that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The journal of a node that runs.
#[derive(Debug)]
pub(crate) struct Journal {
    jobs: mpsc::Sender<Job>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
    /// Which journal is written: they are numbered.
    number: u64,
    /// Whether something that the node knows is in no file.
    has_gap: bool,
    /// What has gone to this journal, and to the last copy.
    written_bytes: u64,
    copied_bytes: u64,
    copying: Option<Copying>,
    due: Instant,
}

/// A copy that is being made.
#[derive(Debug)]
struct Copying {
    next: Option<Slot>,
    bytes: u64,
}

/// What the thread that writes tells.
#[derive(Debug, Default)]
pub(crate) struct State {
    waiting_bytes: AtomicUsize,
    /// The last journal that could not be written.
    failed: AtomicU64,
}

/// A folder that nobody else uses, and what was in it.
pub(crate) struct Opened {
    pub(crate) recovered: Recovered,
    files: Files,
    needs_copy: bool,
}

impl Opened {
    /// Begins the next journal, after what was recovered.
    pub(crate) fn go_on(self, counts: Arc<Counts>) -> Result<(Recovered, Journal), JoinError> {
        let folder = self.files.folder().to_owned();
        let started = Journal::start(self.files, self.needs_copy, counts);
        let fault = |error: std::io::Error| {
            let fault = format!("can not write to it: {error}");
            JoinError::Data { folder, fault }
        };
        Ok((self.recovered, started.map_err(fault)?))
    }

    /// Takes a folder, which is made if need be, and reads what is in it.
    pub(crate) fn folder(folder: &Path) -> Result<Self, JoinError> {
        let fault = |fault: String| JoinError::Data { folder: folder.to_owned(), fault };
        let files = Files::open(folder).map_err(fault)?;
        let (recovered, needs_copy) = files.recover(JOURNAL_BYTES).map_err(fault)?;
        Ok(Self { recovered, files, needs_copy })
    }
}

impl Journal {
    /// Goes on after what was recovered.
    fn start(mut files: Files, needs_copy: bool, counts: Arc<Counts>) -> std::io::Result<Self> {
        let number = files.last_number().saturating_add(1);
        files.begin(number)?;
        let (jobs, waiting) = mpsc::channel();
        let state = Arc::<State>::default();
        let told = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("abide-journal".to_owned());
        let thread = thread.spawn(move || writer::run(files, &waiting, &told, &counts))?;
        Ok(Self {
            jobs,
            state,
            thread: Some(thread),
            number,
            has_gap: needs_copy,
            written_bytes: 0,
            copied_bytes: 0,
            copying: None,
            due: Instant::now(),
        })
    }

    /// When [`Journal::go_on`] has something to do.
    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// Writes down what the node has learned since this was last called.
    pub(crate) fn append(&mut self, node: &mut Node) {
        let news = node.take_news();
        if news.is_empty() {
            return;
        }
        let length = u64::try_from(news.len()).unwrap_or(u64::MAX);
        self.written_bytes = self.written_bytes.saturating_add(length);
        if !self.give(&news, Job::Append) {
            self.has_gap = true;
        }
    }

    /// Copies a part of the table, or begins to, if it is time.
    pub(crate) fn go_on(&mut self, node: &Node) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        let has_failed = self.state.failed.load(Ordering::Relaxed) >= self.number;
        let pause = if self.copying.is_some() && !has_failed {
            self.copy_part(node);
            COPY_EVERY
        } else if has_failed || self.has_gap || self.is_long() {
            self.begin_copy();
            COPY_EVERY.max(if has_failed { RETRY_AFTER } else { COPY_EVERY })
        } else {
            RETRY_AFTER
        };
        self.due = now.checked_add(pause).unwrap_or(now);
    }

    /// Makes all that was given safe, and ends.
    pub(crate) fn stop(mut self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn is_long(&self) -> bool {
        self.written_bytes > JOURNAL_BYTES.max(self.copied_bytes)
    }

    fn begin_copy(&mut self) {
        // What is on its way to the file of before is still to come: that one is kept until the copy is there.
        self.number = self.number.saturating_add(1);
        let is_sent = self.jobs.send(Job::Begin(self.number)).is_ok();
        self.has_gap = !is_sent;
        self.written_bytes = 0;
        self.copying = is_sent.then_some(Copying { next: Slot::all().next(), bytes: 0 });
    }

    fn copy_part(&mut self, node: &Node) {
        let Some(copying) = &mut self.copying else { return };
        let mut content = Vec::new();
        while let Some(slot) = copying.next.take_if(|_| content.len() < COPIED_AT_ONCE_BYTES) {
            node.write_slot(slot, &mut content);
            copying.next = Slot::new(slot.number().saturating_add(1));
        }
        let is_last = copying.next.is_none();
        if is_last {
            node.write_nodes(&mut content);
        }
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        copying.bytes = copying.bytes.saturating_add(length);
        let bytes = copying.bytes;
        let is_given = content.is_empty() || self.give(&content, Job::Copy);
        if !is_given {
            // The disk takes less than this: it begins again when it can.
            (self.copying, self.has_gap) = (None, true);
        } else if is_last {
            let _ = self.jobs.send(Job::Complete);
            (self.copying, self.copied_bytes) = (None, bytes);
        }
    }

    /// Gives content to the thread as a frame. False if too much waits there.
    fn give(&self, content: &[u8], job: impl FnOnce(Vec<u8>) -> Job) -> bool {
        let mut frame = Vec::with_capacity(content.len().saturating_add(16));
        write_frame(&mut frame, content);
        let length = frame.len();
        let waiting = self.state.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        // However large one is, it is taken if nothing waits.
        let has_room = waiting == 0 || waiting.saturating_add(length) <= MAX_WAITING_BYTES;
        if has_room && self.jobs.send(job(frame)).is_ok() {
            return true;
        }
        self.state.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests;
