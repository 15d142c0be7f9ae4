//! What the stories are told with.

pub(crate) mod bulk;
pub(crate) mod client;
pub(crate) mod origin;
pub(crate) mod process;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use client::Client;
pub(crate) use process::Process;

/// How long anything may take before a test gives up. `PATIENCE_MS` in the environment changes it.
pub(crate) fn patience() -> Duration {
    let set = std::env::var("PATIENCE_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(set.unwrap_or(30_000))
}

/// Asks again and again until there is an answer; panics with `what` when patience is at its end.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        // Not a guess at how long it takes: between two questions somebody else may have the core.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A folder of its own for one test, removed at the end.
#[derive(Debug)]
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("abide-e2e-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// Writes a file into it and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
