use alloc::format;
use alloc::vec;

use super::*;

fn key(number: u8) -> Key {
    Key::new([number; Key::BYTES])
}

#[test]
fn a_key_reads_what_it_prints() {
    for number in 0..=255 {
        let text = key(number).expose();
        assert_eq!(text.len(), 49);
        assert_eq!(Key::parse(&text).unwrap().secret, key(number).secret);
        assert_eq!(Key::parse(&format!(" {}\n", *text)).unwrap().id(), key(number).id());
    }
}

#[test]
fn the_text_of_a_key_never_changes() {
    assert_eq!(*key(1).expose(), "k1.97.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
}

#[test]
fn what_is_no_key_is_refused() {
    let good = key(1).expose();
    let table = [
        ("", KeyError::Form),
        ("k1", KeyError::Form),
        ("k1..", KeyError::Form),
        (&good.replace("k1", "k2"), KeyError::Form),
        (&good.replace("AQE", "A+E"), KeyError::Form),
        (&format!("{}A", *good), KeyError::Form),
        (&format!("{}.A", *good), KeyError::Form),
        (&good.replace("k1.9", "k1.+"), KeyError::Form),
        (&good.replace("k1.9", "k1."), KeyError::Form),
        (&good.replacen(".AQEB", ".AQEC", 1), KeyError::Damaged),
    ];
    for (text, expected) in table {
        assert_eq!(Key::parse(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn debug_text_hides_the_secret() {
    let ring = KeyRing::new(vec![key(1)]).unwrap();
    assert_eq!(format!("{:?}", key(1)), "Key(97, ..)");
    assert!(!format!("{ring:?}").contains("1, 1"));
}

#[test]
fn a_ring_has_one_to_eight_different_keys() {
    let ring = |numbers: &[u8]| KeyRing::new(numbers.iter().map(|number| key(*number)).collect());
    assert_eq!(ring(&[]).unwrap_err(), KeyError::Ring);
    assert_eq!(ring(&[1, 2, 1]).unwrap_err(), KeyError::Ring);
    assert_eq!(ring(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap_err(), KeyError::Ring);
    assert_eq!(ring(&[2, 1]).unwrap().first().id(), key(2).id());
    assert!(ring(&[1, 2, 3, 4, 5, 6, 7, 8]).is_ok());
}

#[test]
fn keys_of_the_same_id_are_all_tried() {
    // 256 ids and as many keys: some share one.
    let (one, other) = (0..=255_u8)
        .flat_map(|one| (0..one).map(move |other| (one, other)))
        .find(|(one, other)| key(*one).id() == key(*other).id())
        .unwrap();
    let ring = KeyRing::new(vec![key(one), key(other)]).unwrap();
    let mut text = *b"text";
    let seal = key(other).seal(&[0; Key::NONCE_BYTES], b"", &mut text);
    let opened = ring
        .with_id(key(one).id())
        .find(|(_, key)| key.open(&[0; Key::NONCE_BYTES], b"", &mut text.clone(), &seal));
    assert!(matches!(opened, Some((false, _))));
}

#[test]
fn what_follows_from_a_key_is_its_own_for_each_key_and_purpose() {
    let (one, other) = (Key::new([1; Key::BYTES]), Key::new([2; Key::BYTES]));
    assert_eq!(one.derive(b"a"), Key::new([1; Key::BYTES]).derive(b"a"));
    let all = [one.derive(b"a"), one.derive(b"b"), one.derive(b""), other.derive(b"a")];
    for (place, secret) in all.iter().enumerate() {
        assert!(**secret != [0; Key::BYTES] && **secret != [1; Key::BYTES]);
        assert!(all.iter().skip(place + 1).all(|next| next != secret));
    }
}
