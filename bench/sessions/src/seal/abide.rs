//! Ours: each field as MessagePack, as the session layer keeps it, and all of them sealed.

use std::time::Duration;

use abide_cookie::{Attributes, CookieName};
use abide_keys::{Key, KeyRing};
use abide_session::{FieldName, Id, Opened, Parts, Record, Seal, Sealed, Stamp, Stamped};
use abide_time::Time;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format::{COOKIE, Format, MAX_AGE_SECONDS};
use crate::session::Session;

pub struct Abide {
    name: &'static str,
    seal: Seal,
    id: Id,
}

impl Abide {
    pub fn new() -> Self {
        let ring = KeyRing::new(vec![Key::new([7; Key::BYTES])]).expect("a ring of one key");
        let name = CookieName::new(COOKIE).expect("the name is a token");
        let seal = Seal::new(ring, name, &Attributes::for_scheme(true));
        let seal = seal.expect("browsers take this cookie");
        Self { name: "abide", seal, id: Id::from_random(random()) }
    }

    /// The same, each value as long as it is.
    pub fn without_compression() -> Self {
        let with = Self::new();
        Self { name: "abide, uncompressed", seal: with.seal.without_compression(), ..with }
    }
}

const NOW: Time = Time::from_secs(1_800_000_000);

impl Format for Abide {
    fn name(&self) -> &'static str {
        self.name
    }

    fn seal(&self, session: &Session) -> Vec<String> {
        let mut record = Record::default();
        let lifetime = Duration::from_secs(MAX_AGE_SECONDS.into());
        record.created = NOW;
        record.seen = NOW;
        record.hard_deadline = NOW.after(lifetime);
        record.idle_timeout = Stamped::new(STAMP, Duration::from_hours(24));
        let mut set = |name, value| {
            let name = FieldName::new(name).expect("a short name");
            record.fields.insert(name, Stamped::new(STAMP, Some(value)));
        };
        if let Some(user) = &session.user {
            set("user", encoded(user));
        }
        if !session.cart.is_empty() {
            set("cart", encoded(&session.cart));
        }
        if let Some(preferences) = &session.preferences {
            set("preferences", encoded(preferences));
        }
        set("csrf", encoded(&session.csrf));
        if !session.pages.is_empty() {
            set("pages", encoded(&session.pages));
        }
        let sealed = Sealed::new(self.id, record);
        let texts = self.seal.seal(&sealed, Parts::default(), random(), NOW);
        texts.expect("it fits into cookies")
    }

    fn open(&self, field: &str) -> Session {
        let (Opened::Open { sealed, .. }, _) = self.seal.open(&[field.as_bytes()], NOW) else {
            panic!("a sealed cookie does not open");
        };
        let record = &sealed.record;
        Session {
            user: decoded(record, "user"),
            cart: decoded(record, "cart").unwrap_or_default(),
            preferences: decoded(record, "preferences"),
            csrf: decoded(record, "csrf").unwrap_or_default(),
            pages: decoded(record, "pages").unwrap_or_default(),
        }
    }
}

const STAMP: Stamp = Stamp::new(1, 0);

fn encoded<T: Serialize>(value: &T) -> Bytes {
    rmp_serde::to_vec_named(value).expect("a field is MessagePack").into()
}

fn decoded<T: DeserializeOwned>(record: &Record, name: &str) -> Option<T> {
    let value = record.get(name)?;
    Some(rmp_serde::from_slice(value).expect("what was sealed is MessagePack"))
}

/// Drawn as the session layer does it.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("this machine has random bytes");
    bytes
}
