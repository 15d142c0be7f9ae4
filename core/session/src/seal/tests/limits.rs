//! Several cookies, and what does not fit them.

use super::*;

/// The texts for a session with so many bytes that do not compress.
fn texts(bytes: usize) -> Result<Vec<String>, StoreError> {
    seal().seal(&session(&[("noise", &noise(bytes))]), Parts::default(), NONCE, NOW)
}

/// The most bytes that fit so many cookies.
fn most(cookies: usize) -> usize {
    let fits = |bytes: usize| texts(bytes).is_ok_and(|texts| texts.len() <= cookies);
    let (mut fitting, mut beyond) = (0_usize, 40_000);
    while fitting.abs_diff(beyond) > 1 {
        let middle = usize::midpoint(fitting, beyond);
        *(if fits(middle) { &mut fitting } else { &mut beyond }) = middle;
    }
    fitting
}

#[test]
fn a_value_is_split_exactly_where_it_no_longer_fits() {
    for cookies in 1..=Seal::PARTS_MAX {
        let at_limit = texts(most(cookies)).unwrap();
        assert_eq!(at_limit.len(), cookies);
        for (number, text) in (1..).zip(&at_limit) {
            // `Max-Age` may have three digits more, and groups of four characters stay whole.
            let length = text.len();
            assert!(
                (SetCookie::BYTES_MAX - 7..=SetCookie::BYTES_MAX).contains(&length),
                "{length}"
            );
            let first = format!("__Host-s={cookies}");
            let name = if number == 1 { first } else { format!("__Host-s.{number}=") };
            assert!(text.starts_with(&name), "{name}");
        }
        let field = Browser::with(&at_limit).field();
        assert_eq!(opened(&seal(), &field, NOW).record.get("noise").unwrap().len(), most(cookies));

        match texts(most(cookies) + 1) {
            Ok(texts) => assert_eq!(texts.len(), cookies + 1),
            Err(error) => {
                assert_eq!(cookies, Seal::PARTS_MAX);
                assert!(matches!(error, StoreError::TooLarge(Limit::Cookie)), "{error}");
            }
        }
    }
}

#[test]
fn shrinking_removes_what_is_left_over() {
    let mut browser = Browser::with(&texts(most(4)).unwrap());
    let (_, parts) = seal().open(&[browser.field().as_bytes()], NOW);
    assert_eq!(parts, Parts::of(0b1111));
    let shorter = session(&[("noise", &noise(most(2)))]);
    browser.take(&seal().seal(&shorter, parts, NONCE, NOW).unwrap());
    assert_eq!(browser.0.keys().collect::<Vec<_>>(), ["__Host-s", "__Host-s.2"]);
    assert_eq!(opened(&seal(), &browser.field(), NOW), kept(&shorter, NOW));
    browser.take(&seal().removals(Parts::of(0b11)));
    assert!(browser.0.is_empty());
}

#[test]
fn what_is_left_over_of_a_longer_value_does_no_harm() {
    let mut browser = Browser::with(&texts(most(3)).unwrap());
    let shorter = session(&[("noise", &noise(most(2)))]);
    // The request whose response this is did not know of the third.
    browser.take(&seal().seal(&shorter, Parts::default(), NONCE, NOW).unwrap());
    let (opened, parts) = seal().open(&[browser.field().as_bytes()], NOW);
    assert!(matches!(opened, Opened::Open { .. }));
    assert_eq!(parts, Parts::of(0b111));
    // Left-overs alone are no session.
    browser.0.remove("__Host-s");
    let (opened, parts) = seal().open(&[browser.field().as_bytes()], NOW);
    assert!(matches!(opened, Opened::Absent));
    assert_eq!(parts, Parts::of(0b110));
    assert_eq!(seal().parts(&[browser.field().as_bytes()]), parts);
    assert!(!parts.is_empty() && Parts::default().is_empty());
}

#[test]
fn parts_of_different_values_do_not_open_together() {
    let browser = Browser::with(&texts(most(3)).unwrap());
    let refused = |change: &dyn Fn(&mut BTreeMap<String, String>)| {
        let mut changed = Browser(browser.0.clone());
        change(&mut changed.0);
        is_refused(&seal(), changed.field().as_bytes())
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|cookies| {
        let second = cookies.remove("__Host-s.2").unwrap();
        let third = cookies.insert("__Host-s.3".into(), second).unwrap();
        cookies.insert("__Host-s.2".into(), third);
    }));
    for missing in ["__Host-s.2", "__Host-s.3"] {
        assert!(refused(&|cookies| _ = cookies.remove(missing)), "{missing}");
        assert!(refused(&|cookies| _ = cookies.insert(missing.into(), String::new())), "{missing}");
    }
    // A concurrent response of the same session replaced one part only.
    let other = seal()
        .seal(&session(&[("noise", &noise(most(3)))]), Parts::default(), [8; 12], NOW)
        .unwrap();
    let other = Browser::with(&other);
    for (name, value) in &other.0 {
        assert!(refused(&|cookies| _ = cookies.insert(name.clone(), value.clone())), "{name}");
    }
}

#[test]
fn values_are_bounded_before_compression() {
    let zeros = |bytes| session(&[("a", &vec![0; bytes]), ("b", &[1; 100])]);
    let give = |bytes| seal().seal(&zeros(bytes), Parts::default(), NONCE, NOW);
    let most = Seal::VALUES_BYTES_MAX - 100;
    let texts = give(most).unwrap();
    assert_eq!(texts.len(), 1);
    let found = opened(&seal(), &Browser::with(&texts).field(), NOW);
    assert_eq!(found.record.get("a").unwrap().len(), most);
    assert!(matches!(give(most + 1), Err(StoreError::TooLarge(Limit::Cookie))));
}

#[test]
fn the_number_of_fields_is_bounded() {
    let mut sealed = session(&[]);
    for number in 0..MAX_FIELDS {
        let name = FieldName::new(format!("field {number}")).unwrap();
        sealed.record.fields.insert(name, Stamped::new(Stamp::new(5, 0), Some(Bytes::new())));
    }
    let texts = seal().seal(&sealed, Parts::default(), NONCE, NOW).unwrap();
    assert_eq!(opened(&seal(), &Browser::with(&texts).field(), NOW), kept(&sealed, NOW));
    let more = FieldName::new("more").unwrap();
    sealed.record.fields.insert(more, Stamped::new(Stamp::new(5, 0), Some(Bytes::new())));
    let refused = seal().seal(&sealed, Parts::default(), NONCE, NOW);
    assert!(matches!(refused, Err(StoreError::TooLarge(Limit::Fields))));
}

#[test]
fn long_attributes_leave_less_room_and_a_long_name_is_refused() {
    let mut attributes = Attributes::for_scheme(true);
    attributes.path = format!("/{}", "p".repeat(1000));
    let name = CookieName::new(&"n".repeat(254)).unwrap();
    let seal = Seal::new(ring(&[1]), name, &attributes).unwrap();
    let texts = seal.seal(&session(&[("a", &noise(9000))]), Parts::default(), NONCE, NOW).unwrap();
    assert_eq!(texts.len(), 5);
    assert!(texts.iter().all(|text| text.len() <= SetCookie::BYTES_MAX));
    let name = CookieName::new(&"n".repeat(255)).unwrap();
    assert!(matches!(Seal::new(ring(&[1]), name, &attributes), Err(CookieError::Name)));
}
