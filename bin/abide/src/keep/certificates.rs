//! What a node shows in place of a secret, as flags name it: three files, or none.
//!
//! What stands in them is looked at when the node starts, by the library, which says what is wrong.

use std::path::PathBuf;

use abide_keys::KeyRing;
use abide_node::Certificates;

use super::choice::refuse;
use crate::configuration::{Fault, Reader};

/// The flags: a certificate, its key, and the authorities.
const FLAGS: [&str; 3] = ["node-cert", "node-key", "node-ca"];

/// What a node shows, as far as flags say.
#[derive(Debug)]
pub(super) enum Shown {
    /// No flag says so, and it is a secret.
    Nothing,
    /// Files.
    Certificates(Certificates),
    /// Files, and something is wrong with what was written, which the reader knows.
    Wrong,
}

impl Shown {
    /// What was written, if it is right; what is wrong stays with the reader.
    pub(super) fn read(reader: &mut Reader) -> Self {
        let given: Vec<&'static str> = FLAGS.into_iter().filter(|flag| reader.has(flag)).collect();
        let Some(first) = given.first() else { return Self::Nothing };
        let missing: Vec<String> = FLAGS
            .iter()
            .filter(|flag| !given.contains(flag))
            .map(|flag| format!("--{flag} FILE"))
            .collect();
        if !missing.is_empty() {
            let fault = "a certificate, its key and its authority belong together";
            refuse(reader, first, fault, &format!("add {}", missing.join(" and ")));
        }
        match FLAGS.map(|flag| reader.optional(flag, file)) {
            [Some(chain), Some(key), Some(roots)] => {
                Self::Certificates(Certificates::files(chain, key, roots))
            }
            _ => Self::Wrong,
        }
    }

    /// Refuses what was written where there are no nodes to show it to.
    pub(super) fn refuse(reader: &mut Reader, remedy: &str) {
        if let Some(flag) = FLAGS.into_iter().find(|flag| reader.has(flag)) {
            refuse(reader, flag, "only nodes show each other certificates", remedy);
        }
    }

    /// The files.
    pub(super) fn certificates(self) -> Option<Certificates> {
        match self {
            Self::Certificates(certificates) => Some(certificates),
            Self::Nothing | Self::Wrong => None,
        }
    }
}

/// Keys that nothing needs, as nodes are told by their certificates.
pub(super) fn refuse_keys_beside_certificates(_path: &str) -> Result<KeyRing, Fault> {
    let fault = "nodes know each other by certificates here, so no keys are needed";
    Err(Fault::new(fault, "leave it out, or --node-cert, --node-key and --node-ca"))
}

fn file(path: &str) -> Result<PathBuf, Fault> {
    if path.is_empty() {
        return Err(Fault::new("the name of the file is empty", "name a file in PEM form"));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::super::choice::Choice;
    use super::super::choice::tests::{key, read_by};
    use super::super::ends::Ends;

    const NODES: (&str, &str) = ("keep", "nodes://a=10.0.0.1:7946,b=10.0.0.2:7946");
    const FILES: [(&str, &str); 3] =
        [("node-cert", "a.pem"), ("node-key", "a.key"), ("node-ca", "ca.pem")];

    fn read(flags: &[(&'static str, &'static str)], keys: Option<&str>) -> Result<Choice, String> {
        read_by(&[FILES.as_slice(), flags].concat(), keys, Choice::read)
    }

    #[test]
    fn nodes_with_certificates_need_no_keys_but_for_what_is_sealed() {
        let choice = read(&[NODES], None).unwrap();
        assert!(choice.certificates.is_some() && choice.keys.is_none());
        let inherited = read(&[NODES], Some(&key())).unwrap();
        assert!(inherited.keys.is_none(), "a variable that is there for others is no mistake");
        for other in [("keep-from", "cookie"), ("keep-from", "sealed+redis://c")] {
            let sealed = read(&[NODES, other], Some(&key())).unwrap();
            assert!(sealed.certificates.is_some() && sealed.keys.is_some());
            let without = read(&[NODES, other], None).unwrap_err();
            assert!(without.contains("--keep-from: what is sealed there outlives"), "{without}");
        }
        let to_cookies = [("keep", "cookie"), ("keep-from", NODES.1)];
        assert!(read(&to_cookies, Some(&key())).unwrap().keys.is_some());
    }

    #[test]
    fn what_does_not_go_together_is_said_with_what_to_do() {
        for (flags, told) in [
            (
                &[NODES, ("keys-file", "keys")][..],
                "so no keys are needed; leave it out, or --node-cert",
            ),
            (&[("keep", "redis://c")], "--node-cert: only nodes show each other certificates"),
            (&[], "--node-cert: only nodes show each other certificates"),
            (&[NODES, ("node-key", "")], "--node-key: the name of the file is empty"),
        ] {
            let problems = read(flags, None).map(|_| ()).unwrap_err();
            assert!(problems.contains(told), "{problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
        for (place, told) in [
            (
                0,
                "--node-key: a certificate, its key and its authority belong together; add --node-cert FILE",
            ),
            (
                1,
                "--node-cert: a certificate, its key and its authority belong together; add --node-key FILE",
            ),
            (
                2,
                "--node-cert: a certificate, its key and its authority belong together; add --node-ca FILE",
            ),
        ] {
            let mut flags = FILES.to_vec();
            flags.remove(place);
            flags.push(NODES);
            let problems = read_by(&flags, None, Choice::read).map(|_| ()).unwrap_err();
            assert!(problems.contains(told), "{problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
    }

    #[test]
    fn who_moves_sessions_to_nodes_shows_a_certificate_as_they_do() {
        let list = "nodes://a=10.0.0.1:1,mover=10.0.0.2:1";
        let flags =
            |from| [FILES.as_slice(), &[("from", from), ("to", list), ("name", "mover")]].concat();
        let ends = read_by(&flags("sqlite://s"), None, Ends::read).unwrap();
        assert!(ends.certificates.is_some() && ends.keys.is_none());
        let sealed = read_by(&flags("sealed+sqlite://s"), Some(&key()), Ends::read).unwrap();
        assert!(sealed.certificates.is_some() && sealed.keys.is_some());
        let without = read_by(&flags("sealed+sqlite://s"), None, Ends::read).unwrap_err();
        assert!(without.contains("--from: what is sealed there outlives"), "{without}");
        let stores = [FILES.as_slice(), &[("from", "sqlite://s"), ("to", "redis://c")]].concat();
        let without_nodes = read_by(&stores, None, Ends::read).map(|_| ()).unwrap_err();
        assert!(
            without_nodes.contains("only nodes show each other certificates"),
            "{without_nodes}"
        );
    }
}
