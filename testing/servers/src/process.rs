//! A server as a process that can not outlive the test.
//!
//! Invariant: a server's only parent is the watcher script, and the watcher ends it when the pipe
//! from this process closes, however this process ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::programs::SystemUser;
use crate::waiting::{PATIENCE, until};

/// Starts the server, says its number, and ends it when its input ends. After "keep" the folder
/// stays, for a restart. A server that does not obey the signal within 5 s is killed.
const WATCHER: &str = r#"
folder=$1 log=$2 signal=$3
shift 3
"$@" </dev/null >>"$log" 2>&1 &
server=$!
echo "$server"
read -r word
if [ "$word" = keep ]; then
  kill -KILL "$server"
  wait "$server"
  exit
fi
kill -CONT "$server"
kill "-$signal" "$server"
looks=0
while [ "$looks" -lt 500 ] && grep -q '^State:.[^Z]' "/proc/$server/status"; do
  sleep 0.01
  looks=$((looks + 1))
done
[ "$looks" -lt 500 ] || kill -KILL "$server"
wait "$server"
rm -rf "$folder"
"#;

/// How many lines of a log a panic shows.
const LOG_TAIL: usize = 25;

/// A folder for one server.
pub(crate) fn new_folder(owner: Option<SystemUser>) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("abide-servers-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // One of a process that had our number and was killed together with its watcher.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    if let Some(owner) = owner {
        owner.owns(&folder);
    }
    folder
}

/// A server, running or killed, and its folder.
#[derive(Debug)]
pub(crate) struct Process {
    command: Vec<String>,
    folder: PathBuf,
    /// Which signal lets it end and clean up.
    ending: &'static str,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    watcher: Child,
    server: Pid,
}

impl Process {
    /// Starts the command, whose folder this becomes, and waits until the probe says that it is
    /// ready.
    pub(crate) fn start(
        command: Vec<String>,
        folder: PathBuf,
        ending: &'static str,
        ready: impl FnMut() -> bool,
    ) -> Self {
        let mut process = Self { command, folder, ending, running: None };
        process.spawn();
        process.await_ready(ready);
        process
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it again after [`kill`](Self::kill).
    pub(crate) fn restart(&mut self, mut ready: impl FnMut() -> bool) {
        assert!(self.running.is_none(), "restarted while it runs: kill it before");
        // Children of a killed server may hold what the new one needs for a moment.
        let up =
            until(PATIENCE, || {
                self.spawn();
                let up = until(PATIENCE, || {
                    if self.ended() { Some(false) } else { ready().then_some(true) }
                });
                if up != Some(true) {
                    self.kill();
                }
                up.filter(|up| *up)
            });
        assert!(
            up.is_some(),
            "it did not come up again: {}\n{}",
            self.command.join(" "),
            self.log()
        );
    }

    /// Kills it and its children (-9), and waits until they are gone.
    pub(crate) fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        signal_family(running.server, Signal::KILL);
        let mut pipe = running.watcher.stdin.take().unwrap();
        let _ = pipe.write_all(b"keep\n");
        drop(pipe);
        running.watcher.wait().unwrap();
    }

    /// Lets it and its children hang.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets them go on.
    pub(crate) fn cont(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_family(self.running.as_ref().expect("a server that runs").server, signal);
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The number of its process.
    pub(crate) fn number(&self) -> i32 {
        self.running.as_ref().expect("a server that runs").server.as_raw_nonzero().get()
    }

    /// The end of what it said.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    fn spawn(&mut self) {
        use std::os::unix::process::CommandExt;
        let mut watcher = Command::new("/bin/sh")
            .args(["-c", WATCHER, "watcher"])
            .arg(&self.folder)
            .arg(self.folder.join("log"))
            .arg(self.ending)
            .args(&self.command)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(watcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        self.running = Some(Running { watcher, server });
    }

    fn await_ready(&self, mut ready: impl FnMut() -> bool) {
        let up =
            until(PATIENCE, || if self.ended() { Some(false) } else { ready().then_some(true) });
        assert!(up == Some(true), "it did not come up: {}\n{}", self.command.join(" "), self.log());
    }

    /// Whether it has ended by itself.
    fn ended(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.number()));
        status.map_or(true, |status| status.contains("\nState:\tZ"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        match self.running.take() {
            Some(mut running) => {
                signal_family(running.server, Signal::CONT);
                drop(running.watcher.stdin.take());
                let _ = running.watcher.wait();
            }
            None => drop(std::fs::remove_dir_all(&self.folder)),
        }
    }
}

/// Sends a signal to a process and all below it, the process first: it starts no more of them.
fn signal_family(process: Pid, signal: Signal) {
    let _ = kill_process(process, signal);
    for child in children(process) {
        signal_family(child, signal);
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let is_child = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.and_then(|number| number.trim().parse().ok()).and_then(Pid::from_raw) == Some(parent)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let number: i32 = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            is_child(&status).then(|| Pid::from_raw(number)).flatten()
        })
        .collect()
}

/// Whether a server accepts connections at this address.
pub(crate) fn accepts(address: &str) -> bool {
    let address = address.parse().unwrap();
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
