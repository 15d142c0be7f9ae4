//! What a proxy does to header fields on the way through: pure functions.
//!
//! Fields that are meant for one connection only are taken out (RFC 9110 section 7.6.1), who asked
//! and how is put in (`X-Forwarded-*` and RFC 7239 `Forwarded`), and what a client pretends there is
//! believed only from a proxy that the configuration trusts.

use crate::config::Network;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `Connection` options looked at. A client that lists more is not served faster by it.
const CONNECTION_OPTIONS_MAX: usize = 32;

/// The connection over which a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// One of the configured proxies, which is believed about who asked.
    pub(crate) trusted: bool,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, trusted_proxies: &[Network]) -> Self {
        let address = address.to_canonical();
        let trusted = trusted_proxies.iter().any(|network| network.contains(address));
        Self { address, trusted }
    }
}

/// What a message asks for in its hop-by-hop fields before they are taken out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Hop {
    /// `Connection: upgrade` together with `Upgrade`.
    pub(crate) upgrade: bool,
    /// `TE: trailers`: the sender can take trailers.
    pub(crate) trailers: bool,
}

/// Takes out the fields that end here. `Connection` may name further ones, except those that other
/// parts of a request depend on: nobody may have the `Cookie` removed between proxy and app.
pub(crate) fn remove_hop_by_hop(fields: &mut HeaderMap) -> Hop {
    let mut hop = Hop {
        upgrade: false,
        trailers: fields.contains_key(header::TE)
            && list(fields, header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers")),
    };
    if fields.contains_key(header::CONNECTION) {
        let nominated: Vec<HeaderName> = list(fields, header::CONNECTION)
            .take(CONNECTION_OPTIONS_MAX)
            .filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
            .collect();
        hop.upgrade = nominated.contains(&header::UPGRADE) && fields.contains_key(header::UPGRADE);
        for name in nominated.iter().filter(|name| may_be_nominated(name)) {
            fields.remove(name);
        }
        fields.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TE, header::TRANSFER_ENCODING] {
        fields.remove(name);
    }
    if !hop.upgrade {
        fields.remove(header::UPGRADE);
    }
    hop
}

fn may_be_nominated(name: &HeaderName) -> bool {
    ![
        header::COOKIE,
        header::SET_COOKIE,
        header::HOST,
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::UPGRADE,
        header::FORWARDED,
        X_FORWARDED_FOR,
        X_FORWARDED_PROTO,
        X_FORWARDED_HOST,
    ]
    .contains(name)
}

/// Puts in what the next connection needs.
pub(crate) fn add_hop_by_hop(fields: &mut HeaderMap, hop: Hop) {
    if hop.upgrade {
        fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    } else if hop.trailers {
        fields.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if hop.trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Says who asked: appends to what a trusted proxy says, and replaces what anyone else does.
pub(crate) fn add_forwarded(fields: &mut HeaderMap, peer: Peer) {
    if !peer.trusted {
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, header::FORWARDED] {
            if fields.contains_key(&name) {
                fields.remove(name);
            }
        }
    }
    let mut text = String::with_capacity(64);
    let _ = write!(text, "{}", peer.address);
    append(fields, &X_FORWARDED_FOR, &text);
    let host = fields.get(header::HOST).cloned();
    if !fields.contains_key(X_FORWARDED_PROTO) {
        fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = &host
        && !fields.contains_key(X_FORWARDED_HOST)
    {
        fields.insert(X_FORWARDED_HOST, host.clone());
    }
    text.clear();
    // RFC 7239 section 6: an IPv6 address stands in brackets and quotes.
    let _ = match peer.address {
        IpAddr::V4(address) => write!(text, "for={address}"),
        IpAddr::V6(address) => write!(text, "for=\"[{address}]\""),
    };
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok())
        && !peer.trusted
    {
        let _ = write!(text, ";host=\"{host}\"");
    }
    if !peer.trusted {
        text.push_str(";proto=http");
    }
    append(fields, &header::FORWARDED, &text);
}

/// The address of whoever asked, looking through trusted proxies: from the right, the first address
/// that is not one of them.
pub(crate) fn client_address(fields: &HeaderMap, peer: Peer, trusted: &[Network]) -> IpAddr {
    if !peer.trusted {
        return peer.address;
    }
    let mut nearest = peer.address;
    for text in fields.get_all(X_FORWARDED_FOR).iter().rev() {
        for address in text.to_str().unwrap_or_default().rsplit(',') {
            let Ok(address) = address.trim().parse::<IpAddr>() else { return nearest };
            nearest = address.to_canonical();
            if !trusted.iter().any(|network| network.contains(nearest)) {
                return nearest;
            }
        }
    }
    nearest
}

/// Whether the client itself spoke HTTPS, as far as a trusted proxy says.
pub(crate) fn is_https(fields: &HeaderMap, peer: Peer) -> bool {
    peer.trusted
        && fields
            .get(X_FORWARDED_PROTO)
            .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// All members of a comma-separated list, over all fields of the name.
fn list(fields: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    fields
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

fn append(fields: &mut HeaderMap, name: &HeaderName, member: &str) {
    let joined = match fields.get(name).and_then(|value| value.to_str().ok()) {
        None => HeaderValue::from_str(member),
        Some(_) => {
            let known: Vec<&str> =
                fields.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            HeaderValue::from_str(&format!("{}, {member}", known.join(", ")))
        }
    };
    if let Ok(value) = joined {
        fields.insert(name.clone(), value);
    }
}

#[cfg(test)]
mod tests;
