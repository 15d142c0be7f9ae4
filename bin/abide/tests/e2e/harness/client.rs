//! A small HTTP/1.1 client with a cookie jar, over plain sockets.
//!
//! It is not the balancer's own HTTP library on purpose: what both got wrong in the same way would go
//! unseen. It does what a browser does where that matters here: keeps connections, keeps cookies by
//! name, and sends a GET again on a new connection if a kept one turns out to be closed.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::patience;

/// One visitor.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    /// Names and values.
    pub(crate) cookies: BTreeMap<String, String>,
    /// Further fields of each request, each with its line end.
    pub(crate) fields: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let (cookies, fields) = (BTreeMap::new(), String::new());
        Self { address, connection: None, cookies, fields }
    }

    /// The same visitor, from now on at another balancer.
    pub(crate) fn go_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.connection = None;
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.try_ask("GET", target).unwrap_or_else(|error| panic!("GET {target}: {error}"))
    }

    pub(crate) fn post(&mut self, target: &str) -> Answer {
        self.try_ask("POST", target).unwrap_or_else(|error| panic!("POST {target}: {error}"))
    }

    /// Which server says it has answered.
    pub(crate) fn server(&mut self) -> String {
        self.get("/api/plain").text("server")
    }

    /// One request; the error is that of the connection.
    pub(crate) fn try_ask(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        let kept = self.connection.is_some();
        let answer = self.exchange(method, target);
        match answer {
            Err(_) if kept && method == "GET" => self.exchange(method, target),
            other => other,
        }
    }

    fn exchange(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, patience())?;
                stream.set_read_timeout(Some(patience()))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie_field = match cookies.as_slice() {
            [] => String::new(),
            cookies => format!("Cookie: {}\r\n", cookies.join("; ")),
        };
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: shop.example\r\n{cookie_field}{length}{}\r\n",
            self.fields
        );
        connection.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut connection, method)?;
        let closes = answer.field("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        self.connection = (!closes).then_some(connection);
        self.keep_cookies(&answer);
        Ok(answer)
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for (_, text) in answer.fields.iter().filter(|(name, _)| name == "set-cookie") {
            assert!(text.len() <= 4096, "no browser keeps a cookie of {} bytes", text.len());
            let mut parts = text.split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {text}", self.status))
    }

    /// A text of the JSON.
    pub(crate) fn text(&self, key: &str) -> String {
        let json = self.json();
        json[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {json}")).to_owned()
    }

    /// The balancer's verdict: server and reason.
    pub(crate) fn verdict(&self) -> (String, String) {
        let text = self.field("x-abide-verdict").expect("a verdict");
        let (server, reason) = text.split_once(' ').expect(text);
        (server.to_owned(), reason.to_owned())
    }
}

fn read_answer(connection: &mut BufReader<TcpStream>, method: &str) -> io::Result<Answer> {
    let cut = |what: &str| io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned());
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(cut("closed before the answer"));
    }
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| cut(&line))?;
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(cut("closed inside the header"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, fields, body: Vec::new() };
    let has_none = method == "HEAD" || matches!(status, 204 | 304);
    if !has_none {
        answer.body = read_body(connection, &answer)?;
    }
    Ok(answer)
}

fn read_body(connection: &mut BufReader<TcpStream>, answer: &Answer) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if answer.field("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            connection.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16)
                .map_err(|_error| io::Error::new(io::ErrorKind::InvalidData, line.clone()))?;
            let start = body.len();
            body.resize(start + size, 0);
            connection.read_exact(&mut body[start..])?;
            connection.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match answer.field("content-length").map(str::parse) {
        Some(Ok(length)) => {
            body.resize(length, 0);
            connection.read_exact(&mut body)?;
        }
        Some(Err(_)) => return Err(io::Error::new(io::ErrorKind::InvalidData, "Content-Length")),
        None => _ = connection.read_to_end(&mut body)?,
    }
    Ok(body)
}
