//! An `abide` as a process of its own.
//!
//! Invariant: it ends no later than this process, however that ends. Its standard input is a pipe from
//! here, and it ends when that does. One that is [`Paused`] reads nothing, so whoever paused it is a
//! process too, which lets it go on when its own pipe ends.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// From the start of a process to its ready line. A node waits for others for up to 10 s before that.
const READY_WAIT: Duration = Duration::from_secs(30);
/// From SIGTERM to the end: a node gives away what it holds for up to 10 s, then waits 5 s for requests.
const END_WAIT: Duration = Duration::from_secs(20);

/// What made the run impossible, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// A failure with what was tried before its cause.
pub(crate) fn failed(tried: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |cause| Failure(format!("{tried}: {cause}"))
}

/// A process that has said that it is ready.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Held open: the process ends when this does.
    _stdin: ChildStdin,
    pid: Pid,
    ready: Value,
}

impl Process {
    /// Starts the command, writes `input` to it, and waits for its ready line. What it says on standard
    /// error is added to the file.
    pub(crate) async fn start(
        mut command: Command,
        input: &str,
        log: &Path,
    ) -> Result<Self, Failure> {
        let name = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let tried = format!("can not start {name}");
        let log = std::fs::File::options().create(true).append(true).open(log);
        command.stderr(log.map_err(failed(&tried))?).kill_on_drop(true);
        let (child, mut stdin, line) = spawn(command, input).await.map_err(failed(&tried))?;
        let ready = serde_json::from_str(&line).map_err(|_malformed| {
            Failure(format!("{name} did not come up: its log says why; it said {line:?}"))
        })?;
        let pid = number(&child).ok_or_else(|| Failure(format!("{name} ended at once")))?;
        stdin.flush().await.map_err(failed(&tried))?;
        Ok(Self { child, _stdin: stdin, pid, ready })
    }

    /// An address of the ready line.
    pub(crate) fn address(&self, key: &str) -> Result<SocketAddr, Failure> {
        let text = self.ready.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|_malformed| Failure(format!("no address `{key}`: {}", self.ready)))
    }

    /// Kills it (-9) and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        // An error says that it was gone before.
        _ = self.child.kill().await;
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        kill_process(self.pid, Signal::TERM)
            .map_err(|cause| Failure(format!("it was gone before it was asked to end: {cause}")))?;
        match timeout(END_WAIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(Failure(format!("it ended badly when asked to end: {status:?}"))),
            Err(_late) => Err(Failure(format!("it did not end within {END_WAIT:?}"))),
        }
    }

    /// Lets it hang (SIGSTOP).
    pub(crate) async fn pause(&self) -> Result<Paused, Failure> {
        const SCRIPT: &str = "kill -STOP $1 && echo stopped && read -r word; kill -CONT $1";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "pause", &self.pid.to_string()]).stderr(Stdio::inherit());
        let tried = "can not pause a server";
        let (holder, stdin, line) = spawn(command, "").await.map_err(failed(tried))?;
        if line.trim() != "stopped" {
            return Err(Failure(tried.to_owned()));
        }
        Ok(Paused { holder, stdin })
    }
}

/// A process that hangs as long as this lives.
#[derive(Debug)]
pub(crate) struct Paused {
    holder: Child,
    stdin: ChildStdin,
}

impl Paused {
    /// Lets it go on.
    pub(crate) async fn resume(self) -> Result<(), Failure> {
        let Self { mut holder, stdin } = self;
        drop(stdin);
        holder.wait().await.map_err(failed("can not let a server go on")).map(drop)
    }
}

/// Starts a command that ends with the pipe to it, writes to it and takes the first line that it says:
/// an empty one if it says none in time.
pub(crate) async fn spawn(
    mut command: Command,
    input: &str,
) -> std::io::Result<(Child, ChildStdin, String)> {
    let missing = || std::io::Error::other("no pipe to it");
    // Ctrl-C in a terminal is for this process, which then ends the others.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    // If it has ended by now, the line that does not come tells.
    _ = stdin.write_all(input.as_bytes()).await;
    let line = first_line(child.stdout.take().ok_or_else(missing)?).await;
    Ok((child, stdin, line))
}

async fn first_line(output: impl AsyncRead + Unpin) -> String {
    let mut line = String::new();
    _ = timeout(READY_WAIT, BufReader::new(output).read_line(&mut line)).await;
    line
}

fn number(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}
