//! The commands: each turns its arguments into values and hands them over.

mod app;
mod balance;
mod check;
mod completions;
mod demo;
mod explain;
mod keygen;

pub(crate) use app::app;
pub(crate) use balance::balance;
pub(crate) use check::check;
pub(crate) use completions::completions;
pub(crate) use demo::demo;
pub(crate) use explain::explain;
pub(crate) use keygen::{keygen, new_key};

use crate::configuration::{Fault, Place, Problem, Reader, Written};

/// Reads the flags of a command that has no file, by the same means as the balancer's.
struct FlagReader(Reader);

impl FlagReader {
    fn new(flags: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let written = |(key, text)| Written { key, text, place: Place::Flag };
        Self(Reader::new([flags.into_iter().map(written).collect()]))
    }

    /// The flag's value; `None` only if it is wrong.
    fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.0.optional(key, parse)
    }

    fn into_problems(self) -> Vec<Problem> {
        self.0.into_problems()
    }
}
