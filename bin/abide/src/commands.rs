//! The commands: each turns its arguments into values and hands them over.

mod app;
mod balance;
mod check;
mod completions;
mod demo;
mod explain;
mod keygen;
mod node;
mod sessions;

pub(crate) use app::app;
pub(crate) use balance::balance;
pub(crate) use check::check;
pub(crate) use completions::completions;
pub(crate) use demo::demo;
pub(crate) use explain::explain;
pub(crate) use keygen::{keygen, new_key};
pub(crate) use node::node;
pub(crate) use sessions::sessions;

use abide_balancer::config::Admin;

use crate::configuration::admin::admin;
use crate::configuration::surroundings::Surroundings;
use crate::configuration::{Fault, Place, Problem, Reader, Written};
use crate::keep::{self, Choice, Ends};

/// Reads the flags of a command that has no file, by the same means as the balancer's.
struct FlagReader(Reader);

impl FlagReader {
    fn new(flags: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let written = |(key, text)| Written { key, text, place: Place::Flag };
        Self(Reader::new([flags.into_iter().map(written).collect()]))
    }

    /// The same for flags that may be missing, each with the variable that stands in for it, if one
    /// does: the flag wins.
    fn with_environment(
        flags: impl IntoIterator<Item = (&'static str, Option<String>)>,
        variables: &[(&'static str, &'static str)],
    ) -> Self {
        let given = flags
            .into_iter()
            .filter_map(|(key, text)| Some(Written { key, text: text?, place: Place::Flag }));
        Self(Reader::new([given.collect(), keep::environment(variables)]))
    }

    /// The flag's value; `None` if it is wrong, or was not given.
    fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.0.optional(key, parse)
    }

    fn has(&self, key: &str) -> bool {
        self.0.has(key)
    }

    /// Whether the flag's value is just this.
    fn is(&mut self, key: &'static str, text: &str) -> bool {
        self.0.optional(key, |given| Ok(given == text)).unwrap_or(false)
    }

    /// The listener for operators of a command that serves no visitors.
    fn admin(&mut self, surroundings: &Surroundings<'_>) -> Option<Admin> {
        admin(&mut self.0, surroundings, None)
    }

    /// Where sessions are kept, and what that needs.
    fn choice(&mut self, surroundings: &Surroundings<'_>) -> Option<Choice> {
        Choice::read(&mut self.0, surroundings)
    }

    /// The two stores of a move, and what they need.
    fn ends(&mut self, surroundings: &Surroundings<'_>) -> Option<Ends> {
        Ends::read(&mut self.0, surroundings)
    }

    fn into_problems(self) -> Vec<Problem> {
        self.0.into_problems()
    }
}
