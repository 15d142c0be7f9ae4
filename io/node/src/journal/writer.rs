//! The thread that writes: it alone waits for the disk.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::time::Instant;

use super::files::Files;
use super::{SYNC_EVERY, State};
use crate::counters::Counts;

/// Something to be done with the files.
pub(crate) enum Job {
    /// Bytes for the journal.
    Append(Vec<u8>),
    /// The journal of this number begins, and a copy under the same.
    Begin(u64),
    /// Bytes for the copy.
    Copy(Vec<u8>),
    /// The copy has all.
    Complete,
    /// There will be no more.
    Stop,
}

/// Does jobs until there are no more.
pub(crate) fn run(files: Files, jobs: &Receiver<Job>, state: &State, counts: &Counts) {
    let mut writer = Writer { files, state, counts, unsafe_since: None, is_failing: false };
    loop {
        let job = match writer.unsafe_since {
            None => jobs.recv().map_err(|_disconnected| RecvTimeoutError::Disconnected),
            Some(since) => jobs.recv_timeout(SYNC_EVERY.saturating_sub(since.elapsed())),
        };
        let outcome = match job {
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(job) => writer.perform(job).and_then(|()| writer.sync_if_due()),
            Err(RecvTimeoutError::Timeout) => writer.sync_if_due(),
        };
        if let Err(error) = outcome {
            writer.fail(&error);
        }
    }
    if let Err(error) = writer.sync() {
        tracing::error!(%error, "the last sessions of this node may not be on the disk");
    }
}

struct Writer<'a> {
    files: Files,
    state: &'a State,
    counts: &'a Counts,
    /// Since when something is written and not safe.
    unsafe_since: Option<Instant>,
    /// A disk that failed is left alone until a new journal begins.
    is_failing: bool,
}

impl Writer<'_> {
    fn perform(&mut self, job: Job) -> io::Result<()> {
        let written = match &job {
            Job::Begin(number) => {
                self.files.begin_with_copy(*number)?;
                self.is_failing = false;
                Ok(())
            }
            _ if self.is_failing => Ok(()),
            Job::Append(bytes) => {
                self.counts.journal_written(bytes.len());
                self.files.append(bytes)
            }
            Job::Copy(bytes) => self.files.copy(bytes),
            Job::Complete => self.files.complete_copy().map(|()| self.counts.journal_copied()),
            Job::Stop => Ok(()),
        };
        if let Job::Append(bytes) | Job::Copy(bytes) = job {
            self.state.waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        self.unsafe_since.get_or_insert_with(Instant::now);
        written
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        let is_due = self.unsafe_since.is_some_and(|since| since.elapsed() >= SYNC_EVERY);
        if is_due { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.unsafe_since = None;
        if self.is_failing {
            return Ok(());
        }
        let begun = Instant::now();
        self.files.sync()?;
        self.counts.journal_synced(begun.elapsed());
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        if !self.is_failing {
            tracing::error!(
                %error,
                folder = %self.files.folder().display(),
                "the disk does not take the sessions of this node; it goes on in memory and tries again"
            );
        }
        self.counts.journal_failed();
        (self.is_failing, self.unsafe_since) = (true, None);
        self.state.failed.store(self.files.last_number(), Ordering::Relaxed);
    }
}
