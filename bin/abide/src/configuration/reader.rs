//! Written values as typed ones, one key at a time.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Place, Problem, Written};

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) fault: String,
    /// What to write instead.
    pub(crate) remedy: String,
}

impl Fault {
    /// A value that is not what its key needs.
    pub(crate) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: fault.into(), remedy: remedy.into() }
    }
}

/// The values by key, and what was found wrong with them so far.
///
/// Reading a value never fails: a wrong one leaves its problem here and the default takes its place,
/// so that the values after it are looked at too. Whoever uses the result asks for the problems first.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    values: BTreeMap<&'static str, Vec<Written>>,
    /// Keys that were written in a form that could not even be read.
    spoiled: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Takes the values of several sources; the first source that has a key decides it.
    pub(crate) fn new(sources: impl IntoIterator<Item = Vec<Written>>) -> Self {
        let mut values: BTreeMap<&'static str, Vec<Written>> = BTreeMap::new();
        for source in sources {
            let mut of_source: BTreeMap<&'static str, Vec<Written>> = BTreeMap::new();
            for value in source {
                of_source.entry(value.key).or_default().push(value);
            }
            for (key, list) in of_source {
                values.entry(key).or_insert(list);
            }
        }
        Self { values, spoiled: Vec::new(), problems: Vec::new() }
    }

    /// Takes what is wrong with the sources themselves.
    pub(crate) fn with_faults(
        mut self,
        spoiled: Vec<&'static str>,
        problems: Vec<Problem>,
    ) -> Self {
        self.spoiled = spoiled;
        self.problems = problems;
        self
    }

    /// The value of `key`, or `default` if it is not there or wrong. Of several the last counts.
    pub(crate) fn one<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// The value of `key`, if it is there and right.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        let written = self.values.get(key).and_then(|list| list.last())?.clone();
        parse(&written.text).map_err(|fault| self.refuse(&written, fault)).ok()
    }

    /// The whole number of `key` within `range`, or `default`.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        self.one(key, default, |text| {
            let remedy = || format!("write a whole number from {least} to {most}");
            match text.parse() {
                Ok(number) if range.contains(&number) => Ok(number),
                Ok(_) => Err(Fault::new(format!("{text} is out of range"), remedy())),
                Err(_) => Err(Fault::new(format!("`{text}` is not a whole number"), remedy())),
            }
        })
    }

    /// All right values of a list, each with what was written.
    pub(crate) fn many<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<(T, Written)> {
        let list = self.values.get(key).cloned().unwrap_or_default();
        list.into_iter()
            .filter_map(|written| match parse(&written.text) {
                Ok(value) => Some((value, written)),
                Err(fault) => {
                    self.refuse(&written, fault);
                    None
                }
            })
            .collect()
    }

    /// Whether anything was written for `key`, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key) || self.spoiled.contains(&key)
    }

    /// Where the last value of `key` stands.
    pub(crate) fn place(&self, key: &str) -> Option<Place> {
        Some(self.values.get(key)?.last()?.place.clone())
    }

    /// Notes what is wrong with a value.
    pub(crate) fn refuse(&mut self, written: &Written, fault: Fault) {
        let Fault { fault, remedy } = fault;
        self.problems.push(Problem::at(&written.place, written.key, fault, remedy));
    }

    /// Notes a problem that belongs to no single value.
    pub(crate) fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// What was found wrong.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
