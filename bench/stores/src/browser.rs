//! A browser with one connection: it asks, waits for the answer, and says how long that took.
#![expect(clippy::disallowed_types, reason = "real time, and no runtime to pause it")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longer than any answer of these apps takes when all is well.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than any answer of these apps is, cookies included.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// A connection to an app that stays open.
#[derive(Debug)]
pub struct Browser {
    address: String,
    connection: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The `Cookie` field of whoever got this answer, if it sets cookies.
    pub cookie: Option<String>,
    pub body: String,
    /// From before the request was written until the answer was read.
    pub took: Duration,
}

impl Browser {
    /// Connects to the app at this address.
    pub fn new(address: &str) -> io::Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let connection = BufReader::with_capacity(ANSWER_MAX_BYTES, connection);
        Ok(Self { address: address.to_owned(), connection })
    }

    /// Asks for a path, with these cookies.
    pub fn ask(&mut self, path: &str, cookie: Option<&str>) -> io::Result<Answer> {
        let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
             Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\n{cookie}\r\n",
            self.address,
        );
        let start = Instant::now();
        self.connection.get_mut().write_all(request.as_bytes())?;
        let mut answer = self.read_answer()?;
        answer.took = start.elapsed();
        Ok(answer)
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let mut answer =
            Answer { status: 0, cookie: None, body: String::new(), took: Duration::ZERO };
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.connection.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if answer.status == 0 {
                answer.status =
                    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
                continue;
            }
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            } else if name.eq_ignore_ascii_case("set-cookie") {
                add_cookie(&mut answer.cookie, value.trim());
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(answer)
    }
}

/// Puts a cookie into the jar; one that is set to nothing is one that is taken out.
fn add_cookie(jar: &mut Option<String>, field: &str) {
    let pair = field.split(';').next().unwrap_or_default();
    if pair.split_once('=').is_none_or(|(_, value)| value.is_empty()) {
        return;
    }
    match jar {
        Some(jar) => {
            jar.push_str("; ");
            jar.push_str(pair);
        }
        None => *jar = Some(pair.to_owned()),
    }
}
