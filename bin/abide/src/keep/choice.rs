//! Where sessions are kept, as a whole: the place, the other end of a move, the keys.
//!
//! Read from flags and, because a URL may hold a password and the flags of a process are there for
//! everybody to see, from variables of the environment. A flag wins.

use std::path::PathBuf;

use abide_keys::KeyRing;
use abide_node::Certificates;

use super::Keep;
use super::certificates::{Shown, refuse_keys_beside_certificates};
use crate::configuration::ring::key_ring;
use crate::configuration::surroundings::Surroundings;
use crate::configuration::{Fault, Place, Problem, Reader, Written};

/// The variable that may stand in for `--keep`, or for `--to` of a move.
pub(crate) const KEEP_VARIABLE: &str = "ABIDE_KEEP";
/// The same for `--keep-from`, and for `--from` of a move.
pub(crate) const KEEP_FROM_VARIABLE: &str = "ABIDE_KEEP_FROM";
/// The same for `--keep-next`.
pub(crate) const KEEP_NEXT_VARIABLE: &str = "ABIDE_KEEP_NEXT";

/// Where sessions are kept.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The place.
    pub(crate) keep: Keep,
    /// The other end of a move that is under way.
    pub(crate) other: Other,
    /// The folder in which this server, if it is a node, keeps what it holds.
    pub(crate) data: Option<PathBuf>,
    /// What seals sessions in cookies, and values in a `sealed+` store. Always there if either end
    /// needs it.
    pub(crate) keys: Option<Box<KeyRing>>,
    /// Whether they were drawn just now, so that they are others after a restart.
    pub(crate) keys_are_new: bool,
    /// What this server shows to other nodes, if it is one and that is not a secret.
    pub(crate) certificates: Option<Certificates>,
}

/// The other end of a move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Other {
    /// Nothing moves.
    None,
    /// Sessions come from there, one by one, as they are used.
    From(Keep),
    /// They are going to move there; some that other servers moved are there already.
    Next(Keep),
}

/// What the environment says about it, for the keys of these names.
pub(crate) fn environment(of: &[(&'static str, &'static str)]) -> Vec<Written> {
    let written = |&(key, variable)| {
        let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
        Some(Written { key, text, place: Place::Environment(variable) })
    };
    of.iter().filter_map(written).collect()
}

impl Choice {
    /// The variables of `--keep`, `--keep-from` and `--keep-next`.
    pub(crate) const VARIABLES: [(&'static str, &'static str); 3] = [
        ("keep", KEEP_VARIABLE),
        ("keep-from", KEEP_FROM_VARIABLE),
        ("keep-next", KEEP_NEXT_VARIABLE),
    ];

    /// What was written, if it is right; what is wrong stays with the reader.
    pub(crate) fn read(reader: &mut Reader, surroundings: &Surroundings<'_>) -> Option<Self> {
        let keep = if reader.has("keep") {
            reader.optional("keep", Keep::parse)
        } else {
            Some(Keep::Memory)
        };
        let from = reader.optional("keep-from", Keep::parse);
        let next = reader.optional("keep-next", Keep::parse);
        let keep = keep?;
        let other = match (from, next) {
            (None, None) => Other::None,
            (Some(from), None) => Other::From(from),
            (None, Some(next)) => Other::Next(next),
            (Some(_), Some(_)) => {
                let fault = "a move has one other end, and --keep-from names one too";
                refuse(reader, "keep-next", fault, "leave out the one or the other");
                return None;
            }
        };
        if let Some((key, Fault { fault, remedy })) = other.fault_beside(&keep) {
            refuse(reader, key, &fault, &remedy);
            return None;
        }
        let data = reader.optional("data", folder);
        let is_node =
            [Some(&keep), other.place()].iter().any(|at| matches!(at, Some(Keep::Nodes(_))));
        if data.is_some() && !is_node {
            let fault = "only servers that keep the sessions themselves need a folder for them";
            refuse(reader, "data", fault, "add --keep nodes://..., or leave it out");
        }
        let shown = Shown::read(reader);
        if !is_node {
            Shown::refuse(reader, "add --keep nodes://..., or leave it out");
        }
        let (keys, keys_are_new) = keys(reader, surroundings, (&keep, &other), &shown);
        Some(Self { keep, other, data, keys, keys_are_new, certificates: shown.certificates() })
    }
}

/// Logs a warning if one of these flags, as they were typed, shows a password to everybody on this
/// machine.
pub(crate) fn warn_of_passwords(flags: &[&Option<String>]) {
    let shows = |text: &&String| matches!(Keep::parse(text), Ok(Keep::Store(address)) if address.has_password());
    if flags.iter().filter_map(|flag| flag.as_ref()).any(|text| shows(&text)) {
        tracing::warn!(
            "a flag of this process holds a password, and everybody on this machine can list the flags \
             of processes; put the URL into {KEEP_VARIABLE} or the like (`--help` names them)"
        );
    }
}

impl Other {
    /// The place, if there is one.
    pub(crate) const fn place(&self) -> Option<&Keep> {
        match self {
            Self::None => None,
            Self::From(keep) | Self::Next(keep) => Some(keep),
        }
    }

    /// The flag that names it.
    const fn flag(&self) -> &'static str {
        match self {
            Self::None | Self::From(_) => "keep-from",
            Self::Next(_) => "keep-next",
        }
    }

    /// What is wrong with this other end beside `keep`, and the flag that says it.
    fn fault_beside(&self, keep: &Keep) -> Option<(&'static str, Fault)> {
        let place = self.place()?;
        let fault = if place == keep {
            Fault::new("sessions are kept there already", "name the other end of the move")
        } else if *place == Keep::Memory || *keep == Keep::Memory {
            Fault::new(
                "sessions in the memory of a server end with it, so they can not move",
                "name a URL here and for --keep",
            )
        } else if matches!((place, keep), (Keep::Nodes(_), Keep::Nodes(_))) {
            Fault::new(
                "a server is a node of one cluster",
                "move through another store, or restart the nodes one by one with the new list",
            )
        } else if matches!(self, Self::Next(_)) && (*place == Keep::Cookie || *keep == Keep::Cookie)
        {
            Fault::new(
                "only a move from one store to another has a first phase",
                "to move to or from cookies, give all servers --keep-from at once",
            )
        } else {
            return None;
        };
        Some((self.flag(), fault))
    }
}

pub(super) fn refuse(reader: &mut Reader, key: &'static str, fault: &str, remedy: &str) {
    let place = reader.place(key).unwrap_or(Place::Flag);
    reader.note(Problem::at(&place, key, fault.to_owned(), remedy.to_owned()));
}

/// The keys that this needs or may use, and whether they were drawn just now.
fn keys(
    reader: &mut Reader,
    surroundings: &Surroundings<'_>,
    (keep, other): (&Keep, &Other),
    shown: &Shown,
) -> (Option<Box<KeyRing>>, bool) {
    if *keep == Keep::Memory {
        reader.optional("keys-file", refuse_keys);
        return (None, false);
    }
    let places = [("keep", Some(keep)), (other.flag(), other.place())];
    let nodes = places.iter().find(|(_, place)| matches!(place, Some(Keep::Nodes(_))));
    if let (Some((flag, _)), Shown::Nothing) = (nodes, shown) {
        return secret_of_nodes(reader, surroundings, flag);
    }
    let sealed = places.iter().find(|(_, place)| place.is_some_and(Keep::seals_values));
    // Cookies that were sealed before this process began need the keys of then.
    let sealed_before = other.place() == Some(&Keep::Cookie);
    let lasting = sealed_before.then_some(other.flag()).or_else(|| sealed.map(|(flag, _)| *flag));
    if nodes.is_some() && *keep != Keep::Cookie && lasting.is_none() {
        reader.optional("keys-file", refuse_keys_beside_certificates);
        return (None, false);
    }
    seal(reader, surroundings, *keep == Keep::Cookie, lasting)
}

/// The keys by which nodes know each other.
pub(super) fn secret_of_nodes(
    reader: &mut Reader,
    surroundings: &Surroundings<'_>,
    flag: &'static str,
) -> (Option<Box<KeyRing>>, bool) {
    let (ring, are_new) = key_ring(reader, surroundings);
    if are_new {
        let fault = "nodes know each other by a secret";
        let remedy = "set --keys-file to what `abide keygen` prints, the same for all servers, or give each a \
                      certificate by --node-cert";
        refuse(reader, flag, fault, remedy);
    }
    (Some(Box::new(ring)), false)
}

/// The keys, where cookies are sealed, or what this flag names holds what was sealed before or will be
/// opened later; and whether they were drawn just now.
pub(super) fn seal(
    reader: &mut Reader,
    surroundings: &Surroundings<'_>,
    cookies: bool,
    lasting: Option<&'static str>,
) -> (Option<Box<KeyRing>>, bool) {
    if !cookies && lasting.is_none() {
        reader.optional("keys-file", refuse_keys_of_plain);
        return (None, false);
    }
    let (ring, are_new) = key_ring(reader, surroundings);
    if let Some(flag) = lasting
        && are_new
    {
        let fault = "what is sealed there outlives this process, so its keys must too";
        refuse(reader, flag, fault, "set --keys-file to what `abide keygen` prints");
    }
    (Some(Box::new(ring)), are_new)
}

/// A folder that is there, or is to be made.
fn folder(path: &str) -> Result<PathBuf, Fault> {
    if path.is_empty() {
        return Err(Fault::new("the name of the folder is empty", "write --data DIR"));
    }
    Ok(PathBuf::from(path))
}

fn refuse_keys(_path: &str) -> Result<KeyRing, Fault> {
    let fault = "sessions in memory are not sealed, so no keys are needed";
    Err(Fault::new(fault, "add --keep cookie or --keep sealed+URL, or leave it out"))
}

fn refuse_keys_of_plain(_path: &str) -> Result<KeyRing, Fault> {
    let fault = "values are kept in this store as they are, so no keys are needed";
    Err(Fault::new(fault, "to seal them, write sealed+ before the URL"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    /// What these flags mean, or all that is wrong with them.
    pub(in crate::keep) fn read_by<T>(
        flags: &[(&'static str, &str)],
        keys: Option<&str>,
        read: impl Fn(&mut Reader, &Surroundings<'_>) -> Option<T>,
    ) -> Result<T, String> {
        let written = |&(key, text): &(&'static str, &str)| Written {
            key,
            text: text.to_owned(),
            place: Place::Flag,
        };
        let mut reader = Reader::new([flags.iter().map(written).collect()]);
        let surroundings = Surroundings {
            keys: keys.map(str::to_owned),
            read: &|_| Ok(String::new()),
            random: [7; abide_keys::Key::BYTES],
            cores: NonZeroUsize::MIN,
        };
        let value = read(&mut reader, &surroundings);
        let problems: Vec<String> =
            reader.into_problems().iter().map(ToString::to_string).collect();
        value.filter(|_| problems.is_empty()).ok_or_else(|| problems.join("\n"))
    }

    fn read(flags: &[(&'static str, &str)], keys: Option<&str>) -> Result<Choice, String> {
        read_by(flags, keys, Choice::read)
    }

    pub(in crate::keep) fn key() -> String {
        abide_keys::Key::new([9; abide_keys::Key::BYTES]).expose().to_string()
    }

    #[test]
    fn without_a_word_sessions_are_in_memory() {
        let choice = read(&[], Some(&key())).unwrap();
        assert_eq!((&choice.keep, &choice.other), (&Keep::Memory, &Other::None));
        assert!(choice.keys.is_none(), "a variable that is there for others is no mistake");
    }

    #[test]
    fn keys_seal_cookies_and_what_is_in_a_store_that_is_said_to_be_sealed() {
        let (store, sealed_store) = (("keep", "redis://c:6379"), ("keep", "sealed+redis://c:6379"));
        assert!(read(&[store], None).unwrap().keys.is_none());
        assert!(read(&[store], Some(&key())).unwrap().keys.is_none(), "they are for others");
        let refused = read(&[store, ("keys-file", "keys")], None).unwrap_err();
        assert!(refused.contains("write sealed+ before the URL"), "{refused}");
        let sealed = read(&[sealed_store], Some(&key())).unwrap();
        assert!(sealed.keys.is_some() && !sealed.keys_are_new);
        let without = read(&[sealed_store], None).unwrap_err();
        assert!(without.contains("outlives this process"), "{without}");
        let drawn = read(&[("keep", "cookie")], None).unwrap();
        assert!(drawn.keys.is_some() && drawn.keys_are_new);
        let to_cookies = read(&[("keep", "cookie"), ("keep-from", "redis://c")], None).unwrap();
        assert!(to_cookies.keys.is_some());
        let from_cookies = [store, ("keep-from", "cookie")];
        assert!(read(&from_cookies, Some(&key())).unwrap().keys.is_some());
        let without = read(&from_cookies, None).unwrap_err();
        assert!(without.contains("--keep-from: what is sealed there outlives"), "{without}");
    }

    #[test]
    fn a_move_has_two_ends_that_differ_and_outlive_a_server() {
        let store = ("keep", "redis://c:6379");
        let from = read(&[store, ("keep-from", "sqlite://s.db")], None).unwrap();
        assert!(matches!(from.other, Other::From(Keep::Store(_))), "{from:?}");
        let next = read(&[store, ("keep-next", "sqlite://s.db")], None).unwrap();
        assert!(matches!(next.other, Other::Next(Keep::Store(_))), "{next:?}");
        for (flags, told) in [
            (&[store, ("keep-from", "redis://c:6379")][..], "sessions are kept there already"),
            (&[store, ("keep-from", "memory")], "end with it, so they can not move"),
            (&[("keep-from", "redis://c:6379")], "end with it, so they can not move"),
            (&[store, ("keep-next", "cookie")], "has a first phase"),
            (&[store, ("keep-from", "sealed+redis://c:6379")], "outlives this process"),
            (&[store, ("keep-from", "cookie"), ("keep-next", "sqlite://s")], "has one other end"),
            (&[("keep", "redis://"), ("keep-from", "ftp://x")], "`ftp://`"),
            (&[store, ("data", "d")], "keep the sessions themselves"),
            (&[("data", "")], "the name of the folder is empty"),
        ] {
            let problems = read(flags, None).expect_err(told);
            assert!(problems.contains(told), "{problems}");
        }
        let both = read(&[("keep", "redis://"), ("keep-from", "ftp://x")], None).unwrap_err();
        assert_eq!(both.lines().count(), 2, "all errors at once: {both}");
    }
}
