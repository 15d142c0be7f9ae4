//! An example as a process, and browsers that visit it over real sockets: what its reader does.
//!
//! Everything panics that is not as it should be, because that is the end of the test.

#![expect(clippy::missing_panics_doc, reason = "a test that meets what it does not expect ends")]
#![expect(clippy::unwrap_used, reason = "panics as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An example, running until it is dropped.
#[derive(Debug)]
pub struct Example {
    process: Child,
    /// Where it listens, as it says: one line `http://ADDRESS` for each.
    pub addresses: Vec<String>,
}

impl Example {
    /// Starts the program at this path on free ports, and waits until it has said so many addresses.
    pub fn start(program: &str, addresses: usize, variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(program)
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let addresses = lines
            .take(addresses)
            .map(|line| line.unwrap().strip_prefix("http://").unwrap().to_owned())
            .collect();
        Self { process, addresses }
    }

    /// The first address.
    pub fn address(&self) -> &str {
        self.addresses.first().unwrap()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser, and the cookies it has.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// As they go into a `Cookie` field; none if there is none.
    pub cookie: Option<String>,
    /// What it says that it is.
    pub user_agent: &'static str,
}

impl Browser {
    /// Asks for a page.
    pub fn get(&mut self, address: &str, path: &str) -> Answer {
        self.send(address, &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Sends a form.
    pub fn post(&mut self, address: &str, path: &str, form: &str) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n",
            form.len()
        );
        self.send(address, &head, form)
    }

    fn send(&mut self, address: &str, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}\r\n"));
        let (cookie, user_agent) = (cookie.unwrap_or_default(), self.user_agent);
        let request = format!(
            "{head}Host: example\r\nConnection: close\r\nUser-Agent: {user_agent}\r\n{cookie}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let answer = Answer(text);
        for set in answer.fields("set-cookie") {
            self.keep(set);
        }
        answer
    }

    /// Each new cookie takes the place of the one of its name.
    fn keep(&mut self, set: &str) {
        let pair = set.split(';').next().unwrap();
        let name = pair.split('=').next().unwrap();
        let before = self.cookie.take().unwrap_or_default();
        let others = before.split("; ").filter(|other| other.split('=').next() != Some(name));
        let new = (!set.contains("Max-Age=0")).then_some(pair);
        let all: Vec<&str> = others.filter(|other| !other.is_empty()).chain(new).collect();
        self.cookie = Some(all.join("; ")).filter(|cookies| !cookies.is_empty());
    }
}

/// A whole response, as it came.
#[derive(Debug)]
pub struct Answer(String);

impl Answer {
    /// Three digits.
    pub fn status(&self) -> &str {
        self.0.split(' ').nth(1).unwrap()
    }

    /// The first field of this name, in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    /// All fields of this name, which is in lower case, however the server writes it.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines().filter_map(move |line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// What follows the head.
    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}
