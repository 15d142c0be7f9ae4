//! From a URL to a store.

use std::sync::Arc;
use std::time::Duration;

use abide_slots::Member;

use crate::MemcachedStore;
use crate::cluster::Cluster;
use crate::connection::Credentials;
use crate::counters::Tally;
use crate::entry::PART_BYTES;
use crate::error::{ConnectError, Trouble};
use crate::protocol::Fault;
use crate::server::Server;
use crate::sessions::Sessions;

/// The port of a server that does not say.
const PORT: u16 = 11211;

/// The most servers. Sessions are spread over them so that each keeps its share; a list of more is a
/// mistake.
pub(crate) const SERVERS_MAX: usize = 64;

/// The most connections: a server has 1024 for all its clients unless told otherwise.
pub(crate) const CONNECTIONS_MAX: usize = 1000;

/// The longest prefix: a key of Memcached has 250 bytes at most, and the rest takes up to 60.
pub(crate) const PREFIX_BYTES_MAX: usize = 100;

/// The longest time-out: no call may last as long as an entry of an index counts as young.
const TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// What an item may be larger than its value: its name, and what the server keeps with it.
const ITEM_OVERHEAD_BYTES: usize = 4096;

const EXAMPLE: &str = "memcached://10.0.0.1:11211,10.0.0.2:11211";

/// A store that is being configured. Made by [`MemcachedStore::builder`].
#[derive(Clone)]
pub struct Builder {
    url: String,
    timeout: Duration,
    connections: usize,
    prefix: String,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        let url = url.to_owned();
        let (timeout, connections) = (MemcachedStore::TIMEOUT, MemcachedStore::CONNECTIONS);
        Self { url, timeout, connections, prefix: MemcachedStore::PREFIX.to_owned() }
    }

    /// How long a call may take, waiting for a connection included; 10 s at most. It is
    /// [`MemcachedStore::TIMEOUT`] unless said otherwise.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many connections there may be to each server, 1 to 1000. It is
    /// [`MemcachedStore::CONNECTIONS`] unless said otherwise.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// What the names of all items begin with, so that several applications can share the servers:
    /// up to 100 letters, digits, `.`, `_`, `~` and `-`. It is [`MemcachedStore::PREFIX`] unless said
    /// otherwise.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Asks every server whether it can keep sessions.
    ///
    /// A server of several that does not answer is no obstacle: its sessions are unavailable until it
    /// does. One that refuses is.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(self) -> Result<MemcachedStore, ConnectError> {
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            let text = format!("a time-out is above 0 and at most {} s", TIMEOUT_MAX.as_secs());
            return Err(ConnectError::BadUrl(text));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            let text = format!("there may be 1 to {CONNECTIONS_MAX} connections to a server");
            return Err(ConnectError::BadUrl(text));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        if self.prefix.len() > PREFIX_BYTES_MAX || !self.prefix.bytes().all(is_plain) {
            let text = "a prefix has up to 100 letters, digits, and . _ ~ -, as in \"shop.\"";
            return Err(ConnectError::BadUrl(text.to_owned()));
        }
        let Target { addresses, credentials } = parse(&self.url).map_err(ConnectError::BadUrl)?;
        let tally = Arc::new(Tally::default());
        let limits = (self.connections, self.timeout);
        let servers: Vec<_> = addresses
            .iter()
            .map(|address| {
                Server::new(address.clone(), credentials.clone(), limits, Arc::clone(&tally))
            })
            .collect();
        check(&servers).await?;
        let members: Result<Vec<_>, _> =
            addresses.iter().map(|address| Member::new(address, 1)).collect();
        let members = members.map_err(|error| ConnectError::BadUrl(error.to_string()))?;
        let cluster = Cluster::new(servers, &members, self.prefix, tally);
        Ok(MemcachedStore::new(Sessions::new(cluster), self.timeout))
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { timeout, connections, prefix, .. } = self;
        f.debug_struct("Builder")
            .field("timeout", timeout)
            .field("connections", connections)
            .field("prefix", prefix)
            .finish_non_exhaustive()
    }
}

/// Asks every server. An error if one refuses or is unsuitable, or none answers.
async fn check(servers: &[Server]) -> Result<(), ConnectError> {
    let mut unreachable = Vec::new();
    for server in servers {
        let address = server.address().to_owned();
        match server.check().await {
            Ok(()) => suits(server).await?,
            Err(Trouble::Io(cause)) => {
                unreachable.push(ConnectError::Unreachable { address, cause });
            }
            Err(Trouble::Protocol(Fault::Refused(answer))) => {
                return Err(ConnectError::Refused { address, answer });
            }
            Err(Trouble::Protocol(Fault::Garbled) | Trouble::TooNew) => {
                let reason = "what listens there does not speak memcached's protocol".to_owned();
                return Err(ConnectError::Unsuitable { address, reason });
            }
        }
    }
    let all = unreachable.len() == servers.len();
    match unreachable.pop() {
        Some(error) if all => Err(error),
        Some(error) => {
            tracing::warn!(%error, "some sessions are unavailable until it comes back");
            Ok(())
        }
        None => Ok(()),
    }
}

/// Looks at how a server is set up. Something in between that does not tell is taken as it is.
async fn suits(server: &Server) -> Result<(), ConnectError> {
    let Ok(settings) = server.statistics("settings").await else { return Ok(()) };
    let find = |name: &str| {
        let mut found = settings.iter().filter(|(found, _)| found == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let address = || server.address().to_owned();
    if find("cas_enabled") == Some("no") {
        let reason = "it was started without compare-and-swap; remove its option -C".to_owned();
        return Err(ConnectError::Unsuitable { address: address(), reason });
    }
    let least = PART_BYTES.saturating_add(ITEM_OVERHEAD_BYTES);
    let largest = find("item_size_max").and_then(|value| value.parse::<usize>().ok());
    if let Some(largest) = largest
        && largest < least
    {
        let reason =
            format!("it takes items of up to {largest} bytes; give its option -I {least} or more");
        return Err(ConnectError::Unsuitable { address: address(), reason });
    }
    Ok(())
}

#[derive(Debug)]
struct Target {
    addresses: Vec<String>,
    credentials: Option<Credentials>,
}

/// What a URL means; or what is wrong with it, without anything secret in it.
fn parse(url: &str) -> Result<Target, String> {
    let rest = url
        .strip_prefix("memcached://")
        .ok_or_else(|| format!("the URL has to begin with memcached://, as in {EXAMPLE}"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user_info, hosts) = match rest.rsplit_once('@') {
        Some((user_info, hosts)) => (Some(user_info), hosts),
        None => (None, rest),
    };
    if hosts.contains(['/', '?', '#']) {
        return Err(format!("nothing may follow the addresses, as in {EXAMPLE}"));
    }
    let credentials = user_info.map(credentials).transpose()?;
    let mut addresses = Vec::new();
    for host in hosts.split(',') {
        let address = address(host)?;
        if addresses.contains(&address) {
            return Err(format!("the server {address} is named twice"));
        }
        addresses.push(address);
    }
    if addresses.len() > SERVERS_MAX {
        return Err(format!("there may be {SERVERS_MAX} servers"));
    }
    Ok(Target { addresses, credentials })
}

fn credentials(user_info: &str) -> Result<Credentials, String> {
    let wrong = || {
        "the part before @ has to be user:password, each without blanks and with other \
         characters as %40"
            .to_owned()
    };
    let (user, password) = user_info.split_once(':').ok_or_else(wrong)?;
    let decode = |text: &str| {
        let text = percent_decoded(text)?;
        let is_good = !text.is_empty() && !text.contains(|character: char| character <= ' ');
        is_good.then_some(text)
    };
    let user = decode(user).ok_or_else(wrong)?;
    let password = decode(password).ok_or_else(wrong)?;
    Ok(Credentials { user, password })
}

/// `host:port` of a server.
fn address(host: &str) -> Result<String, String> {
    let wrong = || format!("{host:?} is no address of a server, as in {EXAMPLE}");
    let after_name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(wrong)?.1,
        None => host.find(':').and_then(|colon| host.get(colon..)).unwrap_or_default(),
    };
    let is_named = |name: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:%".contains(&byte);
        !name.is_empty() && name.bytes().all(is_good)
    };
    let name = host.strip_suffix(after_name).filter(|name| is_named(name)).ok_or_else(wrong)?;
    let port = match after_name.strip_prefix(':') {
        Some(port) => port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
        None if after_name.is_empty() => PORT,
        None => return Err(wrong()),
    };
    let address = format!("{name}:{port}");
    if address.len() > Member::NAME_BYTES_MAX {
        return Err(format!("{address:?} has more than {} bytes", Member::NAME_BYTES_MAX));
    }
    Ok(address)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers() {
        for (url, addresses) in [
            ("memcached://a", &["a:11211"][..]),
            ("memcached://a:1,b:2/", &["a:1", "b:2"]),
            ("memcached://[::1]:5,[fe80::1]", &["[::1]:5", "[fe80::1]:11211"]),
        ] {
            let target = parse(url).unwrap();
            assert_eq!(target.addresses, addresses);
            assert!(target.credentials.is_none());
        }
    }

    #[test]
    fn a_url_may_hold_a_password_that_nothing_shows() {
        let target = parse("memcached://me:p%40ss@a:1").unwrap();
        assert!(!format!("{target:?}").contains("p@ss"));
        let credentials = target.credentials.unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("me", "p@ss"));
        assert!(!format!("{:?}", Builder::new("memcached://me:secret@a")).contains("secret"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "redis://a",
            "memcached://",
            "memcached://a:0",
            "memcached://a:x",
            "memcached://a,a",
            "memcached://a/3",
            "memcached://a?b=c",
            "memcached://a b",
            "memcached://[::1",
            "memcached://secret@a",
            "memcached://me:se cret@a",
            "memcached://me:secret%4@a",
            "memcached://me:secret@",
        ] {
            let error = parse(url).unwrap_err();
            assert!(!error.contains("secret") && !error.contains("cret@"), "{error}");
        }
        let many: Vec<_> = (0..=SERVERS_MAX).map(|number| format!("a{number}")).collect();
        assert!(parse(&format!("memcached://{}", many.join(","))).is_err());
        let long = format!("memcached://{}", "a".repeat(Member::NAME_BYTES_MAX));
        assert!(parse(&long).is_err());
    }

    #[tokio::test]
    async fn what_is_configured_wrongly_is_refused_before_anything_is_asked() {
        let builder = || Builder::new("memcached://a");
        for builder in [
            builder().timeout(Duration::ZERO),
            builder().timeout(TIMEOUT_MAX + Duration::from_millis(1)),
            builder().connections(0),
            builder().connections(CONNECTIONS_MAX + 1),
            builder().prefix("a b"),
            builder().prefix(&"a".repeat(PREFIX_BYTES_MAX + 1)),
        ] {
            let error = builder.connect().await.unwrap_err();
            assert!(matches!(error, ConnectError::BadUrl(_)), "{error}");
        }
    }
}
