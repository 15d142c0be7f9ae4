//! What the balancer was asked to do: parsed, checked, and immutable from here on.
//!
//! Every value that exists is valid on its own. What only the whole can show (two servers of one
//! name) is checked where the whole comes together, in [`crate::Balancer::bind`](crate::Balancer::bind).

use abide_affinity::{Algorithm, ServerName, Source, Weight};
use abide_cookie::{CookieName, SameSite};
use abide_keys::KeyRing;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The whole configuration of one balancer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect. Port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// Where operators look: health, metrics, servers. `None` switches it off.
    pub admin: Option<Admin>,
    /// Threads that serve, each with its own listener and its own connections to the servers.
    pub threads: NonZeroUsize,
    /// Names this set of servers: bound into the sticky cookie, so that a cookie of another pool that
    /// shares the keys is a foreign one.
    pub pool: String,
    /// The servers, in any order: a server is its name.
    pub servers: Vec<ServerConfig>,
    /// What tells to which server a request belongs, in the order in which it is asked.
    pub affinity: Vec<Source>,
    /// Answer 503 when the server that holds a session can not take it, rather than move it.
    pub strict: bool,
    /// How new visitors are spread.
    pub balance: Algorithm,
    /// The cookie that the balancer writes itself.
    pub sticky: StickyConfig,
    /// Active checks. `None`: only real requests tell whether a server works.
    pub check: Option<CheckConfig>,
    /// How long anything may take.
    pub timeouts: Timeouts,
    /// Proxies in front of this one, of which `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<Network>,
    /// A line for each request.
    pub access_log: AccessLog,
    /// Tell the client which server answered and why, in `X-Abide-Verdict`.
    pub verdict_header: bool,
    /// Give the app its session id in `X-Session-Id`, taken from the cookie of this name. What a
    /// client sends under that header itself is dropped then.
    pub session_id_cookie: Option<String>,
}

/// The listener for operators.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Asked for as `Authorization: Bearer …` by everything but `/health` and `/ready`. Needed for
    /// any address but loopback.
    pub token: Option<Token>,
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// One server behind the balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// What it is called; its identity in cookies, logs and metrics.
    pub name: ServerName,
    /// Where it listens now.
    pub address: SocketAddr,
    /// Its share of new visitors beside the others.
    pub weight: Weight,
}

/// The balancer's own cookie.
#[derive(Clone, Debug)]
pub struct StickyConfig {
    /// The cookie's name.
    pub name: CookieName,
    /// Who may write and read it. Balancers that share the ring agree on every cookie.
    pub keys: KeyRing,
    /// A cookie unused for so long names nobody any more.
    pub idle: Duration,
    /// A cookie this old names nobody any more, however busy.
    pub life: Duration,
    /// `Secure`: `None` decides by the scheme that the client used, as far as it is known.
    pub secure: Option<bool>,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Partitioned`, for apps that live in frames of other sites. Needs `Secure`.
    pub partitioned: bool,
    /// `Domain`; without one the cookie goes back to this very host only.
    pub domain: Option<String>,
}

/// Active checks: `GET path` on each server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckConfig {
    /// The path asked for; any 2xx or 3xx answer is good.
    pub path: String,
    /// From one check to the next.
    pub interval: Duration,
    /// An answer later than this is a failure.
    pub timeout: Duration,
    /// So many good checks bring a server up.
    pub rise: u32,
    /// So many bad ones take it down.
    pub fall: u32,
}

/// How long anything may take. Each is enforced to within a tenth of a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its fields; then 408.
    pub header: Duration,
    /// To open a connection to a server; then the next server, or 504.
    pub connect: Duration,
    /// From the last byte of the request to the first of the answer; then 504.
    pub response: Duration,
    /// Without any byte in either direction, inside a request or an answer.
    pub stall: Duration,
    /// Between two requests of a client's connection.
    pub idle: Duration,
    /// Without any byte in either direction, after an upgrade (WebSocket).
    pub tunnel: Duration,
    /// How long a stop waits for what is under way.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            connect: Duration::from_secs(2),
            response: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            idle: Duration::from_secs(75),
            tunnel: Duration::from_hours(1),
            shutdown: Duration::from_secs(30),
        }
    }
}

/// Where the access log goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To standard error, beside the other logs.
    Stderr,
    /// To a file, appended.
    File(PathBuf),
}

/// A range of addresses, as in `10.0.0.0/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// A text that is no range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetworkError;

impl std::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not an address or range; write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32")
    }
}

impl std::error::Error for NetworkError {}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().ok().ok_or(NetworkError)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => widest,
            Some(bits) => bits.parse().ok().filter(|b| *b <= widest).ok_or(NetworkError)?,
        };
        Ok(Self { address, prefix_bits })
    }
}

impl Network {
    /// Whether the address lies in this range. An IPv4 address that arrives in its IPv6 form counts
    /// as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                u32::from(ours).checked_shr(shift) == u32::from(theirs).checked_shr(shift)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                u128::from(ours).checked_shr(shift) == u128::from(theirs).checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ] {
            let network: Network = range.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{range} {outside}");
        }
        let everyone: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everyone.contains("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_an_error() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "a", "::/129", "10.0.0.0/"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
