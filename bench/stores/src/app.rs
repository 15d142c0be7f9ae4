//! An app that is measured: a process of its own, and what it has used.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that listens. It ends when this value is dropped.
#[derive(Debug)]
pub struct App {
    process: Child,
    address: String,
}

impl App {
    /// Starts a program that prints its address when it listens.
    pub fn start(command: &[String]) -> Result<Self, String> {
        let [program, arguments @ ..] = command else { return Err("no command".to_owned()) };
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let mut address = String::new();
        if let Some(output) = process.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut address);
        }
        let app = Self { process, address: address.trim().to_owned() };
        if app.address.is_empty() {
            return Err(format!("{} did not start; it said why above", command.join(" ")));
        }
        Ok(app)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The CPU time that all threads have used, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        let Ok(threads) = std::fs::read_dir(self.file("task")) else { return 0 };
        let used = threads.flatten().filter_map(|thread| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        used.sum()
    }

    /// The bytes that it gave to files, the log of a database in the process among them. What goes
    /// to sockets is not counted but for a few bytes.
    pub fn bytes_to_files(&self) -> u64 {
        self.number("io", "wchar:")
    }

    /// The memory that it has in use.
    pub fn memory_bytes(&self) -> u64 {
        self.number("status", "VmRSS:") * 1024
    }

    fn number(&self, file: &str, name: &str) -> u64 {
        let text = std::fs::read_to_string(self.file(file)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.process.id().to_string()).join(name)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
