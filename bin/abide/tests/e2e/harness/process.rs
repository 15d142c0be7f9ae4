//! A process of ours: started, awaited until it is ready, killed when dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use serde_json::Value;

use super::{eventually, patience};

/// A running `abide`. What it writes to standard error goes into this test's own, which the test
/// runner shows if the test fails.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    ready: Value,
}

impl Process {
    /// Starts `abide` with these arguments, separated by blanks, and waits for its ready line.
    pub(crate) fn start(arguments: &str) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_with(arguments: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
        command.args(arguments.split_whitespace()).env("RUST_LOG", "warn");
        for inherited in ["ABIDE_KEYS", "ABIDE_KEEP", "ABIDE_KEEP_FROM", "ABIDE_KEEP_NEXT"] {
            command.env_remove(inherited);
        }
        command.envs(variables.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                eprintln!("    {line}");
            }
        });
        let output = child.stdout.take().unwrap();
        let (send, ready) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output);
            let mut line = String::new();
            _ = lines.read_line(&mut line);
            _ = send.send(line);
            // Read on, so that the process never waits for us.
            _ = lines.read_to_end(&mut Vec::new());
        });
        let line = ready.recv_timeout(patience()).unwrap_or_default();
        let ready = serde_json::from_str(&line).unwrap_or(Value::Null);
        let process = Self { child, ready };
        assert_eq!(process.ready["event"], "ready", "`abide {arguments}` did not start: {line:?}");
        process
    }

    /// An address of the ready line.
    pub(crate) fn address(&self, key: &str) -> SocketAddr {
        self.ready[key].as_str().and_then(|text| text.parse().ok()).expect(key)
    }

    /// Where it listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.address("listen")
    }

    /// The whole ready line.
    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// Sends it a signal by name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0));
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes its standard input, as the end of its parent would.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until it ends and returns its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        eventually("the end of a process", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Whether a process of this number runs. One that has ended and was not waited for does not.
pub(crate) fn runs(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}
