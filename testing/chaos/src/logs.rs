//! Where servers write their logs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::{Failure, failed};

/// A folder for the logs of one run.
#[derive(Debug)]
pub struct Logs {
    path: PathBuf,
    /// Whether it was made up here: then it goes if nothing went wrong.
    is_ours: bool,
}

/// This folder, or a new one.
///
/// # Errors
/// If it can not be made.
pub fn logs(wanted: Option<&Path>) -> Result<Logs, Failure> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let new = || {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("abide-chaos-{}-{number}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let path = wanted.map_or_else(new, Path::to_owned);
    std::fs::create_dir_all(&path).map_err(failed("can not make the folder for logs"))?;
    Ok(Logs { path, is_ours: wanted.is_none() })
}

impl Logs {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, if nobody asked for it.
    pub fn remove(self) {
        if self.is_ours {
            // What stays behind is a few lines in the folder for temporary files.
            _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
