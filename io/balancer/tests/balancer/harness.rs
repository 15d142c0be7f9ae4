//! A balancer, origins that record what they are sent, and a client that speaks raw bytes.
//!
//! All on free ports of loopback, all gone when dropped. Nothing here sleeps: whatever is waited for
//! has a deadline ([`PATIENCE`]).

use abide_affinity::{Algorithm, ServerName, Source, Weight};
use abide_balancer::Balancer;
use abide_balancer::config::{
    AccessLog, Admin, CheckConfig, Config, ServerConfig, StickyConfig, Timeouts,
};
use abide_cookie::{CookieName, SameSite};
use abide_keys::{Key, KeyRing};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A balancer before these origins, with checks off and short time-outs.
pub(crate) fn config(origins: &[(&str, SocketAddr)]) -> Config {
    let server = |(name, address): &(&str, SocketAddr)| ServerConfig {
        name: ServerName::new(name).unwrap(),
        address: *address,
        weight: Weight::ONE,
    };
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        admin: Some(Admin { listen: "127.0.0.1:0".parse().unwrap(), token: None }),
        threads: NonZeroUsize::MIN,
        pool: "test".to_owned(),
        servers: origins.iter().map(server).collect(),
        affinity: vec![Source::Sticky],
        strict: false,
        balance: Algorithm::SmoothWeightedRoundRobin,
        sticky: StickyConfig {
            name: CookieName::new("abide_server").unwrap(),
            keys: KeyRing::new(vec![Key::new([7; Key::BYTES])]).unwrap(),
            idle: Duration::from_hours(1),
            life: Duration::from_hours(24),
            secure: None,
            same_site: SameSite::Lax,
            partitioned: false,
            domain: None,
        },
        check: None,
        timeouts: Timeouts {
            header: Duration::from_millis(300),
            connect: Duration::from_secs(2),
            response: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
            ..Timeouts::default()
        },
        trusted_proxies: Vec::new(),
        access_log: AccessLog::Off,
        verdict_header: true,
        session_id_cookie: None,
    }
}

/// Checks every tenth of a second.
pub(crate) fn checks() -> CheckConfig {
    CheckConfig {
        path: "/health".to_owned(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(2),
        rise: 1,
        fall: 1,
    }
}

/// A balancer that serves until dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        let bound = Balancer::bind(config).unwrap();
        let (address, admin) = (bound.listen(), bound.admin().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            bound.run(async { _ = stopped.await }).unwrap();
        });
        Self { address, admin, stop: Some(stop), thread: Some(thread) }
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(crate) fn join(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        self.connect().ask(request)
    }

    /// `GET path` with these further fields.
    pub(crate) fn get(&self, path: &str, fields: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"))
    }

    pub(crate) fn ask_admin(&self, method: &str, path: &str, fields: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n{fields}\r\n");
        Client::connect(self.admin).ask(&request)
    }

    /// The value of one series in /metrics.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = self.ask_admin("GET", "/metrics", "").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {series} in\n{text}")).parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Waits until the condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// What an origin does with a request: answers with these bytes, or closes without a word.
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    Close,
}

/// A server that records every request byte for byte.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as an origin got it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Origin {
    /// Answers each request with its own name and nothing else.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |_| Reply::Bytes(ok(name)))
    }

    pub(crate) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (recorded, reply) = (Arc::clone(&requests), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (recorded, reply) = (Arc::clone(&recorded), Arc::clone(&reply));
                std::thread::spawn(move || serve(stream, &recorded, &*reply));
            }
        });
        Self { address, requests }
    }

    /// What has come so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Request {
        self.requests().pop().expect("a request came")
    }

    /// What has come so far, and forgets it.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, recorded: &Mutex<Vec<Request>>, reply: &dyn Fn(&Request) -> Reply) {
    let mut reader = Reader::new(stream.try_clone().unwrap());
    while let Some(head) = reader.head() {
        // What every server of note does when it is asked.
        if field(&head, "expect").is_some() {
            _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let content = reader.content(&head, false);
        let request = Request { head, content };
        if !request.head.starts_with("GET /health") {
            recorded.lock().unwrap().push(request.clone());
        }
        match reply(&request) {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Close => return,
        }
    }
}

/// A plain 200 with this content.
pub(crate) fn ok(content: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len()).into_bytes()
}

/// One connection to the balancer.
pub(crate) struct Client {
    stream: TcpStream,
    reader: Reader,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = Reader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A server that has refused may close before all is written.
        _ = self.stream.write_all(bytes);
    }

    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes());
        self.answer(request.starts_with("HEAD")).expect("an answer")
    }

    /// `None` when the connection ends first.
    pub(crate) fn answer(&mut self, to_head: bool) -> Option<Answer> {
        let head = self.reader.head()?;
        let content = self.reader.content(&head, true);
        let content = if to_head { Vec::new() } else { content };
        Some(Answer { head, content })
    }

    /// Reads a head only: of an interim answer, or of an upgrade.
    pub(crate) fn head(&mut self) -> Option<String> {
        self.reader.head()
    }

    /// Exactly so many bytes.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        while self.reader.buffer.len() < count && self.reader.fill() {}
        self.reader.buffer.drain(..count).collect()
    }

    /// True when the other side has closed and nothing more was to be read.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.reader.buffer.is_empty() && !self.reader.fill()
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.content.clone()).unwrap()
    }

    /// The pair to send back in a `Cookie` field.
    pub(crate) fn cookie(&self) -> Option<String> {
        Some(self.field("set-cookie")?.split(';').next()?.to_owned())
    }
}

/// Reads HTTP/1.1 messages that are known to be well-formed.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => {
                use std::io::ErrorKind::{TimedOut, WouldBlock};
                assert!(!matches!(error.kind(), WouldBlock | TimedOut), "nothing came");
                false
            }
        }
    }

    fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end);
            if let Some(place) = found {
                return Some(self.buffer.drain(..place + end.len()).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn head(&mut self) -> Option<String> {
        // Bytes beyond ASCII may stand in values.
        Some(String::from_utf8_lossy(&self.until(b"\r\n\r\n")?).into_owned())
    }

    /// The content as it stands on the wire; chunks are left as they are.
    fn content(&mut self, head: &str, is_answer: bool) -> Vec<u8> {
        if field(head, "transfer-encoding").is_some() {
            let mut content = Vec::new();
            loop {
                let line = self.until(b"\r\n").unwrap_or_default();
                let size = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or(0);
                content.extend_from_slice(&line);
                if size == 0 {
                    let mut trailer = self.until(b"\r\n").unwrap_or_default();
                    while trailer.len() > 2 {
                        content.extend_from_slice(&trailer);
                        trailer = self.until(b"\r\n").unwrap_or_default();
                    }
                    content.extend_from_slice(&trailer);
                    return content;
                }
                content.extend(self.exactly(size + 2));
            }
        }
        match field(head, "content-length").and_then(|length| length.parse().ok()) {
            Some(length) => self.exactly(length),
            None if is_answer && field(head, "connection") == Some("close") => {
                while self.fill() {}
                std::mem::take(&mut self.buffer)
            }
            None => Vec::new(),
        }
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        let count = count.min(self.buffer.len());
        self.buffer.drain(..count).collect()
    }
}
