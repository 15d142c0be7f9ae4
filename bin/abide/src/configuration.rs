//! What was typed becomes what was meant.
//!
//! Two stages. Flags, the environment and a TOML file first become [`Written`] values: a key, its
//! text and the place where it stands. Then [`Reader`] turns them into typed values. Every step
//! collects its [`Problem`]s and goes on with the default, so that one run shows all of them, each
//! with its place and what to write instead.
//!
//! A key has the same name as a flag (`--listen`) and in the file (`listen = …`); a flag wins over
//! the file, and a list given by flags replaces the whole list of the file. Nothing here touches the
//! outside world but [`surroundings`] and the looking up of host names: the tests give text.

pub(crate) mod admin;
pub(crate) mod balance;
mod file;
pub(crate) mod keys;
mod problem;
mod reader;
pub(crate) mod ring;
pub(crate) mod surroundings;
pub(crate) mod value;

pub(crate) use problem::{Place, Problem, Problems};
pub(crate) use reader::{Fault, Reader};

/// One value as it was written, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The key, without the dashes of a flag.
    pub(crate) key: &'static str,
    /// The text; of a list in the file, one element.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) place: Place,
}
