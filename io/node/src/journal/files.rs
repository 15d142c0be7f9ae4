//! The files of a folder: journals and copies, each with a number.
//!
//! ```text
//! lock            held while a process uses the folder
//! journal-7       what was taken over since journal 7 began
//! copy-7          all that there was when journal 7 began, or later
//! copy-8.part     a copy that is not complete: worth nothing
//! ```
//!
//! All there is: the last copy, and all journals of its number and above, in any order. A file is never
//! written to again after its process has stopped.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use abide_replica::journal::{Frames, Recovered, write_version};

/// What a session holds is its owner's: nobody else reads it.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Bytes that are read at once.
const READ_AT_ONCE: usize = 1024 * 1024;

const JOURNAL: &str = "journal-";
const COPY: &str = "copy-";
const PART: &str = ".part";

/// A folder that this process alone uses.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
    /// The folder itself: names are safe when this is synced.
    own: File,
    last_number: u64,
    journal: Option<File>,
    copy: Option<File>,
}

impl Files {
    /// Takes the folder. It is made if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let told = |what: &str, error: io::Error| format!("{what}: {error}");
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)
            .map_err(|error| told("can not make the folder", error))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let lock = options
            .open(folder.join("lock"))
            .map_err(|error| told("can not write to it", error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                "another process uses it: each node needs a folder of its own".to_owned()
            }
            TryLockError::Error(error) => told("can not lock it", error),
        })?;
        let own = File::open(folder).map_err(|error| told("can not open it", error))?;
        let mut files = Self {
            folder: folder.to_owned(),
            _lock: lock,
            own,
            last_number: 0,
            journal: None,
            copy: None,
        };
        let numbers = files.list().map_err(|error| told("can not list it", error))?;
        files.last_number = numbers.iter().map(|(_, number)| *number).max().unwrap_or_default();
        Ok(files)
    }

    /// The highest number that a file has.
    pub(crate) const fn last_number(&self) -> u64 {
        self.last_number
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads all there is. True if it is time for a copy: there is much in journals, or something is damaged.
    pub(crate) fn recover(&self, journal_bytes: u64) -> Result<(Recovered, bool), String> {
        let files = self.list().map_err(|error| format!("can not list it: {error}"))?;
        let copies = files.iter().filter(|(kind, _)| *kind == Kind::Copy);
        let last_copy = copies.map(|(_, number)| *number).max();
        let mut recovered = Recovered::default();
        let (mut bytes, mut is_damaged) = (0_u64, false);
        if let Some(number) = last_copy {
            is_damaged |= self.read(&name(COPY, number), &mut recovered)?.is_damaged;
        }
        for (kind, number) in files {
            if kind == Kind::Journal && last_copy.is_none_or(|copy| copy <= number) {
                let read = self.read(&name(JOURNAL, number), &mut recovered)?;
                bytes = bytes.saturating_add(read.bytes);
                is_damaged |= read.is_damaged;
            }
        }
        Ok((recovered, is_damaged || bytes > journal_bytes))
    }

    fn read(&self, name: &str, recovered: &mut Recovered) -> Result<ReadFile, String> {
        let path = self.folder.join(name);
        let fault = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let mut file = File::open(&path).map_err(|error| fault(&error))?;
        let mut frames = Frames::default();
        let mut buffer = vec![0; READ_AT_ONCE];
        let (unread, mut bytes) = (recovered.unread_bytes(), 0_u64);
        loop {
            let count = file.read(&mut buffer).map_err(|error| fault(&error))?;
            bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            frames.push(buffer.get(..count).unwrap_or_default());
            while let Some(content) = frames.next_content(count == 0) {
                recovered.take(content).map_err(|later| fault(&later))?;
            }
            if count == 0 {
                break;
            }
        }
        let (skipped, tail) = frames.skipped_bytes();
        let unread = recovered.unread_bytes().saturating_sub(unread);
        let inside = skipped.saturating_sub(tail).saturating_add(unread);
        if inside > 0 {
            tracing::error!(
                file = %path.display(), bytes = inside,
                "a part of this file is damaged, and what stood there is lost"
            );
        }
        if tail > 0 {
            tracing::warn!(
                file = %path.display(), bytes = tail,
                "the end of this file was cut off while it was written; all before it is there"
            );
        }
        Ok(ReadFile { bytes, is_damaged: inside > 0 || tail > 0 })
    }

    /// Begins a journal.
    pub(crate) fn begin(&mut self, number: u64) -> io::Result<()> {
        self.last_number = number;
        self.journal = None;
        self.journal = Some(self.create(&name(JOURNAL, number))?);
        self.own.sync_all()
    }

    /// Makes the journal of before safe, and begins the next one and a copy.
    pub(crate) fn begin_with_copy(&mut self, number: u64) -> io::Result<()> {
        (self.last_number, self.copy) = (number, None);
        if let Some(journal) = self.journal.take() {
            // If this fails it fails for what the copy will have.
            let _ = journal.sync_data();
        }
        self.begin(number)?;
        self.copy = Some(self.create(&format!("{}{PART}", name(COPY, number)))?);
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.write_all(bytes))
    }

    pub(crate) fn copy(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.copy.as_mut().map_or(Ok(()), |copy| copy.write_all(bytes))
    }

    /// The copy has all: what is older goes.
    pub(crate) fn complete_copy(&mut self) -> io::Result<()> {
        let Some(copy) = self.copy.take() else { return Ok(()) };
        copy.sync_all()?;
        let name = name(COPY, self.last_number);
        fs::rename(self.folder.join(format!("{name}{PART}")), self.folder.join(&name))?;
        self.own.sync_all()?;
        for (kind, number) in self.list()? {
            if number < self.last_number {
                fs::remove_file(self.folder.join(kind.name(number)))?;
            }
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(self.folder.join(name))?;
        let mut version = Vec::new();
        write_version(&mut version);
        file.write_all(&version)?;
        Ok(file)
    }

    /// The files, in order of their numbers.
    fn list(&self) -> io::Result<Vec<(Kind, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?.file_name();
            let parsed = entry.to_str().and_then(Kind::parse);
            files.extend(parsed);
        }
        files.sort_by_key(|(_, number)| *number);
        Ok(files)
    }
}

struct ReadFile {
    bytes: u64,
    is_damaged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Journal,
    Copy,
    Part,
}

impl Kind {
    fn parse(name: &str) -> Option<(Self, u64)> {
        if let Some(number) = name.strip_prefix(JOURNAL) {
            return Some((Self::Journal, number.parse().ok()?));
        }
        let number = name.strip_prefix(COPY)?;
        match number.strip_suffix(PART) {
            Some(number) => Some((Self::Part, number.parse().ok()?)),
            None => Some((Self::Copy, number.parse().ok()?)),
        }
    }

    fn name(self, number: u64) -> String {
        match self {
            Self::Journal => name(JOURNAL, number),
            Self::Copy => name(COPY, number),
            Self::Part => format!("{}{PART}", name(COPY, number)),
        }
    }
}

fn name(kind: &str, number: u64) -> String {
    format!("{kind}{number}")
}
