//! No bytes open that were not sealed.
#![no_main]

use abide_affinity::{Lifetime, Opened, Sticky};
use abide_cookie::CookieName;
use abide_keys::{Key, KeyRing};
use abide_time::Time;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static STICKY: LazyLock<Sticky> = LazyLock::new(|| {
    let ring = KeyRing::new(vec![Key::new([1; Key::BYTES]), Key::new([2; Key::BYTES])]).unwrap();
    let name = CookieName::new("abide").unwrap();
    Sticky::new("pool", name, ring, Lifetime::default())
});

fuzz_target!(|input: (Vec<u8>, u64)| {
    let (value, now) = input;
    assert_eq!(STICKY.open(&value, Time::from_millis(now)), Opened::Forged);
    _ = STICKY.find(&[&value], Time::from_millis(now));
});
