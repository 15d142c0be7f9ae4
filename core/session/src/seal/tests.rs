use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use abide_cookie::pairs;
use proptest::prelude::*;

use super::*;
use crate::id::RANDOM_BYTES;
use crate::limits::MAX_FIELDS;
use crate::record::{FieldName, Subject};
use crate::stamp::{Clock, Stamp, Stamped};

mod hostile;
mod limits;

const NOW: Time = Time::from_secs(1_800_000_000);
const NONCE: [u8; Seal::NONCE_BYTES] = [9; Seal::NONCE_BYTES];

fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|number| Key::new([*number; Key::BYTES])).collect()).unwrap()
}

fn seal_named(name: &str, keys: &[u8]) -> Seal {
    let name = CookieName::new(name).unwrap();
    Seal::new(ring(keys), name, &Attributes::for_scheme(true)).unwrap()
}

fn seal() -> Seal {
    seal_named("__Host-s", &[1])
}

/// A session made a minute ago, with these fields.
fn session(fields: &[(&'static str, &[u8])]) -> Sealed {
    let mut record = Record {
        created: Time::from_secs(1_799_999_940),
        seen: Time::from_secs(1_799_999_999),
        hard_deadline: NOW.after(Duration::from_hours(24)),
        idle_timeout: Stamped::new(Stamp::new(5, 0), Duration::from_hours(1)),
        subject: Stamped::new(Stamp::new(5, 0), Some(Subject::new("alice").unwrap())),
        ..Record::default()
    };
    for (name, value) in fields {
        let value = Some(Bytes::copy_from_slice(value));
        record.fields.insert(FieldName::new(*name).unwrap(), Stamped::new(Stamp::new(5, 0), value));
    }
    Sealed { id: Id::from_random([3; RANDOM_BYTES]), record, epoch: Some(7) }
}

/// What is left of a session after sealing and opening at `now`.
fn kept(sealed: &Sealed, now: Time) -> Sealed {
    let from = &sealed.record;
    let stamp = Clock::new(0).tick(from.seen.min(now)).before();
    let idle_ms = u64::try_from(from.idle_timeout.value.as_millis()).unwrap_or(u64::MAX);
    let fields = from
        .iter()
        .map(|(name, value)| (name.clone(), Stamped::new(stamp, Some(value.clone()))))
        .collect();
    let record = Record {
        cleared: Stamp::ZERO,
        idle_timeout: Stamped::new(stamp, Duration::from_millis(idle_ms)),
        subject: Stamped::new(stamp, from.subject.value.clone()),
        fields,
        ..*from
    };
    Sealed { record, ..sealed.clone() }
}

fn opened(seal: &Seal, field: &str, now: Time) -> Sealed {
    match seal.open(&[field.as_bytes()], now).0 {
        Opened::Open { sealed, .. } => *sealed,
        other => panic!("{other:?}"),
    }
}

fn is_refused(seal: &Seal, field: &[u8]) -> bool {
    matches!(seal.open(&[field], NOW).0, Opened::Refused)
}

/// What a browser keeps of `Set-Cookie` texts, and sends.
#[derive(Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    fn with(texts: &[String]) -> Self {
        let mut browser = Self::default();
        browser.take(texts);
        browser
    }

    fn take(&mut self, texts: &[String]) {
        for text in texts {
            assert!(text.len() <= SetCookie::BYTES_MAX);
            let (name, rest) = text.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            if attributes.contains("Max-Age=0;") {
                self.0.remove(name);
            } else {
                self.0.insert(name.into(), value.into());
            }
        }
    }

    fn field(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = core::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    next.take(count).collect()
}

#[test]
fn a_session_comes_back_as_it_was() {
    let session = session(&[("cart", &b"apples, ".repeat(100)), ("empty", b""), ("n", b"\x2a")]);
    for seal in [seal(), seal().without_compression()] {
        let texts = seal.seal(&session, Parts::default(), NONCE, NOW).unwrap();
        let [text] = &texts[..] else { panic!("{texts:?}") };
        assert!(text.starts_with("__Host-s=1"));
        assert!(text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400"));
        let found = opened(&seal, &Browser::with(&texts).field(), NOW);
        assert_eq!(found, kept(&session, NOW));
    }
}

#[test]
fn what_was_sealed_in_the_first_version_opens_forever() {
    let session = session(&[("cart", &b"pears, ".repeat(500)), ("noise", &noise(5000))]);
    let golden = include_str!("../../golden/sealed-cookie-v1.txt");
    let fields: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(fields.len(), 3);
    for (field, parts) in fields.into_iter().zip([0b1, 0b11, 0b111]) {
        let (opened, presented) = seal_named("golden", &[2, 1]).open(&[field.as_bytes()], NOW);
        let Opened::Open { sealed, with_old_key: true } = opened else { panic!("{opened:?}") };
        let mut expected = kept(&session, NOW);
        if parts == 1 {
            expected.record.fields.clear();
            expected.record.subject.value = None;
            expected.epoch = None;
        }
        assert_eq!(*sealed, expected);
        assert_eq!(presented, Parts::of(parts));
    }
}

#[test]
fn stamps_of_an_opened_session_are_before_every_write_to_come() {
    let mut session = session(&[("a", b"1")]);
    for (seen, now) in [(0, 0), (0, 1), (5, 5), (9, 5), (u64::MAX, 7)] {
        let (seen, now) = (Time::from_millis(seen), Time::from_millis(now));
        session.record.seen = seen;
        session.record.hard_deadline = Time::MAX;
        let texts = seal().seal(&session, Parts::default(), NONCE, now).unwrap();
        let record = opened(&seal(), &Browser::with(&texts).field(), now).record;
        assert!(Stamp::ZERO < record.latest(), "{record:?}");
        assert!(record.latest() < Clock::new(0).tick(now), "{record:?}");
    }
}

#[test]
fn markers_of_removed_fields_are_not_sealed() {
    let mut session = session(&[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    session
        .record
        .fields
        .insert(FieldName::new("b").unwrap(), Stamped::new(Stamp::new(6, 0), None));
    session.record.cleared = Stamp::new(4, 0);
    session.record.fields.get_mut("c").unwrap().stamp = Stamp::new(4, 0);
    let texts = seal().seal(&session, Parts::default(), NONCE, NOW).unwrap();
    let record = opened(&seal(), &Browser::with(&texts).field(), NOW).record;
    assert_eq!(record.fields.keys().map(FieldName::as_str).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_session_expires_at_either_deadline() {
    let session = session(&[]);
    let field =
        Browser::with(&seal().seal(&session, Parts::default(), NONCE, NOW).unwrap()).field();
    let idle = session.record.idle_deadline();
    assert!(idle < session.record.hard_deadline);
    let before = Time::from_millis(idle.as_millis() - 1);
    assert!(matches!(seal().open(&[field.as_bytes()], before).0, Opened::Open { .. }));
    assert!(matches!(seal().open(&[field.as_bytes()], idle).0, Opened::Expired));

    let mut session = session;
    session.record.idle_timeout.value = Duration::MAX;
    let field =
        Browser::with(&seal().seal(&session, Parts::default(), NONCE, NOW).unwrap()).field();
    let hard = session.record.hard_deadline;
    let before = Time::from_millis(hard.as_millis() - 1);
    assert!(matches!(seal().open(&[field.as_bytes()], before).0, Opened::Open { .. }));
    assert!(matches!(seal().open(&[field.as_bytes()], hard).0, Opened::Expired));
}

#[test]
fn what_has_ended_or_expired_is_removed_and_not_sealed() {
    let live = session(&[("a", b"1")]);
    let mut ended = live.clone();
    ended.record.merge(Record::ended(live.record.hard_deadline));
    let parts = Parts::of(0b101);
    for (session, now) in [(&ended, NOW), (&live, live.record.hard_deadline)] {
        let texts = seal().seal(session, parts, NONCE, now).unwrap();
        assert_eq!(texts, seal().removals(parts));
    }
}

#[test]
fn removals_name_every_cookie_that_is_there_and_the_first() {
    let begin = |parts| -> Vec<String> {
        let texts = seal().removals(parts);
        assert!(texts.iter().all(|text| text.contains("; Max-Age=0; ")));
        texts.iter().map(|text| text.split('=').next().unwrap().into()).collect()
    };
    assert_eq!(begin(Parts::default()), ["__Host-s"]);
    assert_eq!(begin(Parts::of(0b1000_0010)), ["__Host-s", "__Host-s.2", "__Host-s.8"]);
}

#[test]
fn a_key_is_replaced_in_three_steps_and_nobody_notices() {
    let (old, new) = (1, 2);
    let session = session(&[("a", b"1")]);
    let give = |keys: &[u8]| {
        let texts = seal_named("s", keys).seal(&session, Parts::default(), NONCE, NOW).unwrap();
        Browser::with(&texts).field()
    };
    let is_old =
        |keys: &[u8], field: &str| match seal_named("s", keys).open(&[field.as_bytes()], NOW).0 {
            Opened::Open { with_old_key, .. } => Some(with_old_key),
            _ => None,
        };
    // In each step some servers have the rings of the step before and some the next.
    let steps: [&[u8]; 4] = [&[old], &[old, new], &[new, old], &[new]];
    for step in steps.windows(2) {
        for sealing in step {
            for opening in step {
                let answer = is_old(opening, &give(sealing));
                assert_eq!(answer, Some(sealing[0] != opening[0]), "{sealing:?} {opening:?}");
            }
        }
    }
    assert_eq!(is_old(&[new], &give(&[old, new])), None);
}

#[test]
fn each_value_is_compressed_alone() {
    let length = |fields: &[(&'static str, &[u8])]| {
        let mut bytes = Vec::new();
        content::write(&session(fields), true, &mut bytes).unwrap();
        bytes.len()
    };
    // Had the secret and the guess been compressed together, the right guess would be shorter.
    let secret = noise(200);
    let wrong: Vec<u8> = secret.iter().map(|byte| byte.wrapping_add(1)).collect();
    let right = length(&[("guess", &secret), ("secret", &secret)]);
    assert_eq!(right, length(&[("guess", &wrong), ("secret", &secret)]));
    // But a value that repeats itself does shrink.
    assert!(length(&[("guess", &secret.repeat(2))]) < right);
}

#[test]
fn debug_text_shows_no_secret() {
    let session = session(&[("pin", b"secret-pin")]);
    let texts = seal().seal(&session, Parts::default(), NONCE, NOW).unwrap();
    let opened = seal().open(&[Browser::with(&texts).field().as_bytes()], NOW);
    for shown in [format!("{:?}", seal()), format!("{session:?}"), format!("{opened:?}")] {
        assert!(!shown.contains("secret-pin") && !shown.contains("alice"), "{shown}");
        assert!(!shown.contains(&session.id.text().to_string()), "{shown}");
        assert!(!shown.contains("1, 1, 1"), "{shown}");
    }
}

fn sessions() -> impl Strategy<Value = Sealed> {
    let times = || prop_oneof![any::<u64>(), Just(u64::MAX), 0..10_u64].prop_map(Time::from_millis);
    let stamps = || (0..4_u64).prop_map(|reading| Stamp::new(reading, 0));
    let idle = (prop_oneof![any::<u64>(), 0..100_u64], 0..1_000_000_000_u32);
    let values = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(0..3_u8, 0..600),
        prop::collection::vec(Just(b'x'), 0..2000),
    ];
    let fields = prop::collection::btree_map(
        ".{1,20}",
        (stamps(), prop::option::weighted(0.9, values)),
        0..12,
    );
    let subject = prop::option::of(".{1,40}");
    let times = (times(), times(), times(), idle);
    let rest = (stamps(), stamps(), subject, fields);
    (any::<[u8; RANDOM_BYTES]>(), any::<Option<u64>>(), times, rest).prop_map(
        |(
            random,
            epoch,
            (created, seen, hard_deadline, (secs, nanos)),
            (cleared, stamp, subject, fields),
        )| {
            let fields = fields.into_iter().map(|(name, (stamp, value))| {
                (FieldName::new(name).unwrap(), Stamped::new(stamp, value.map(Bytes::from)))
            });
            let record = Record {
                cleared,
                created,
                seen,
                hard_deadline,
                idle_timeout: Stamped::new(stamp, Duration::new(secs, nanos)),
                subject: Stamped::new(stamp, subject.map(|name| Subject::new(name).unwrap())),
                fields: fields.collect(),
            };
            Sealed { id: Id::from_random(random), record, epoch }
        },
    )
}

proptest! {
    #[test]
    fn every_live_session_comes_back(
        session in sessions(), nonce: [u8; Seal::NONCE_BYTES], compresses: bool, early in any::<u64>()
    ) {
        let now = Time::from_millis(early.min(session.record.deadline().as_millis().saturating_sub(1)));
        prop_assume!(!session.record.is_expired(now));
        let seal = if compresses { seal() } else { seal().without_compression() };
        let texts = seal.seal(&session, Parts::default(), nonce, now).unwrap();
        let found = opened(&seal, &Browser::with(&texts).field(), now);
        prop_assert_eq!(found.record.deadline(), session.record.deadline());
        prop_assert_eq!(found, kept(&session, now));
    }
}
