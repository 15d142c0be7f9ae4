//! Single values of a configuration, from text.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use abide_affinity::ServerName;
use abide_balancer::config::AccessLog;
use abide_cookie::CookieName;

use super::Fault;

/// An IP address and a port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_error| {
        let remedy = "write an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080";
        Fault::new(format!("`{text}` is not an address"), remedy)
    })
}

/// Where a server listens: an IP address or a host name, and a port. A name is looked up here and now,
/// and its first address is the server's for as long as the process runs: the first of IPv4, which is
/// where most servers listen when `localhost` has both.
pub(crate) fn server_address(text: &str) -> Result<SocketAddr, Fault> {
    let remedy = "write an IP address or a host name and a port, as in 10.0.0.1:8080 or app1:8080";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let (Ok(host), Ok(port)) = (domain(host), port.parse::<u16>()) else {
        return Err(Fault::new(format!("`{text}` is not an address"), remedy));
    };
    let found: Vec<SocketAddr> = (host.as_str(), port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| Fault::new(format!("`{host}` can not be looked up: {error}"), remedy))?;
    let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    first.copied().ok_or_else(|| Fault::new(format!("`{host}` has no address"), remedy))
}

/// The name of a server.
pub(crate) fn server_name(text: &str) -> Result<ServerName, Fault> {
    ServerName::new(text).map_err(|_error| {
        let remedy = "write 1 to 64 letters, digits, `.`, `_`, `-`";
        Fault::new(format!("`{text}` can not be a server's name"), remedy)
    })
}

/// True or false.
pub(crate) fn switch(text: &str) -> Result<bool, Fault> {
    text.parse()
        .map_err(|_error| Fault::new(format!("`{text}` is no answer"), "write true or false"))
}

/// Where the access log goes.
#[expect(clippy::unnecessary_wraps, reason = "the form that the reader takes")]
pub(crate) fn access_log(text: &str) -> Result<AccessLog, Fault> {
    Ok(match text {
        "off" => AccessLog::Off,
        "stderr" => AccessLog::Stderr,
        path => AccessLog::File(PathBuf::from(path)),
    })
}

/// The name of a pool: by the same rule as a server's.
pub(crate) fn pool(text: &str) -> Result<String, Fault> {
    ServerName::new(text).map(|name| name.as_str().to_owned()).map_err(|_error| {
        let remedy = "write 1 to 64 letters, digits, `.`, `_`, `-`";
        Fault::new(format!("`{text}` can not be a pool's name"), remedy)
    })
}

/// The name of a cookie.
pub(crate) fn cookie_name(text: &str) -> Result<CookieName, Fault> {
    CookieName::new(text).map_err(|_error| {
        let remedy = "write letters, digits, `-` and `_`, up to 256";
        Fault::new(format!("`{text}` can not be a cookie's name"), remedy)
    })
}

/// A host name, in lower case.
pub(crate) fn domain(text: &str) -> Result<String, Fault> {
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && letters
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Fault::new(format!("`{text}` is no domain"), "write a host name such as shop.example"))
}

/// A file that can not be read.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> Fault {
    Fault::new(format!("can not read `{path}`: {error}"), "name a file that this user can read")
}

/// A word that is none of these.
pub(crate) fn one_of(text: &str, words: &str) -> Fault {
    Fault::new(format!("`{text}` is not known here"), format!("write one of {words}"))
}
