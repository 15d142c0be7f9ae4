//! What the sealed cookie costs: a session of about a kilobyte, as a shop keeps it, in and out.
//!
//! `cargo bench -p abide-session --bench seal`. A request that only reads pays `open`, one that
//! writes `open` and `seal`.

use std::hint::black_box;
use std::time::Duration;

use abide_cookie::{Attributes, CookieName};
use abide_keys::{Key, KeyRing};
use abide_session::{
    FieldName, Id, Opened, Parts, RANDOM_BYTES, Record, Seal, Sealed, Stamp, Stamped, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

#[expect(clippy::print_stdout, reason = "the sizes are part of the result")]
fn main() {
    let texts = seal(true).seal(&session(), Parts::default(), NONCE, NOW).expect("it fits");
    let plain = seal(false).seal(&session(), Parts::default(), NONCE, NOW).expect("it fits");
    println!("cookie: {} bytes, without compression {}", texts[0].len(), plain[0].len());
    divan::main();
}

const NOW: Time = Time::from_secs(1_800_000_000);
const NONCE: [u8; Seal::NONCE_BYTES] = [9; Seal::NONCE_BYTES];

#[derive(Serialize)]
struct User {
    id: u64,
    name: &'static str,
    email: &'static str,
    roles: &'static [&'static str],
    verified: bool,
}

#[derive(Serialize)]
struct Item {
    product_id: u64,
    name: &'static str,
    quantity: u32,
    unit_price_cents: u64,
    currency: &'static str,
}

fn cart() -> Vec<Item> {
    let item = |product_id, name, quantity, unit_price_cents| Item {
        product_id,
        name,
        quantity,
        unit_price_cents,
        currency: "EUR",
    };
    vec![
        item(10_482, "Espresso beans, dark roast, 1 kg", 2, 1899),
        item(20_117, "Paper filters no. 4, 100 pieces", 1, 349),
        item(31_905, "Hand grinder with ceramic burr", 1, 4950),
        item(48_220, "Double-walled glass, 80 ml", 4, 725),
        item(50_663, "Milk jug, stainless steel, 350 ml", 1, 1590),
    ]
}

fn session() -> Sealed {
    let user = User {
        id: 918_273,
        name: "Ada Lovelace",
        email: "ada.lovelace@example.com",
        roles: &["customer", "newsletter"],
        verified: true,
    };
    let recent = ["/coffee/beans/dark", "/coffee/filters", "/grinders/hand", "/glasses/espresso"];
    let mut record = Record::default();
    record.created = Time::from_secs(1_799_990_000);
    record.seen = NOW;
    record.hard_deadline = NOW.after(Duration::from_hours(13 * 24));
    record.idle_timeout = Stamped::new(Stamp::new(1, 0), Duration::from_hours(24));
    record.subject = Stamped::new(Stamp::new(1, 0), Some(Subject::new("918273").expect("short")));
    for (name, value) in [
        ("user", encoded(&user)),
        ("cart", encoded(&cart())),
        ("csrf", encoded(&"3q2_9QK7hYxN1vLr0aTzUe8mWcJdPsGf5bXoI4kVnRA")),
        ("language", encoded(&"en-GB")),
        ("recent", encoded(&recent)),
        ("visits", encoded(&17)),
    ] {
        let name = FieldName::new(name).expect("a short name");
        record.fields.insert(name, Stamped::new(Stamp::new(1, 0), Some(value)));
    }
    Sealed::new(Id::from_random([7; RANDOM_BYTES]), record)
}

fn encoded(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec_named(value).expect("plain data").into()
}

fn seal(compresses: bool) -> Seal {
    let ring = KeyRing::new(vec![Key::new([7; Key::BYTES])]).expect("one key");
    let name = CookieName::new("__Host-session").expect("a name");
    let seal = Seal::new(ring, name, &Attributes::for_scheme(true)).expect("they fit");
    if compresses { seal } else { seal.without_compression() }
}

#[divan::bench(args = [true, false])]
fn seal_session(bencher: Bencher<'_, '_>, compresses: bool) {
    let (seal, session) = (seal(compresses), session());
    bencher.bench(|| seal.seal(black_box(&session), Parts::default(), NONCE, NOW));
}

#[divan::bench(args = [true, false])]
fn open_session(bencher: Bencher<'_, '_>, compresses: bool) {
    let seal = seal(compresses);
    let texts = seal.seal(&session(), Parts::default(), NONCE, NOW).expect("it fits");
    let (field, _) = texts[0].split_once(';').expect("attributes");
    bencher.bench(|| {
        let (opened, _) = seal.open(&[black_box(field.as_bytes())], NOW);
        assert!(matches!(opened, Opened::Open { .. }));
        opened
    });
}

#[divan::bench]
fn refuse_a_forged_cookie(bencher: Bencher<'_, '_>) {
    let seal = seal(true);
    let forged = format!("__Host-session=1{}", "A".repeat(1000));
    bencher.bench(|| seal.open(&[black_box(forged.as_bytes())], NOW).1);
}

#[divan::bench]
fn find_none_among_the_cookies_of_others(bencher: Bencher<'_, '_>) {
    let seal = seal(true);
    let field = "theme=dark; _ga=GA1.2.1234567890.1234567890; consent=yes; abide-server=AZ09";
    bencher.bench(|| seal.open(&[black_box(field.as_bytes())], NOW).1);
}
