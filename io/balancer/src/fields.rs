//! What a proxy does to header fields on the way through: pure functions.
//!
//! Fields that are meant for one connection only are taken out (RFC 9110 section 7.6.1), who asked
//! and how is put in (`X-Forwarded-*` and RFC 7239 `Forwarded`), and what a client pretends there is
//! believed only from a proxy that the configuration trusts.

use crate::config::Network;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::cell::RefCell;
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `Connection` options looked at. A client that lists more is not served faster by it.
const CONNECTION_OPTIONS_MAX: usize = 32;

/// The connection over which requests come.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// One of the configured proxies, which is believed about who asked.
    pub(crate) trusted: bool,
    /// The address as a field has it.
    text: HeaderValue,
    /// The last `Host` and the `Forwarded` made of it: a browser asks for one host all the time.
    forwarded: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, trusted_proxies: &[Network]) -> Self {
        let address = address.to_canonical();
        let trusted = trusted_proxies.iter().any(|network| network.contains(address));
        let text = HeaderValue::from_str(&address.to_string())
            .unwrap_or_else(|_impossible| HeaderValue::from_static("unknown"));
        Self { address, trusted, text, forwarded: RefCell::new(None) }
    }

    /// The address as text.
    pub(crate) fn text(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }

    /// This hop in the words of RFC 7239. An IPv6 address stands in brackets and quotes (section 6).
    fn node(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        }
    }

    /// `Forwarded` for a request to this host that came straight from its client.
    fn forwarded(&self, host: &HeaderValue) -> Option<HeaderValue> {
        let mut last = self.forwarded.borrow_mut();
        if let Some((of, value)) = &*last
            && of == host
        {
            return Some(value.clone());
        }
        let text = format!("{};host=\"{}\";proto=http", self.node(), host.to_str().ok()?);
        let value = HeaderValue::from_str(&text).ok()?;
        *last = Some((host.clone(), value.clone()));
        Some(value)
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
pub(crate) fn add_forwarded(fields: &mut HeaderMap, peer: &Peer) {
    let host = fields.get(header::HOST).cloned();
    if peer.trusted {
        append(fields, &X_FORWARDED_FOR, peer.text());
        append(fields, &header::FORWARDED, &peer.node());
        fields.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        if let Some(host) = host {
            fields.entry(X_FORWARDED_HOST).or_insert(host);
        }
        return;
    }
    fields.insert(X_FORWARDED_FOR, peer.text.clone());
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    let forwarded = match &host {
        Some(host) => peer.forwarded(host),
        None => HeaderValue::from_str(&format!("{};proto=http", peer.node())).ok(),
    };
    for (name, value) in [(X_FORWARDED_HOST, host), (header::FORWARDED, forwarded)] {
        match value {
            Some(value) => fields.insert(name, value),
            None => fields.remove(name),
        };
    }
}

/// The address of whoever asked, looking through trusted proxies: from the right, the first address
/// that is not one of them.
pub(crate) fn client_address(fields: &HeaderMap, peer: &Peer, trusted: &[Network]) -> IpAddr {
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
pub(crate) fn is_https(fields: &HeaderMap, peer: &Peer) -> bool {
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

/// Adds a member at the end of a list, over all fields of the name.
fn append(fields: &mut HeaderMap, name: &HeaderName, member: &str) {
    let known = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<&str> = known.chain(std::iter::once(member)).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        fields.insert(name.clone(), value);
    }
}

#[cfg(test)]
mod tests;
