//! What is asked of a server: scripts, which it knows by their hashes, and plain commands.
//!
//! A script takes effect as a whole. Each is put together of pieces, so that a server compiles what
//! one call needs; what they and the rest of this crate agree on is filled in. All begin with a line that makes the server refuse them before they begin, if it
//! is a replica, and if it is out of memory unless they only free some.

mod names;

use std::sync::LazyLock;

use redis::Cmd;

use crate::keys::Key;

/// Numbers that the replies of scripts begin with.
pub(crate) mod reply {
    pub(crate) const GONE: i64 = 0;
    pub(crate) const DONE: i64 = 1;
    pub(crate) const CONFLICT: i64 = 2;
    pub(crate) const STUB: i64 = 3;
    pub(crate) const TOO_LARGE: i64 = 4;
    pub(crate) const INCOMPATIBLE: i64 = 5;
    pub(crate) const NEWER: i64 = 6;
    pub(crate) const CORRUPT: i64 = 7;
    pub(crate) const UNBOUND: i64 = 8;
}

/// A script and its hash, by which the server knows it.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn of(room: Room, pieces: &[&str]) -> Self {
        let head = match room {
            Room::Needed => "#!lua\n",
            Room::NotNeeded => "#!lua flags=allow-oom\n",
        };
        let text = format!("{head}{}", names::filled_in(&pieces.concat()));
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// Whether a script is refused where memory is short.
#[derive(Clone, Copy)]
enum Room {
    Needed,
    NotNeeded,
}

const SESSION: &str = include_str!("script/session.lua");
const LATER: &str = include_str!("script/later.lua");
const KEEP: &str = include_str!("script/keep.lua");
const MARK: &str = include_str!("script/mark.lua");
const RELATIVE: &str = include_str!("script/relative.lua");
const CHANGE: &str = include_str!("script/change.lua");
const COMMIT_BODY: &str = include_str!("script/commit.lua");
const RENAME_BODY: &str = include_str!("script/rename.lua");

pub(crate) static CREATE: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::Needed, &[include_str!("script/create.lua")]));
/// Commits what puts values.
pub(crate) static COMMIT: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::Needed, &[SESSION, LATER, KEEP, CHANGE, COMMIT_BODY]));
/// Commits what puts nothing.
pub(crate) static COMMIT_LESS: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::NotNeeded, &[SESSION, LATER, KEEP, CHANGE, COMMIT_BODY]));
/// Commits what counts.
pub(crate) static COMMIT_RELATIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::Needed, &[SESSION, LATER, KEEP, RELATIVE, CHANGE, COMMIT_BODY])
});
pub(crate) static RENAME: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::Needed, &[SESSION, LATER, KEEP, CHANGE, RENAME_BODY]));
/// Renames with changes that put nothing.
pub(crate) static RENAME_LESS: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::NotNeeded, &[SESSION, LATER, KEEP, CHANGE, RENAME_BODY]));
pub(crate) static RENAME_RELATIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::Needed, &[SESSION, LATER, KEEP, RELATIVE, CHANGE, RENAME_BODY])
});
pub(crate) static END: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::NotNeeded, &[SESSION, KEEP, MARK, include_str!("script/end.lua")])
});
pub(crate) static END_BOUND: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::NotNeeded, &[SESSION, KEEP, MARK, include_str!("script/end_bound.lua")])
});
pub(crate) static REBIND: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::NotNeeded, &[SESSION, LATER, include_str!("script/rebind.lua")])
});
pub(crate) static BIND: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::Needed, &[SESSION, LATER, include_str!("script/bind.lua")]));
pub(crate) static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::of(Room::NotNeeded, &[SESSION, LATER, include_str!("script/revoke.lua")])
});
pub(crate) static FORGET: LazyLock<Script> =
    LazyLock::new(|| Script::of(Room::NotNeeded, &[include_str!("script/forget.lua")]));

/// A call of a script: its keys, all in one slot, and its arguments.
#[derive(Debug)]
pub(crate) struct Call {
    script: &'static Script,
    keys: Vec<Key>,
    arguments: Cmd,
}

impl Call {
    pub(crate) fn new(script: &'static Script, keys: Vec<Key>) -> Self {
        Self { script, keys, arguments: Cmd::new() }
    }

    pub(crate) fn arg(mut self, argument: &[u8]) -> Self {
        self.arguments.arg(argument);
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.arguments.arg(number);
        self
    }

    /// Where the keys are.
    pub(crate) fn slot(&self) -> u16 {
        self.keys.first().map_or(0, |key| key.slot)
    }

    /// The command, with the script by its hash or whole.
    pub(crate) fn command(&self, whole: bool) -> Cmd {
        let mut command = Cmd::new();
        if whole {
            command.arg("EVAL").arg(&self.script.text);
        } else {
            command.arg("EVALSHA").arg(&self.script.hash);
        }
        command.arg(self.keys.len());
        for key in &self.keys {
            command.arg(&key.name[..]);
        }
        for argument in self.arguments.args_iter() {
            if let redis::Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}
