use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn read(field: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    pairs(field.as_bytes()).map(|pair| (text(pair.name), text(pair.value))).collect()
}

#[test]
fn fields_are_read_as_browsers_and_others_write_them() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("a=1", &[("a", "1")]),
        ("a=1; b=2", &[("a", "1"), ("b", "2")]),
        ("a=1;b=2", &[("a", "1"), ("b", "2")]),
        (" a = 1 ;\tb\t=\t2\t", &[("a", "1"), ("b", "2")]),
        ("a=1; a=2", &[("a", "1"), ("a", "2")]),
        ("a=b=c==", &[("a", "b=c==")]),
        ("a=", &[("a", "")]),
        ("=1; naked; ;; a=1;", &[("a", "1")]),
        ("a=\"1\"; b=\"x; c=y\"", &[("a", "\"1\""), ("b", "\"x"), ("c", "y\"")]),
        ("$Version=1; a=%20", &[("$Version", "1"), ("a", "%20")]),
        ("a=x y", &[("a", "x y")]),
    ];
    for (field, expected) in table {
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        assert_eq!(read(field), expected, "{field:?}");
    }
}

#[test]
fn only_the_exact_name_is_taken_out() {
    let table = [
        ("a=1; b=2", Without::Unchanged),
        ("xabide=1; abide2=2; Abide=3; abide", Without::Unchanged),
        ("x=abide=1", Without::Unchanged),
        ("abide=1", Without::Empty),
        ("abide=1; abide=2;", Without::Empty),
        (" abide = 1 ;; ", Without::Empty),
        ("abide=1; b=2", Without::Changed(b"b=2".to_vec())),
        ("a=1; abide=1", Without::Changed(b"a=1".to_vec())),
        ("a=1; abide=1; b=2", Without::Changed(b"a=1; b=2".to_vec())),
        ("a=1;abide=;b=2", Without::Changed(b"a=1;b=2".to_vec())),
        ("abide=1; abide2=2; abide=3; =x; naked", {
            Without::Changed(b"abide2=2; =x; naked".to_vec())
        }),
        ("a=\"1 ,\\\" ;  b= 2;abide=x", Without::Changed(b"a=\"1 ,\\\" ;  b= 2".to_vec())),
    ];
    for (field, expected) in table {
        assert!(without(field.as_bytes(), b"abide") == expected, "{field:?}");
    }
}

#[test]
fn nothing_is_taken_out_for_an_empty_name() {
    assert_eq!(without(b"=1; a=2", b""), Without::Unchanged);
}

#[test]
fn debug_text_hides_values() {
    use alloc::format;
    let pair = pairs(b"sid=secret").next().unwrap();
    assert!(!format!("{pair:?}{:?}", pairs(b"sid=secret")).contains("secret"));
    assert!(!format!("{:?}", without(b"a=secret; b=1", b"b")).contains("secret"));
}

proptest! {
    #[test]
    fn any_bytes_are_read(field in prop::collection::vec(any::<u8>(), 0..200)) {
        for pair in pairs(&field) {
            prop_assert!(!pair.name.is_empty());
            prop_assert!(!pair.name.contains(&b'=') && !pair.name.contains(&b';'));
            prop_assert!(!pair.value.contains(&b';'));
        }
    }

    #[test]
    fn the_values_of_a_name_are_those_of_its_pairs(
        field in "[ab=; \t\"]{0,40}",
        name in "[ab= \t;]{0,2}",
    ) {
        let of_pairs = pairs(field.as_bytes())
            .filter(|pair| pair.name == name.as_bytes())
            .map(|pair| pair.value);
        prop_assert!(values(field.as_bytes(), name.as_bytes()).eq(of_pairs));
    }

    #[test]
    fn what_is_left_has_all_other_pairs_and_not_this_one(
        field in "[ab=; \t\"]{0,40}",
        name in "[ab]{1,2}",
    ) {
        let others = |field: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
            pairs(field)
                .filter(|pair| pair.name != name.as_bytes())
                .map(|pair| (pair.name.to_vec(), pair.value.to_vec()))
                .collect()
        };
        let left = match without(field.as_bytes(), name.as_bytes()) {
            Without::Unchanged => field.clone().into_bytes(),
            Without::Empty => Vec::new(),
            Without::Changed(left) => left,
        };
        prop_assert_eq!(values(&left, name.as_bytes()).count(), 0);
        prop_assert_eq!(others(&left), others(field.as_bytes()));
    }
}
