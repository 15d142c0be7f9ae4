//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;
use std::rc::Rc;

use serde::Serialize;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the command line.
    Flag,
    /// In an environment variable.
    Environment(&'static str),
    /// In a file.
    File {
        /// Its name as it was given.
        path: Rc<str>,
        /// Counted from 1.
        line: usize,
    },
}

/// One error of a configuration: one line of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The file, if the fault stands in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// The line in that file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// The flag, variable or key that is at fault, as one would type it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// What is wrong.
    pub(crate) fault: String,
    /// What to write instead.
    pub(crate) remedy: String,
}

impl Problem {
    /// A fault of the value of `key` that stands at `place`.
    pub(crate) fn at(place: &Place, key: &str, fault: String, remedy: String) -> Self {
        let (file, line, key) = match place {
            Place::Flag => (None, None, format!("--{key}")),
            Place::Environment(variable) => (None, None, (*variable).to_owned()),
            Place::File { path, line } => (Some(path.to_string()), Some(*line), key.to_owned()),
        };
        Self { file, line, key: Some(key), fault, remedy }
    }

    /// A fault of the whole, such as something missing.
    pub(crate) fn of_all(fault: &str, remedy: &str) -> Self {
        Self {
            file: None,
            line: None,
            key: None,
            fault: fault.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        write!(f, "{}; {}", self.fault, self.remedy)
    }
}

/// All errors of a configuration, in the order in which one would mend them. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` if there are none. Those of a file come first, by line.
    pub(crate) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by_key(|problem| (problem.file.is_none(), problem.line));
        Err(Self(problems))
    }

    /// One problem alone.
    pub(crate) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// One by one.
    pub(crate) fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "error: {only}"),
            several => {
                write!(f, "{} errors; nothing was started", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  error: {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}
