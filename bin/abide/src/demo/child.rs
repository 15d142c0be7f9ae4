//! One process of the demo: this binary again, under another command.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};

use crate::configuration::surroundings::KEYS_VARIABLE;
use crate::failure::Failure;
use crate::keep::{KEEP_FROM_VARIABLE, KEEP_NEXT_VARIABLE, KEEP_VARIABLE};

/// How long a process may take until it accepts. It takes some 20 ms; a loaded machine takes longer.
const READY_MS_MAX: u64 = 30_000;
/// How long a process may take to end when asked, before it is killed.
const STOP_MS_MAX: u64 = 3_000;

/// A running process that has said it is ready.
///
/// Invariant: it ends no later than this value, or this process.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// Held open: the process ends when this does.
    stdin: Option<ChildStdin>,
    ready: Value,
    pid: u32,
}

impl Child {
    /// Starts this binary with these arguments and variables and waits for its ready line. Its log
    /// goes where ours goes. `keys` are what it seals with; they go in by its standard input, where no
    /// listing of processes shows them and no file keeps them.
    pub(super) async fn start(
        arguments: &[String],
        variables: &[(&str, &str)],
        keys: Option<&str>,
    ) -> Result<Self, Failure> {
        let command = arguments.first().map_or("", String::as_str);
        let failed = |error| Failure::Other(format!("can not start `abide {command}`: {error}"));
        let binary = std::env::current_exe().map_err(failed)?;
        let mut builder = Command::new(binary);
        builder
            .args(arguments)
            .env_remove(KEYS_VARIABLE)
            .env_remove(KEEP_VARIABLE)
            .env_remove(KEEP_FROM_VARIABLE)
            .env_remove(KEEP_NEXT_VARIABLE)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Ctrl-C in the terminal is for the demo, which then stops its children in order.
            .process_group(0)
            .kill_on_drop(true);
        if keys.is_some() {
            builder.arg("--keys-from-stdin");
        }
        let mut process = builder.spawn().map_err(failed)?;
        let mut stdin = process.stdin.take();
        if let (Some(stdin), Some(keys)) = (&mut stdin, keys) {
            // They end at an empty line; a pipe takes so little at once. If the process has ended
            // already, the ready line that does not come tells.
            _ = stdin.write_all(format!("{keys}\n\n").as_bytes()).await;
        }
        let output = process.stdout.take();
        let pid = process.id().unwrap_or(0);
        let mut line = String::new();
        let reading = async {
            match output {
                Some(output) => BufReader::new(output).read_line(&mut line).await,
                None => Ok(0),
            }
        };
        let patience = Duration::from_millis(READY_MS_MAX);
        let read = tokio::time::timeout(patience, reading).await;
        let ready = matches!(read, Ok(Ok(1..))).then(|| serde_json::from_str(&line).ok()).flatten();
        let Some(ready) = ready else {
            return Err(Failure::Other(format!(
                "`abide {command}` did not start; the reason stands above"
            )));
        };
        Ok(Self { process, stdin, ready, pid })
    }

    /// An address of the ready line.
    pub(super) fn address(&self, key: &str) -> Result<SocketAddr, Failure> {
        let text = self.ready.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|error| {
            Failure::Other(format!("the ready line of a process has no address `{key}`: {error}"))
        })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended by now.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) {
        // The handle closes standard input while it waits, unless that was taken, as it was.
        _ = self.process.wait().await;
    }

    /// Kills it: SIGKILL, which no process can see coming.
    pub(super) async fn kill(&mut self) {
        // An error says that it had ended already.
        _ = self.process.kill().await;
    }

    /// Asks it to end by closing its standard input, and waits; kills it if it takes too long.
    pub(super) async fn stop(&mut self) {
        self.stdin = None;
        let patience = Duration::from_millis(STOP_MS_MAX);
        if tokio::time::timeout(patience, self.ended()).await.is_err() {
            self.kill().await;
        }
    }
}
