use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use super::*;

fn encoded<T: serde::Serialize>(value: T) -> Bytes {
    rmp_serde::to_vec_named(&value).unwrap().into()
}

fn members(members: &[(&str, bool)]) -> Write {
    Write::Members(members.iter().map(|(member, is_in)| (encoded(member), *is_in)).collect())
}

#[test]
fn a_counter_starts_at_zero_and_stays_in_range() {
    assert_eq!(Write::Add(3).apply(None), Ok(Some(encoded(3_i64))));
    assert_eq!(Write::Add(-5).apply(Some(&encoded(3_u8))), Ok(Some(encoded(-2_i64))));
    assert_eq!(Write::Add(1).apply(Some(&encoded(i64::MAX))), Ok(Some(encoded(i64::MAX))));
    assert_eq!(Write::Add(-1).apply(Some(&encoded(i64::MIN))), Ok(Some(encoded(i64::MIN))));
}

#[test]
fn what_is_no_integer_is_not_counted() {
    let two_in_one = Bytes::from_static(&[1, 1]);
    for value in [encoded("1"), encoded(1.0), encoded(u64::MAX), Bytes::new(), two_in_one] {
        assert_eq!(Write::Add(1).apply(Some(&value)), Err(Incompatible), "{value:?}");
    }
}

#[test]
fn a_set_holds_each_member_once_in_a_fixed_order() {
    let both = members(&[("b", true), ("a", true), ("c", false)]);
    assert_eq!(both.apply(None), Ok(Some(encoded(["a", "b"]))));
    assert_eq!(both.apply(Some(&encoded(["c", "b", "b"]))), Ok(Some(encoded(["a", "b"]))));
    let neither = members(&[("a", false)]);
    assert_eq!(neither.apply(Some(&encoded(["a"]))), Ok(Some(encoded([""; 0]))));
    assert_eq!(neither.apply(None), Ok(None));
}

#[test]
fn what_is_no_array_is_no_set() {
    let short = Bytes::from_static(&[0x92, 1]);
    let endless = Bytes::from_static(&[0xdd, 0xff, 0xff, 0xff, 0xff]);
    let long = Bytes::from_static(&[0x91, 1, 1]);
    let reserved = Bytes::from_static(&[0x91, 0xc1]);
    for value in [encoded("a"), encoded(1), Bytes::new(), short, endless, long, reserved] {
        let one_more = members(&[("a", true)]);
        assert_eq!(one_more.apply(Some(&value)), Err(Incompatible), "{value:?}");
    }
}

#[test]
fn a_deeply_nested_element_takes_no_stack() {
    let mut nested = vec![0x91; 1 << 20];
    nested.push(0);
    let value: Bytes = nested.into();
    let one_more = members(&[("a", true)]).apply(Some(&value)).unwrap().unwrap();
    assert_eq!(elements(&one_more).unwrap().len(), 2);
}

#[test]
fn writes_to_one_field_become_one() {
    let put = |value: u8| Write::Put(encoded(value));
    assert_eq!(Write::Add(1).then(Write::Add(2)), Ok(Write::Add(3)));
    assert_eq!(put(1).then(Write::Add(2)), Ok(Write::Put(encoded(3_i64))));
    assert_eq!(Write::Remove.then(Write::Add(2)), Ok(Write::Put(encoded(2_i64))));
    assert_eq!(Write::Add(1).then(Write::Remove), Ok(Write::Remove));
    assert_eq!(Write::Add(1).then(put(7)), Ok(put(7)));
    assert_eq!(Write::Add(1).then(members(&[("a", true)])), Err(Incompatible));
    let changed_mind = members(&[("a", true), ("b", true)]).then(members(&[("a", false)]));
    assert_eq!(changed_mind, Ok(members(&[("a", false), ("b", true)])));
}

proptest! {
    #[test]
    fn elements_of_any_kind_are_told_apart(
        texts: Vec<String>, numbers: Vec<i64>, pairs: BTreeMap<u8, Vec<f64>>
    ) {
        let value = encoded((&texts, &numbers, &pairs, true, None::<u8>));
        let elements = elements(&value).unwrap();
        prop_assert_eq!(elements.len(), 5);
        prop_assert_eq!(elements.first().copied(), Some(&*encoded(&texts)));
        prop_assert_eq!(elements.get(2).copied(), Some(&*encoded(&pairs)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let value = Bytes::from(bytes);
        let _ = Write::Add(1).apply(Some(&value));
        let _ = members(&[("a", true)]).apply(Some(&value));
    }

    #[test]
    fn the_order_of_additions_does_not_matter(numbers: Vec<i32>) {
        let sum = numbers.iter().fold(None, |value, number| {
            Write::Add(i64::from(*number)).apply(value.as_ref()).unwrap()
        });
        let expected = numbers.iter().copied().map(i64::from).sum::<i64>();
        prop_assert_eq!(sum.unwrap_or_else(|| encoded(0)), encoded(expected));
    }
}
