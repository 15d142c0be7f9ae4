//! nginx and HAProxy, each with a configuration as one would write it.

use crate::ports::{Port, free_port};
use crate::process::{Process, accepts, new_folder};
use crate::programs::find;

/// A server of nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: Port,
}

impl Nginx {
    /// Starts it with the configuration that is made for the port it is to listen at. The whole of a
    /// configuration file, but for `daemon`, `pid` and `error_log`, which are set here.
    pub fn start(configuration: impl FnOnce(u16) -> String) -> Self {
        let folder = new_folder(None);
        let port = free_port();
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(port.number())).unwrap();
        let (file, place) = (file.display().to_string(), folder.display().to_string());
        let globals = format!("daemon off; pid {place}/pid; error_log stderr;");
        let words = ["-p", &place, "-c", &file, "-e", "stderr", "-g", &globals];
        let mut command = vec![find("nginx").display().to_string()];
        command.extend(words.map(str::to_owned));
        let address = port.address();
        Self { process: Process::start(command, folder, "TERM", || accepts(&address)), port }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// A server of HAProxy.
#[derive(Debug)]
pub struct Haproxy {
    process: Process,
    port: Port,
}

impl Haproxy {
    /// Starts it with the configuration that is made for the port it is to listen at.
    pub fn start(configuration: impl FnOnce(u16) -> String) -> Self {
        let folder = new_folder(None);
        let port = free_port();
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration(port.number())).unwrap();
        let words = ["-db", "-f", &file.display().to_string()].map(str::to_owned);
        let mut command = vec![find("haproxy").display().to_string()];
        command.extend(words);
        let address = port.address();
        Self { process: Process::start(command, folder, "KILL", || accepts(&address)), port }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
