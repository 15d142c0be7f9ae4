//! Fields of a record, and the map of JSON values that an app of tower-sessions sees.
//!
//! Each value is a field of its own, as MessagePack with names: what abide's own `Session` writes
//! and reads. A field that is no JSON (bytes, a map whose keys are numbers) was written by that one
//! and is left alone: it is not shown, and not touched.

use std::collections::{BTreeMap, HashMap};

use abide_session::{FieldChange, FieldName, Limit, Record, StoreError};
use bytes::Bytes;
use serde_json::Value;

/// How deep a value may be nested: as deep as `serde_json` reads one from a text. What is nested
/// deeper could be written but not read.
pub(crate) const MAX_NESTING: usize = 128;

/// What a session holds, as tower-sessions has it.
pub(crate) type Data = HashMap<String, Value>;

/// What a record holds.
pub(crate) fn decoded(record: &Record) -> Data {
    let shown = record.iter().filter_map(|(name, value)| {
        let value = rmp_serde::from_slice(value).ok()?;
        Some((name.as_str().to_owned(), value))
    });
    shown.collect()
}

/// What has to be written to make `after` of `before`: nothing of what is the same in both.
///
/// # Errors
/// [`StoreError::TooLarge`] if a name or a value is none that a session takes.
pub(crate) fn delta(
    before: &Data,
    after: &Data,
) -> Result<BTreeMap<FieldName, FieldChange>, StoreError> {
    let mut fields = BTreeMap::new();
    for (name, value) in after {
        if before.get(name) != Some(value) {
            let name = FieldName::new(name.clone())?;
            fields.insert(name, FieldChange::blind(Some(encoded(value)?)));
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        fields.insert(FieldName::new(name.clone())?, FieldChange::blind(None));
    }
    Ok(fields)
}

fn encoded(value: &Value) -> Result<Bytes, StoreError> {
    if !is_nested_within(MAX_NESTING, value) {
        return Err(StoreError::TooLarge(Limit::Value));
    }
    let encoded =
        rmp_serde::to_vec_named(value).map_err(|_unlikely| StoreError::TooLarge(Limit::Value))?;
    Ok(encoded.into())
}

fn is_nested_within(levels: usize, value: &Value) -> bool {
    let Some(within) = levels.checked_sub(1) else { return false };
    match value {
        Value::Array(values) => values.iter().all(|value| is_nested_within(within, value)),
        Value::Object(values) => values.values().all(|value| is_nested_within(within, value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(value: Value) -> Data {
        serde_json::from_value(value).unwrap()
    }

    fn changed(before: Value, after: Value) -> Vec<String> {
        let fields = delta(&data(before), &data(after)).unwrap();
        let sign = |change: &FieldChange| {
            if *change == FieldChange::blind(None) { '-' } else { '+' }
        };
        fields.iter().map(|(name, change)| format!("{}{}", sign(change), name.as_str())).collect()
    }

    #[test]
    fn only_what_differs_is_written() {
        let none: [&str; 0] = [];
        assert_eq!(changed(json!({}), json!({})), none);
        assert_eq!(changed(json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 2}]})), none);
        assert_eq!(changed(json!({}), json!({"a": null})), ["+a"]);
        assert_eq!(
            changed(json!({"a": 1, "b": 1, "c": 1}), json!({"b": 1, "c": 2, "d": 3})),
            ["-a", "+c", "+d"]
        );
    }

    #[test]
    fn a_name_or_a_value_over_the_limit_is_an_error() {
        for name in [String::new(), "n".repeat(129)] {
            let after = Data::from([(name, json!(1))]);
            let error = delta(&Data::new(), &after).unwrap_err();
            assert!(matches!(error, StoreError::TooLarge(Limit::FieldName)), "{error}");
        }
        let nested = |levels| {
            let value = (1..levels).fold(json!(1), |inner, _| json!([inner]));
            delta(&Data::new(), &Data::from([("deep".to_owned(), value)]))
        };
        assert!(nested(MAX_NESTING).is_ok());
        let error = nested(MAX_NESTING + 1).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge(Limit::Value)), "{error}");
    }

    #[test]
    fn what_is_no_json_is_not_shown() {
        let values: [(&str, &[u8]); 4] = [
            ("number", &[42]),
            ("bytes", &[0xc4, 1, 0]),
            ("numbered", &[0x81, 1, 2]),
            ("broken", &[0x92, 1]),
        ];
        let mut record = Record::default();
        for (name, value) in values {
            let field = abide_session::Stamped::new(
                abide_session::Stamp::new(1, 0),
                Some(Bytes::from_static(value)),
            );
            record.fields.insert(FieldName::new(name).unwrap(), field);
        }
        assert_eq!(decoded(&record), data(json!({"number": 42})));
    }
}
