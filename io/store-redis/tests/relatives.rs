//! What the server adds up is what the session layer would.
//!
//! Any field value and any change of it, made by the script on a real server, compared with
//! [`Changes::apply`].

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use abide_servers::Redis;
use abide_session::{Changes, Commit, FieldChange, Record, Stamp, Store, StoreError, Write};
use abide_store_redis::RedisStore;
use bytes::Bytes;
use proptest::prelude::*;
use rmp::encode;
use tokio::runtime::Runtime;

use stage::{birth, load, name, new_id, now};

static SERVER: LazyLock<Redis> = LazyLock::new(Redis::start);
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static STORE: LazyLock<RedisStore> =
    LazyLock::new(|| RUNTIME.block_on(RedisStore::connect(&SERVER.url())).unwrap());

/// Numbers near those at which something changes: the length of the form, the half, the end.
fn edges() -> impl Strategy<Value = i64> {
    let near = (0..64_u32, -3..=3_i64, any::<bool>()).prop_map(|(bits, more, negative)| {
        let power = 1_i64.checked_shl(bits).unwrap_or(i64::MIN);
        let number = if negative { power.wrapping_neg() } else { power };
        number.saturating_add(more)
    });
    prop_oneof![near, any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0)]
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes.into()
}

/// An integer in any of the forms that hold it, not only the shortest.
fn integers() -> impl Strategy<Value = Bytes> {
    (edges(), 0..3_u8).prop_map(|(number, form)| {
        written(|bytes| match form {
            0 => {
                encode::write_sint(bytes, number).unwrap();
            }
            1 => encode::write_i64(bytes, number).unwrap(),
            _ => encode::write_u64(bytes, number.unsigned_abs()).unwrap(),
        })
    })
}

/// One MessagePack value of any kind.
fn elements() -> impl Strategy<Value = Bytes> {
    let leaf = prop_oneof![
        integers(),
        "[a-c]{0,40}".prop_map(|text| written(|bytes| encode::write_str(bytes, &text).unwrap())),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|content| written(|bytes| encode::write_bin(bytes, &content).unwrap())),
        any::<f64>().prop_map(|number| written(|bytes| encode::write_f64(bytes, number).unwrap())),
        any::<bool>().prop_map(|is| written(|bytes| encode::write_bool(bytes, is).unwrap())),
        (any::<i8>(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, content)| {
            written(|bytes| {
                let length = u32::try_from(content.len()).unwrap();
                encode::write_ext_meta(bytes, length, kind).unwrap();
                bytes.extend(content);
            })
        }),
        Just(Bytes::from_static(&[0xc0])),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(array),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(|pairs| {
                written(|bytes| {
                    encode::write_map_len(bytes, u32::try_from(pairs.len()).unwrap()).unwrap();
                    for (key, value) in pairs {
                        bytes.extend(key);
                        bytes.extend(value);
                    }
                })
            }),
        ]
    })
}

fn array(elements: Vec<Bytes>) -> Bytes {
    written(|bytes| {
        encode::write_array_len(bytes, u32::try_from(elements.len()).unwrap()).unwrap();
        for element in elements {
            bytes.extend(element);
        }
    })
}

fn values() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        integers(),
        proptest::collection::vec(elements(), 0..40).prop_map(array),
        elements(),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Bytes::from),
        // An array that is cut short, or has something behind it.
        (proptest::collection::vec(elements(), 1..4).prop_map(array), any::<bool>()).prop_map(
            |(array, longer)| {
                if longer {
                    [&array[..], &[0]].concat().into()
                } else {
                    array.slice(..array.len() - 1)
                }
            }
        ),
    ]
}

fn writes() -> impl Strategy<Value = Write> {
    prop_oneof![
        edges().prop_map(Write::Add),
        proptest::collection::btree_map(elements(), any::<bool>(), 0..20).prop_map(Write::Members),
    ]
}

fn of(field: &str, write: Write) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::relative(write));
    changes
}

async fn compare(before: Option<Bytes>, write: Write) -> Result<(), TestCaseError> {
    let time = now();
    let id = new_id();
    let first = before.map(|value| of("f", Write::Put(value))).unwrap_or_default();
    let first = birth(first, time);
    STORE.create(id, first.clone(), time).await.unwrap();

    let mut expected = Record::default();
    first.apply(&mut expected, Stamp::new(1, 0)).unwrap();
    let changes = of("f", write);
    match changes.apply(&mut expected, Stamp::new(2, 0)) {
        Ok(()) => {
            let outcome = STORE.commit(id, changes, time).await.unwrap();
            prop_assert!(matches!(outcome, Commit::Committed(_)), "{:?}", outcome);
        }
        Err(StoreError::Incompatible(field)) => {
            expected = Record::default();
            first.apply(&mut expected, Stamp::new(1, 0)).unwrap();
            let outcome = STORE.commit(id, changes, time).await;
            let is_same =
                matches!(&outcome, Err(StoreError::Incompatible(named)) if *named == field);
            prop_assert!(is_same, "{:?}", outcome);
        }
        Err(other) => panic!("{other:?}"),
    }
    let held = load(&STORE, id, time).await;
    prop_assert_eq!(held.get("f"), expected.get("f"));
    prop_assert_eq!(held.size(), {
        expected.forget_removed();
        expected.size()
    });
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn what_the_server_adds_up_is_what_the_session_layer_would(
        before in proptest::option::weighted(0.9, values()), write in writes()
    ) {
        LazyLock::force(&STORE);
        RUNTIME.block_on(compare(before, write))?;
    }

    #[test]
    fn integers_are_added_to_the_last_bit(before in integers(), more in edges()) {
        LazyLock::force(&STORE);
        RUNTIME.block_on(compare(Some(before), Write::Add(more)))?;
    }
}

#[test]
fn a_set_of_many_members_keeps_the_order_of_bytes() {
    let members = (0..70_000_u32).map(|number| {
        let member = written(|bytes| {
            encode::write_uint(bytes, u64::from(number * 7919 % 70_000)).unwrap();
        });
        (member, true)
    });
    let members: BTreeMap<Bytes, bool> = members.collect();
    LazyLock::force(&STORE);
    RUNTIME.block_on(compare(None, Write::Members(members))).unwrap();
}
