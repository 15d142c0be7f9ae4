//! Who is measured with which store.

use std::path::{Path, PathBuf};

/// A way to keep sessions, as an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contestant {
    pub name: &'static str,
    program: Program,
    flags: &'static [&'static str],
    /// The stores that it is measured with.
    stores: &'static [&'static str],
}

/// The programs that `bench/stores/run` builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Abide,
    TowerSessions,
    Express,
}

/// abide, which the others are compared with.
pub const ABIDE: Contestant = Contestant {
    name: "abide",
    program: Program::Abide,
    flags: &[],
    stores: &crate::servers::STORES,
};

const PEERS: [Contestant; 3] = [
    Contestant {
        name: "tower-sessions",
        program: Program::TowerSessions,
        flags: &[],
        stores: &["redis", "valkey", "postgres", "mariadb", "sqlite"],
    },
    // By default SQLite copies pages to a journal before it changes them, which costs more than a log
    // of what was changed.
    Contestant {
        name: "tower-sessions WAL",
        program: Program::TowerSessions,
        flags: &["--wal"],
        stores: &["sqlite"],
    },
    Contestant {
        name: "connect-redis",
        program: Program::Express,
        flags: &[],
        stores: &["redis", "valkey"],
    },
];

/// What `--contestants` takes.
pub fn names() -> Vec<String> {
    all().map(|contestant| contestant.name.to_owned()).collect()
}

fn all() -> impl Iterator<Item = Contestant> {
    std::iter::once(ABIDE).chain(PEERS)
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    pub abide: PathBuf,
    pub tower_sessions: PathBuf,
    pub express: PathBuf,
}

impl Contestant {
    /// Those of these names that are measured with this store, abide first.
    pub fn with(store: &str, names: &[String]) -> Vec<Self> {
        let takes_part = |contestant: &Self| {
            contestant.stores.contains(&store) && names.iter().any(|name| name == contestant.name)
        };
        all().filter(takes_part).collect()
    }

    /// The command that starts it.
    pub fn command(&self, programs: &Programs, store: &str) -> Vec<String> {
        let shown = |path: &Path| path.display().to_string();
        let mut command = match self.program {
            Program::Abide => vec![shown(&programs.abide)],
            Program::TowerSessions => vec![shown(&programs.tower_sessions)],
            Program::Express => vec!["node".to_owned(), shown(&programs.express)],
        };
        command.push(store.to_owned());
        command.extend(self.flags.iter().map(|&flag| flag.to_owned()));
        command
    }

    /// The same app without sessions.
    pub fn bare(&self) -> Self {
        let name = match self.program {
            Program::Abide | Program::TowerSessions => "axum alone",
            Program::Express => "express alone",
        };
        let program = match self.program {
            Program::TowerSessions => Program::Abide,
            other => other,
        };
        Self { name, program, flags: &[], stores: &[] }
    }
}
