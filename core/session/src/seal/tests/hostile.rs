//! What a client can send, and what somebody with the key could have sealed.

use super::*;

/// A `Cookie` field of the session with one field.
fn good() -> String {
    let session = session(&[("cart", b"two apples")]);
    Browser::with(&seal().seal(&session, Parts::default(), NONCE, NOW).unwrap()).field()
}

/// A `Cookie` field with this content, sealed with the right key.
fn holding(content: &[u8]) -> String {
    let bytes = seal().envelope(&NONCE, |bytes| {
        bytes.extend_from_slice(content);
        Ok(())
    });
    format!("__Host-s=1{}", base64url::encode(&bytes.unwrap()))
}

/// Content up to the number of fields: no subject, no epoch, and good for ever.
fn head() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut endless = session(&[]);
    endless.record.subject.value = None;
    endless.record.hard_deadline = Time::MAX;
    endless.record.idle_timeout.value = Duration::MAX;
    content::write(&Sealed::new(endless.id, endless.record), false, &mut bytes).unwrap();
    assert_eq!(bytes.pop(), Some(0));
    bytes
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = good().into_bytes();
    let value = "__Host-s=".len();
    for place in value..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[place] ^= 1 << bit;
            assert!(is_refused(&seal(), &flipped), "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn every_truncation_and_every_addition_is_noticed() {
    let good = good();
    let value = "__Host-s=".len();
    for end in value..good.len() {
        assert!(is_refused(&seal(), &good.as_bytes()[..end]), "{end}");
    }
    for addition in ["A", "AA", "AAA", "AAAA", "=", "==", "."] {
        assert!(is_refused(&seal(), format!("{good}{addition}").as_bytes()), "{addition}");
    }
}

#[test]
fn nothing_opens_for_another_name_purpose_version_or_key() {
    let good = good();
    let other_name = good.replace("__Host-s", "__Host-t");
    assert!(is_refused(&seal_named("__Host-t", &[1]), other_name.as_bytes()));
    assert!(is_refused(&seal_named("__Host-s", &[2, 3]), good.as_bytes()));
    for place in [8, seal().bound_to.len() - 1] {
        let mut other = seal();
        other.bound_to[place] ^= 1;
        assert!(is_refused(&other, good.as_bytes()), "{place}");
    }
    let mut bytes = seal().envelope(&NONCE, |bytes| {
        bytes.extend_from_slice(&head());
        bytes.push(0);
        Ok(())
    });
    let text = |bytes: &[u8]| format!("__Host-s=1{}", base64url::encode(bytes));
    let bytes = bytes.as_mut().unwrap();
    assert!(!is_refused(&seal(), text(bytes).as_bytes()));
    bytes[0] = 2;
    assert!(is_refused(&seal(), text(bytes).as_bytes()));
}

#[test]
fn a_block_that_claims_to_expand_hugely_is_refused_before_anything_is_allocated() {
    // Ten zeros, repeated a great many times.
    let mut bomb = vec![0x1f, 0, 1, 0];
    bomb.extend_from_slice(&[0xff; 3000]);
    bomb.extend_from_slice(&[0, 0x50, 0, 0, 0, 0, 0]);
    let field = |lengths: &[u64]| {
        let mut content = head();
        content::write_number(&mut content, u64::try_from(lengths.len()).unwrap());
        for (name, length) in (b'a'..).zip(lengths) {
            content.extend_from_slice(&[1, name]);
            content::write_number(&mut content, u64::try_from(bomb.len()).unwrap() * 2 + 1);
            content::write_number(&mut content, *length);
            content.extend_from_slice(&bomb);
        }
        holding(&content)
    };
    let most = u64::try_from(Seal::VALUES_BYTES_MAX).unwrap();
    for lengths in [
        &[u64::MAX][..],
        &[u64::MAX, 1],
        &[1 << 62],
        &[3000 * 255],
        &[most + 1],
        &[most],
        &[most / 2, most / 2 + 1],
        &[100],
        &[0],
    ] {
        assert!(is_refused(&seal(), field(lengths).as_bytes()), "{lengths:?}");
    }
}

#[test]
fn a_block_that_does_expand_hugely_is_refused() {
    let is_refused = |length: usize| {
        let block = lz4_flex::block::compress(&vec![0; length]);
        let mut content = head();
        content.extend_from_slice(&[1, 1, b'a']);
        content::write_number(&mut content, u64::try_from(block.len()).unwrap() * 2 + 1);
        content::write_number(&mut content, u64::try_from(length).unwrap());
        content.extend_from_slice(&block);
        is_refused(&seal(), holding(&content).as_bytes())
    };
    assert!(!is_refused(Seal::VALUES_BYTES_MAX));
    assert!(is_refused(Seal::VALUES_BYTES_MAX + 1));
    assert!(is_refused(700_000));
}

#[test]
fn content_of_another_form_is_refused() {
    let with = |tail: &[u8]| {
        let mut content = head();
        content.extend_from_slice(tail);
        is_refused(&seal(), holding(&content).as_bytes())
    };
    assert!(!with(&[0]), "no fields");
    assert!(!with(&[2, 1, b'a', 0, 1, b'b', 2, 9]), "two fields");
    for (bad, why) in [
        (&[][..], "no number of fields"),
        (&[0, 0], "something after the end"),
        (&[1], "a field is missing"),
        (&[2, 1, b'b', 0, 1, b'a', 0], "names in another order"),
        (&[2, 1, b'a', 0, 1, b'a', 0], "a name twice"),
        (&[1, 0, 0], "an empty name"),
        (&[1, 1, 0xff, 0], "a name that is no text"),
        (&[1, 2, b'a', 0], "a name that is cut off"),
        (&[1, 1, b'a', 4, 0], "a value that is cut off"),
        (&[1, 1, b'a', 5, 3, 0], "a block that is cut off"),
        (&[1, 1, b'a', 3, 3, 0xf0], "a block that is none"),
        (&[0x81, 2], "257 fields"),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], "a number of 65 bits"),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], "an endless number"),
    ] {
        assert!(with(bad), "{why}");
    }
    let mut unknown = head();
    unknown.push(0);
    unknown[0] = 4;
    assert!(is_refused(&seal(), holding(&unknown).as_bytes()), "an unknown flag");
}

#[test]
fn of_several_cookies_the_first_that_opens_counts_and_few_are_tried() {
    let good = good();
    let forged = "__Host-s=1AAAA; ";
    for (forged_before, opens) in [(0, true), (3, true), (4, false), (200, false)] {
        let field = format!("{}{good}; {}", forged.repeat(forged_before), forged.repeat(200));
        assert_eq!(!is_refused(&seal(), field.as_bytes()), opens, "{forged_before}");
        let fields: Vec<&[u8]> = field.split("; ").map(str::as_bytes).collect();
        assert_eq!(matches!(seal().open(&fields, NOW).0, Opened::Open { .. }), opens);
    }
}

#[test]
fn values_of_several_parts_are_told_apart_when_paths_differ() {
    let texts = |bytes, nonce| {
        let session = session(&[("noise", &noise(bytes))]);
        let texts = seal().seal(&session, Parts::default(), [nonce; 12], NOW).unwrap();
        let pairs = texts.into_iter().map(|text| text.split(';').next().unwrap().to_string());
        pairs.collect::<Vec<_>>()
    };
    // As browsers send them: by path, longest first.
    let (one, two, three) = (texts(10, 1), texts(4000, 2), texts(7000, 3));
    assert_eq!((one.len(), two.len(), three.len()), (1, 2, 3));
    let size = |pairs: &[&String]| {
        let field = pairs.iter().map(|pair| pair.as_str()).collect::<Vec<_>>().join("; ");
        match seal().open(&[field.as_bytes()], NOW).0 {
            Opened::Open { sealed, .. } => sealed.record.get("noise").unwrap().len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(size(&[&one[0], &two[0], &two[1]]), 10);
    assert_eq!(size(&[&three[0], &two[0], &three[1], &two[1], &three[2]]), 7000);
    assert_eq!(size(&[&two[0], &three[0], &two[1], &three[1], &three[2]]), 4000);
    let mut damaged = two[0].clone();
    damaged.replace_range(20..24, "AAAA");
    assert_eq!(size(&[&damaged, &three[0], &two[1], &three[1], &three[2]]), 7000);
    let damaged = one[0].replace("=1", "=1A");
    assert_eq!(size(&[&damaged, &two[0], &three[0], &two[1], &three[1], &three[2]]), 4000);
}

#[test]
fn a_cookie_longer_than_any_of_ours_is_not_even_decoded() {
    for length in [4096, 4097, 100_000] {
        let field = format!("__Host-s=1{}", "A".repeat(length));
        assert!(is_refused(&seal(), field.as_bytes()), "{length}");
    }
    for value in ["", "0", "9", "1", "x", "1\0", "1\u{e9}"] {
        assert!(is_refused(&seal(), format!("__Host-s={value}").as_bytes()), "{value:?}");
    }
}

#[test]
fn other_cookies_are_not_ours() {
    let (opened, parts) =
        seal().open(&[b"__Host-s.1=1; __Host-s.9=1; __Host-s.22=1; xs=1; s"], NOW);
    assert!(matches!(opened, Opened::Absent));
    assert!(parts.is_empty());
}

proptest! {
    #[test]
    fn no_fields_make_it_panic(
        fields: Vec<Vec<u8>>, texts in prop::collection::vec("(__Host-s(\\.[1-9])?=[1-9]?[A-Za-z_-]{0,40}; ?){0,9}", 0..4)
    ) {
        let fields: Vec<&[u8]> =
            fields.iter().map(Vec::as_slice).chain(texts.iter().map(String::as_bytes)).collect();
        let (opened, parts) = seal().open(&fields, NOW);
        let is_absent = matches!(opened, Opened::Absent);
        prop_assert!(is_absent || matches!(opened, Opened::Refused));
        prop_assert_eq!(is_absent, !parts.has(1));
        let all = fields.iter().flat_map(|field| pairs(field));
        prop_assert_eq!(is_absent, !all.into_iter().any(|pair| pair.name == b"__Host-s"));
    }

    #[test]
    fn no_content_makes_it_panic(tail: Vec<u8>, whole: bool) {
        let mut content = if whole { head() } else { Vec::new() };
        content.extend_from_slice(&tail);
        if let Opened::Open { sealed, .. } = seal().open(&[holding(&content).as_bytes()], NOW).0 {
            let values = sealed.record.iter().map(|(_, value)| value.len()).sum::<usize>();
            prop_assert!(values <= Seal::VALUES_BYTES_MAX);
            let again = seal().seal(&sealed, Parts::default(), NONCE, NOW).unwrap();
            prop_assert_eq!(opened(&seal(), &Browser::with(&again).field(), NOW), *sealed);
        }
    }
}
