//! Pools and requests for the tests of this crate.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abide_cookie::CookieName;
use abide_keys::{Key, KeyRing};
use abide_time::Time;

use crate::{
    Admin, Health, Lifetime, OnLost, Request, Server, ServerName, Sources, Sticky, Ticket, Verdict,
    View, Weight, decide,
};

pub(crate) const NOW: Time = Time::from_secs(1_800_000_000);

/// A server from its name and marks: `a`, `a*3`, `a down`, `a draining` (until an hour from now),
/// `a drained`, `a maintenance`.
pub(crate) fn server(text: &str) -> Server {
    let mut words = text.split(' ');
    let first = words.next().unwrap();
    let (name, weight) = first.split_once('*').unwrap_or((first, "1"));
    let mut server = Server::new(ServerName::new(name).unwrap());
    server.weight = Weight::new(weight.parse().unwrap()).unwrap();
    for word in words {
        match word {
            "down" => server.health = Health::Down,
            "draining" => server.admin = Admin::Draining { until: NOW.after(HOUR) },
            "drained" => server.admin = Admin::Draining { until: NOW },
            "maintenance" => server.admin = Admin::Maintenance,
            other => panic!("unknown mark {other}"),
        }
    }
    server
}

pub(crate) const HOUR: core::time::Duration = core::time::Duration::from_hours(1);

pub(crate) fn view(servers: &[&str]) -> View {
    View::new(servers.iter().map(|text| server(text)).collect(), OnLost::Move).unwrap()
}

pub(crate) fn strict(servers: &[&str]) -> View {
    View::new(servers.iter().map(|text| server(text)).collect(), OnLost::Refuse).unwrap()
}

pub(crate) fn key(number: u8) -> Key {
    Key::new([number; Key::BYTES])
}

/// The cookie `abide` of a pool, with keys of these numbers.
pub(crate) fn sticky(pool: &str, keys: &[u8]) -> Sticky {
    let ring = KeyRing::new(keys.iter().map(|number| key(*number)).collect()).unwrap();
    Sticky::new(pool, CookieName::new("abide").unwrap(), ring, Lifetime::default())
}

pub(crate) fn ticket(server: &str) -> Ticket {
    let server = ServerName::new(server).unwrap().tag();
    Ticket { server, created: NOW, seen: NOW, visitor: 5, with_old_key: false }
}

/// The `Cookie` field of a visitor who is at home on a server.
pub(crate) fn cookie_for(server: &str) -> String {
    format!("abide={}", sticky("shop", &[1]).seal(&ticket(server), [0; Sticky::NONCE_BYTES]))
}

pub(crate) fn sources(order: &[&str]) -> Sources {
    let order: Vec<_> = order.iter().map(|source| source.parse().unwrap()).collect();
    Sources::new(order, Some(sticky("shop", &[1]))).unwrap()
}

/// What a request with one target and one `Cookie` field leads to.
pub(crate) fn verdict(view: &View, order: &[&str], target: &str, cookie: &str) -> Verdict {
    let request = Request {
        target,
        cookies: &[cookie.as_bytes()],
        header: &|name| (name == "x-session-id").then_some(&b"from-the-header"[..]),
        client: Some([192, 0, 2, 1].into()),
    };
    decide(view, &sources(order).keys(&request, NOW), NOW, VISITOR)
}

/// The random number for visitors who have none.
pub(crate) const VISITOR: u32 = 77;
