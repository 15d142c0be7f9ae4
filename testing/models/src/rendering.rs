//! What tells two states apart: what a node or a letter shows of itself, but for when that is.
//!
//! A node keeps points in time and compares them with its clock and with nothing else. So what it does
//! next depends on how far they are from now, and two states that differ in nothing but when they are
//! reached are one. What shows itself is text; of each point in time in it, which no other number looks
//! like, the distance from now is taken. What is longer ago than the longest time that a node waits for is
//! past, however long.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

/// What the clock of a process shows when it starts: no other number is like it.
pub(crate) const STARTED: Duration = Duration::from_secs(FIRST_SECOND);
const FIRST_SECOND: u64 = 1_000_000;
/// Processes of a model live no longer than this, by far.
const LAST_SECOND: u64 = 1_100_000;
/// What a node keeps since when, and for how long that may make a difference, in milliseconds: what it waits for, and
/// a little. What is not named here may make one for as long as a call may take. What is kept *until* a time
/// makes none when that is over.
const MATTERS_FOR: [(&[u8], i128); 12] = [
    (b"started", 2050),
    (b"lost_at", 2050),
    (b"sent", 600),
    (b"mutual", 600),
    (b"offered_at", 550),
    (b"settled_at", 350),
    (b"held_up", 300),
    (b"led_at", 250),
    (b"resent_at", 150),
    (b"held", 0),
    (b"kept", 0),
    // Nothing expires here.
    (b"next_expiry", i128::MIN),
];
const MATTERS_ELSE: i128 = 1050;

thread_local! {
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A number that is the same for all that differ in nothing but the time, if `now` differs by as much.
pub(crate) fn hash_of(what: &impl Debug, now: Duration) -> u64 {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        // A string takes every text.
        let _ = write!(text, "{what:?}");
        let mut hasher = DefaultHasher::new();
        hash_text(text.as_bytes(), now, &mut hasher);
        hasher.finish()
    })
}

fn hash_text(text: &[u8], now: Duration, hasher: &mut DefaultHasher) {
    // What has been taken up to here; where the word begins that we are in; the name of the last field.
    let (mut from, mut at) = (0, 0);
    let mut word = None;
    let mut name: &[u8] = &[];
    while let Some(byte) = text.get(at) {
        match (byte, word) {
            (b'0'..=b'9', None) => {
                let (end, time) = number_at(text, at);
                if let Some(time) = time {
                    hasher.write(&text[from..at]);
                    let ago = (now.as_nanos() as i128 - time as i128) / 1000;
                    hasher.write_i128(ago.min(matters_for(name)));
                    from = end;
                }
                (at, word) = (end, Some(at));
                continue;
            }
            (b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'@', _) => {
                word = word.or(Some(at));
            }
            (b':', Some(start)) => (name, word) = (&text[start..at], None),
            _ => word = None,
        }
        at += 1;
    }
    hasher.write(&text[from..]);
}

/// For how long a time under this name matters, in microseconds.
fn matters_for(name: &[u8]) -> i128 {
    let known = MATTERS_FOR.iter().find(|(known, _)| *known == name);
    known.map_or(MATTERS_ELSE, |(_, millis)| *millis).saturating_mul(1000)
}

/// Where the number ends that begins here, and if it is a point in time, which, in nanoseconds.
fn number_at(text: &[u8], start: usize) -> (usize, Option<u128>) {
    let digits = |from: usize| {
        let rest = text[from..].iter();
        from + rest.take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole_end = digits(start);
    let value = |from: usize, to: usize| {
        text[from..to].iter().fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'))
    };
    // No number of a node has as many digits as would not fit.
    let whole = value(start, whole_end.min(start + 20));
    let has_parts = text.get(whole_end) == Some(&b'.')
        && text.get(whole_end + 1).is_some_and(u8::is_ascii_digit);
    let end = if has_parts { digits(whole_end + 1) } else { whole_end };
    let is_time = text.get(end) == Some(&b's')
        && (u128::from(FIRST_SECOND)..u128::from(LAST_SECOND)).contains(&whole);
    if !is_time {
        return (whole_end, None);
    }
    let parts = if has_parts { &text[whole_end + 1..end] } else { &[] };
    let nanos = (0..9).fold(0_u128, |value, place| {
        value * 10 + parts.get(place).map_or(0, |digit| u128::from(digit - b'0'))
    });
    (end + 1, Some(whole * 1_000_000_000 + nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "they are shown")]
    struct Shown {
        at: Duration,
        other: Option<Duration>,
        number: u64,
        next_expiry: Duration,
        last: bool,
    }

    fn shown(millis: u64) -> Shown {
        let at = STARTED + Duration::from_millis(millis);
        let other = Some(Duration::from_secs(3));
        Shown { at, other, number: 7, next_expiry: at + Duration::from_secs(1), last: true }
    }

    fn hash(shown: &Shown, millis: u64) -> u64 {
        hash_of(shown, STARTED + Duration::from_millis(millis))
    }

    #[test]
    fn what_differs_only_in_when_it_is_is_the_same() {
        assert_eq!(hash(&shown(0), 50), hash(&shown(1234), 1284));
        assert_eq!(hash(&shown(100), 0), hash(&shown(101), 1));
        assert_ne!(hash(&shown(0), 50), hash(&shown(0), 51));
        assert_ne!(hash(&shown(100), 0), hash(&shown(0), 100));
        let later = Shown { next_expiry: STARTED + Duration::from_secs(7), ..shown(0) };
        assert_eq!(hash(&shown(0), 0), hash(&later, 0));
    }

    #[test]
    fn what_is_long_ago_is_past_and_what_is_no_time_counts_as_it_is() {
        assert_eq!(hash(&shown(0), 1100), hash(&shown(0), 9000));
        assert_ne!(hash(&shown(0), 1000), hash(&shown(0), 9000));
        for other in [
            Shown { number: 8, ..shown(0) },
            Shown { number: FIRST_SECOND, ..shown(0) },
            Shown { other: Some(Duration::from_secs(4)), ..shown(0) },
            Shown { last: false, ..shown(0) },
        ] {
            assert_ne!(hash(&shown(0), 0), hash(&other, 0));
        }
    }
}
