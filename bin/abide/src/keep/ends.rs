//! The two ends of a move that is done as a whole, by a command.
//!
//! A store is reached by its URL. What is kept on nodes is reached by nodes alone, so the command is one
//! of them for the time of the move, under a name that stands in the list of all.

use abide_affinity::ServerName;
use abide_keys::KeyRing;
use abide_node::Certificates;

use super::Keep;
use super::certificates::{Shown, refuse_keys_beside_certificates};
use super::choice::{KEEP_FROM_VARIABLE, KEEP_VARIABLE, refuse, seal, secret_of_nodes};
use crate::configuration::surroundings::Surroundings;
use crate::configuration::{Fault, Reader, value};

/// The two ends of a move, and the keys of what is sealed there or by which nodes know each other.
///
/// Invariant: both can be walked through as a whole, they differ, and one of them at most is nodes.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Where sessions are.
    pub(crate) from: Keep,
    /// Where they go.
    pub(crate) to: Keep,
    /// Which node the command is, if one end is nodes.
    pub(crate) node: Option<ServerName>,
    /// There if either needs it.
    pub(crate) keys: Option<Box<KeyRing>>,
    /// What the command shows to other nodes, if it is one and that is not a secret.
    pub(crate) certificates: Option<Certificates>,
}

impl Ends {
    /// The variables of `--from` and `--to`.
    pub(crate) const VARIABLES: [(&'static str, &'static str); 2] =
        [("from", KEEP_FROM_VARIABLE), ("to", KEEP_VARIABLE)];

    /// What was written, if it is right; what is wrong stays with the reader.
    pub(crate) fn read(reader: &mut Reader, surroundings: &Surroundings<'_>) -> Option<Self> {
        let mut end = |flag| {
            if !reader.has(flag) {
                refuse(reader, flag, "a store is missing", "write its URL");
            }
            reader.optional(flag, walkable)
        };
        let (from, to) = (end("from"), end("to"));
        let node = reader.optional("name", value::server_name);
        let (from, to) = (from?, to?);
        if from == to {
            refuse(reader, "to", "the sessions are there already", "name another store");
        }
        let ends = [("from", &from), ("to", &to)];
        let sealed = ends.iter().find(|(_, end)| end.seals_values()).map(|(flag, _)| *flag);
        let shown = Shown::read(reader);
        let mut nodes = ends.iter().filter(|(_, end)| matches!(end, Keep::Nodes(_)));
        let keys = match (nodes.next(), nodes.next()) {
            (None, _) => {
                if reader.has("name") {
                    let fault = "only nodes have names, and neither end is nodes";
                    refuse(reader, "name", fault, "leave it out");
                }
                Shown::refuse(reader, "leave it out");
                seal(reader, surroundings, false, sealed).0
            }
            (Some((flag, _)), None) => {
                if !reader.has("name") {
                    let fault = "only nodes reach what is kept on nodes, and which one this command \
                                 is to be is missing";
                    let remedy = "have one in the list that no server is, as in mover=10.0.0.9:7946, \
                                  and write --name mover";
                    refuse(reader, flag, fault, remedy);
                }
                match (&shown, sealed) {
                    (Shown::Nothing, _) => secret_of_nodes(reader, surroundings, flag).0,
                    (_, Some(_)) => seal(reader, surroundings, false, sealed).0,
                    (_, None) => {
                        reader.optional("keys-file", refuse_keys_beside_certificates);
                        None
                    }
                }
            }
            (Some(_), Some(_)) => {
                let fault = "this command can be a node of one cluster";
                refuse(reader, "to", fault, "move through a store: from nodes, then to nodes");
                None
            }
        };
        Some(Self { from, to, node, keys, certificates: shown.certificates() })
    }
}

/// A place that can be walked through as a whole.
fn walkable(text: &str) -> Result<Keep, Fault> {
    match Keep::parse(text)? {
        place @ (Keep::Store(_) | Keep::Nodes(_)) => Ok(place),
        Keep::Memory => Err(Fault::new(
            "sessions in the memory of a server end with it, so they can not move",
            "write the URL of a store",
        )),
        Keep::Cookie => Err(Fault::new(
            "sessions in cookies are where their browsers are",
            "write the URL of a store; those in cookies move by `abide app --keep-from cookie`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::choice::tests::{key, read_by};

    fn read(flags: &[(&'static str, &str)], keys: Option<&str>) -> Result<Ends, String> {
        read_by(flags, keys, Ends::read)
    }

    #[test]
    fn both_ends_of_a_move_can_be_walked_through_and_differ() {
        let neither = read(&[("from", "cookie"), ("to", "memory")], None).unwrap_err();
        assert!(neither.contains("--from: sessions in cookies"), "{neither}");
        assert!(neither.contains("--to: sessions in the memory"), "{neither}");
        assert_eq!(read(&[], None).unwrap_err().lines().count(), 2);
        let same = read(&[("from", "sqlite://s"), ("to", "sqlite://s")], None).unwrap_err();
        assert!(same.contains("there already"), "{same}");
        let sealed = [("from", "sqlite://s"), ("to", "sealed+sqlite://s")];
        assert!(read(&sealed, None).unwrap_err().contains("--to: what is sealed"));
        assert!(read(&sealed, Some(&key())).unwrap().keys.is_some());
    }

    #[test]
    fn who_moves_to_or_from_nodes_is_one_of_them_and_knows_their_secret() {
        let (file, nodes) = ("sqlite://s", "nodes://a=10.0.0.1:1,mover=10.0.0.2:1");
        for ends in [[("from", file), ("to", nodes)], [("from", nodes), ("to", file)]] {
            let flags = [ends[0], ends[1], ("name", "mover")];
            let read_all = read(&flags, Some(&key())).unwrap();
            assert_eq!(read_all.node.unwrap().as_str(), "mover");
            assert!(read_all.keys.is_some());
            let without_key = read(&flags, None).unwrap_err();
            assert!(without_key.contains("know each other by a secret"), "{without_key}");
            let nameless = read(&ends, Some(&key())).unwrap_err();
            assert!(nameless.contains("and write --name mover"), "{nameless}");
        }
        let named = [("from", file), ("to", "redis://c"), ("name", "mover")];
        assert!(read(&named, None).unwrap_err().contains("neither end is nodes"));
        let both = [("from", nodes), ("to", "nodes://a=10.0.0.1:2"), ("name", "a")];
        assert!(read(&both, Some(&key())).unwrap_err().contains("a node of one cluster"));
    }
}
