//! Memcached.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::ports::{Port, free_port};
use crate::process::{Process, accepts, new_folder};
use crate::programs::find;

/// Longer than any command of a test takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of Memcached.
#[derive(Debug)]
pub struct Memcached {
    process: Process,
    port: Port,
}

impl Memcached {
    /// With defaults.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments, as in `["-m", "1"]`.
    pub fn with(arguments: &[&str]) -> Self {
        let port = free_port();
        let number = port.number().to_string();
        let mut command = vec![find("memcached").display().to_string()];
        command.extend(["-l", "127.0.0.1", "-p", &number, "-U", "0"].map(str::to_owned));
        if rustix::process::geteuid().is_root() {
            command.extend(["-u", "root"].map(str::to_owned));
        }
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let address = port.address();
        let process = Process::start(command, new_folder(None), "KILL", || accepts(&address));
        Self { process, port }
    }

    /// `memcached://…`.
    pub fn url(&self) -> String {
        Self::url_of(std::slice::from_ref(self))
    }

    /// `memcached://…` with all of these.
    pub fn url_of(servers: &[Self]) -> String {
        let addresses: Vec<_> = servers.iter().map(Self::address).collect();
        format!("memcached://{}", addresses.join(","))
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The number of its process.
    pub fn process(&self) -> i32 {
        self.process.number()
    }

    /// One value of `stats`, such as `evictions`; 0 if there is none.
    pub fn stat(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"stats\r\n").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let mut lines = lines.take_while(|line| line != "END");
        let value = lines.find_map(|line| {
            let (found, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
            (found == name).then(|| value.parse().unwrap())
        });
        value.unwrap_or(0)
    }

    /// Kills it (-9), and with it all it holds.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after a kill, empty, at the same port.
    pub fn restart(&mut self) {
        let address = self.address();
        self.process.restart(|| accepts(&address));
    }

    /// Lets it hang.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.cont();
    }
}
