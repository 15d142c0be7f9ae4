//! Makes connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, ProtocolVersion, RedisConnectionInfo,
    RedisError, Value,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::address::{Address, Login, Target};
use crate::error::ConnectError;

/// A connection that has been silent for so long is asked whether it is still there, so that what
/// stands between does not forget it.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The oldest server that will do: scripts that say what they need, and `COPY`.
const OLDEST_VERSION: u32 = 7;

/// What a server answers that can not yet or not just now, but will.
const NOT_READY: [&str; 3] = ["BUSY", "LOADING", "MASTERDOWN"];

/// How to make a connection.
pub(crate) struct Dial {
    login: Login,
    sentinel_login: Login,
    database: u16,
    protocol: ProtocolVersion,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dial").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// A connection, shared by any number of calls.
#[derive(Debug)]
pub(crate) struct Connection {
    commands: MultiplexedConnection,
    driver: JoinHandle<()>,
    closed: Arc<AtomicBool>,
    /// It left something unanswered, and is not to be used for what comes next.
    suspect: AtomicBool,
    pub(crate) server: Server,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It would wait for the answers of a server that may never give any.
        self.driver.abort();
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    /// Drawn by the server whenever it starts.
    pub(crate) run_id: String,
    pub(crate) version: String,
    pub(crate) is_primary: bool,
    pub(crate) is_loading: bool,
    pub(crate) in_cluster: bool,
    /// What it does when memory is short, if it has a limit and forgets something then.
    pub(crate) evicts: Option<String>,
}

impl Server {
    /// From the reply to `INFO`.
    pub(crate) fn parse(info: &str) -> Self {
        let value = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let policy = value("maxmemory_policy").unwrap_or("noeviction");
        let has_limit = value("maxmemory").is_some_and(|bytes| bytes != "0");
        Self {
            run_id: value("run_id").unwrap_or_default().to_owned(),
            version: value("redis_version").unwrap_or_default().to_owned(),
            is_primary: value("role") == Some("master"),
            is_loading: value("loading") == Some("1"),
            in_cluster: value("cluster_enabled") == Some("1"),
            evicts: (has_limit && policy != "noeviction").then(|| policy.to_owned()),
        }
    }

    fn is_too_old(&self) -> bool {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major < OLDEST_VERSION)
    }
}

impl Dial {
    /// From an address and certificates in PEM, if there are any besides those it names.
    pub(crate) fn new(target: &Target, authority: Option<&[u8]>) -> Result<Self, ConnectError> {
        Ok(Self {
            login: target.login.clone(),
            sentinel_login: target.sentinel_login.clone(),
            database: target.database,
            protocol: if target.old_protocol {
                ProtocolVersion::RESP2
            } else {
                ProtocolVersion::RESP3
            },
            tls: if target.tls { Some(connector(target, authority)?) } else { None },
        })
    }

    /// A connection to a server that can keep sessions, or may when it has become the primary.
    pub(crate) async fn server(&self, address: &Address) -> Result<Connection, ConnectError> {
        let mut connection = self.open(address, &self.login, self.database).await?;
        let mut command = Cmd::new();
        command.arg("INFO");
        let reply = connection.exchange(&[command]).await;
        let reply = reply.map_err(|error| fault(address, &error))?.pop().unwrap_or_default();
        let info = match reply {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
            Value::ServerError(error) if NOT_READY.contains(&error.code()) => {
                return Err(unreachable(address, std::io::Error::other(shown(&error))));
            }
            Value::ServerError(error) => {
                let reason = format!("INFO is needed, and it answers {}", shown(&error));
                return Err(ConnectError::Refused { address: address.to_string(), reason });
            }
            _ => return Err(unsuitable(address, "it answers INFO with no text")),
        };
        connection.server = Server::parse(&info);
        if connection.server.is_too_old() {
            return Err(too_old(address, &connection.server.version));
        }
        Ok(connection)
    }

    /// A connection to a sentinel.
    pub(crate) async fn sentinel(&self, address: &Address) -> Result<Connection, ConnectError> {
        self.open(address, &self.sentinel_login, 0).await
    }

    async fn open(
        &self,
        address: &Address,
        login: &Login,
        database: u16,
    ) -> Result<Connection, ConnectError> {
        let stream = TcpStream::connect((&*address.host, address.port)).await;
        let stream = stream.map_err(|error| unreachable(address, error))?;
        let settings = || -> std::io::Result<()> {
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
        };
        settings().map_err(|error| unreachable(address, error))?;
        let Some(tls) = &self.tls else {
            return self.greet(address, stream, login, database).await;
        };
        let name = ServerName::try_from(address.host.to_string());
        let name = name.map_err(|error| unreachable(address, error))?;
        let stream = tls.connect(name, stream).await;
        let stream = stream.map_err(|error| unreachable(address, error))?;
        self.greet(address, stream, login, database).await
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        address: &Address,
        stream: S,
        login: &Login,
        database: u16,
    ) -> Result<Connection, ConnectError> {
        let mut info = RedisConnectionInfo::default()
            .set_db(database.into())
            .set_protocol(self.protocol)
            .set_lib_name("abide", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &login.user {
            info = info.set_username(user);
        }
        if let Some(password) = &login.password {
            info = info.set_password(password);
        }
        // Each call has a time-out of its own; the driver's would only make two of them.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (commands, driver) = made.map_err(|error| fault(address, &error))?;
        let closed = Arc::new(AtomicBool::new(false));
        let driver = tokio::spawn({
            let closed = Arc::clone(&closed);
            async move {
                driver.await;
                closed.store(true, Ordering::Release);
            }
        });
        let suspect = AtomicBool::new(false);
        Ok(Connection { commands, driver, closed, suspect, server: Server::default() })
    }
}

impl Connection {
    /// Whether it may be used for another call.
    pub(crate) fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.suspect.load(Ordering::Acquire)
    }

    /// Has the next call take another connection.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// Sends commands in one go and gives the replies to them, errors of the server among them. An
    /// error says that the connection broke; what was sent may have been carried out.
    pub(crate) async fn exchange(&self, commands: &[Cmd]) -> Result<Vec<Value>, RedisError> {
        let mut connection = self.commands.clone();
        if let [command] = commands {
            return Ok(vec![connection.send_packed_command(command).await?]);
        }
        let mut batch = Pipeline::with_capacity(commands.len());
        for command in commands {
            batch.add_command(command.clone());
        }
        connection.send_packed_commands(&batch, 0, commands.len()).await
    }
}

fn connector(target: &Target, authority: Option<&[u8]>) -> Result<TlsConnector, ConnectError> {
    let wrong = |part: String| ConnectError::Url { part, example: "rediss://host:6379?ca=ca.pem" };
    let mut roots = rustls::RootCertStore::empty();
    let file = match (&target.authority, authority) {
        (_, Some(_)) | (None, None) => None,
        (Some(path), None) => {
            let read = std::fs::read(path);
            Some(read.map_err(|error| wrong(format!("ca={}: {error}", path.display())))?)
        }
    };
    if let Some(pem) = authority.or(file.as_deref()) {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
            added.ok_or_else(|| wrong("the certificates to trust are no PEM".to_owned()))?;
        }
        if roots.is_empty() {
            return Err(wrong("there is no certificate among those to trust".to_owned()));
        }
    } else {
        let (_, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS can not be used: {error}")))?;
    let config = versions.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What a server said, without what it may repeat of the command.
pub(crate) fn shown(error: &redis::ServerError) -> String {
    match error.details() {
        Some(details) => without_arguments(&format!("{} {details}", error.code())),
        None => error.code().to_owned(),
    }
}

/// A server that does not know a command repeats how it goes on, of `HELLO` the password.
fn without_arguments(text: &str) -> String {
    text.split(", with args").next().unwrap_or_default().to_owned()
}

fn unreachable(
    address: &Address,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> ConnectError {
    ConnectError::Unreachable { address: address.to_string(), cause: Box::new(cause) }
}

pub(crate) fn unsuitable(address: &Address, reason: &str) -> ConnectError {
    ConnectError::Unsuitable { address: address.to_string(), reason: reason.to_owned() }
}

fn too_old(address: &Address, version: &str) -> ConnectError {
    unsuitable(
        address,
        &format!("its version is {version}; use Redis {OLDEST_VERSION} or later, or Valkey"),
    )
}

/// Why a greeting failed.
fn fault(address: &Address, error: &RedisError) -> ConnectError {
    match error.kind() {
        ErrorKind::Io => unreachable(address, error.clone()),
        _ if error.code().is_some_and(|code| NOT_READY.contains(&code)) => {
            unreachable(address, error.clone())
        }
        ErrorKind::RESP3NotSupported => too_old(address, "before 6"),
        _ => {
            let mut reason = without_arguments(&error.to_string());
            if error.detail().is_some_and(|detail| detail.starts_with("unknown command 'HELLO'")) {
                reason.push_str("; write ?protocol=resp2 at the end of the address");
            }
            ConnectError::Refused { address: address.to_string(), reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_what_it_is() {
        let server = Server::parse(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nloading:0\r\n\
             maxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\ncluster_enabled:0\r\n",
        );
        assert_eq!((&*server.run_id, server.is_primary, server.in_cluster), ("abc", true, false));
        assert_eq!(server.evicts.as_deref(), Some("allkeys-lru"));
        assert!(!server.is_too_old());
        assert!(Server::parse("redis_version:6.2.1").is_too_old());
        assert_eq!(Server::parse("maxmemory:0\r\nmaxmemory_policy:allkeys-lru").evicts, None);
    }
}
