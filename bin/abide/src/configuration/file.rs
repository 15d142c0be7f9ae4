//! A TOML file as written values, with the line of each.
//!
//! The file is flat: every key is a flag without its dashes. Tables are not used, so a key means the
//! same wherever it stands. A syntax error does not hide the errors of the other lines: the parser
//! recovers at the next line and goes on.

use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, Shape, closest};
use super::{Place, Problem, Written};

/// Longest configuration file, in bytes. A thousand servers need about 50 KB; what is longer is
/// not a configuration but a wrong path.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The values that can be read.
    pub(crate) values: Vec<Written>,
    /// Known keys whose values can not.
    pub(crate) spoiled: Vec<&'static str>,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
}

/// Every value of the TOML in `text`; `path` is for the messages only.
pub(crate) fn read(path: &str, text: &str) -> Contents {
    let path: Rc<str> = path.into();
    let place = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        Place::File { path: path.clone(), line: 1 + before.matches('\n').count() }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors
        .iter()
        .map(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            not_toml(&place(offset), &path, error.message())
        })
        .collect();
    let mut contents = Contents { problems, ..Contents::default() };
    for (name, value) in table.get_ref() {
        let at = place(name.span().start);
        let Some(key) = KEYS.iter().find(|key| key.name == name.get_ref().as_ref()) else {
            contents.problems.push(unknown(&at, name.get_ref()));
            continue;
        };
        let elements: Vec<(&DeValue<'_>, usize)> = match (value.get_ref(), key.shape) {
            (DeValue::Array(elements), Shape::Many) => {
                elements.iter().map(|element| (element.get_ref(), element.span().start)).collect()
            }
            (value, _) => vec![(value, name.span().start)],
        };
        for (element, offset) in elements {
            let at = place(offset);
            match text_of(key, element) {
                Some(text) => contents.values.push(Written { key: key.name, text, place: at }),
                None => {
                    contents.spoiled.push(key.name);
                    contents.problems.push(wrong_shape(&at, key, element));
                }
            }
        }
    }
    contents
}

fn text_of(key: &Key, value: &DeValue<'_>) -> Option<String> {
    match (value, key.shape) {
        (DeValue::Boolean(on), Shape::Switch) => Some(on.to_string()),
        (DeValue::Integer(number), Shape::Number) => Some(number.to_string()),
        (DeValue::String(text), Shape::Text | Shape::Many) => Some(text.to_string()),
        _ => None,
    }
}

fn wrong_shape(place: &Place, key: &Key, value: &DeValue<'_>) -> Problem {
    let fault = format!("this is {}, not {}", noun(value), key.shape.noun());
    Problem::at(place, key.name, fault, format!("write `{} = {}`", key.name, key.example))
}

fn unknown(place: &Place, name: &str) -> Problem {
    let remedy = match closest(name) {
        Some(key) => format!("did you mean `{key}`?"),
        None => "see `abide balance --help` for the keys, which are its flags".to_owned(),
    };
    Problem::at(place, name, "this key is not known".to_owned(), remedy)
}

fn not_toml(place: &Place, path: &str, message: &str) -> Problem {
    let line = if let Place::File { line, .. } = place { Some(*line) } else { None };
    Problem {
        file: Some(path.to_owned()),
        line,
        key: None,
        fault: format!("this is not TOML: {}", message.replace('\n', ", ")),
        remedy: "write `key = value`, with texts in double quotes".to_owned(),
    }
}

fn noun(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
