//! What a node is told.

use std::net::IpAddr;
use std::path::PathBuf;

use abide_keys::{Key, KeyRing};
use abide_replica::limits::{MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MAX_NODES};
use abide_replica::{Contact, NodeId, Roster};

use crate::certificates::Certificates;
use crate::error::JoinError;
use crate::identity::Identity;
use crate::pair::server_name;
use crate::renewal::Renewal;
use crate::room;

/// What a node is told: who it is, where it finds others, and what they have in common.
#[derive(Clone, Debug)]
pub struct Config {
    name: String,
    nodes: Vec<(String, String)>,
    listen: Option<String>,
    copies: usize,
    bytes_max: Option<usize>,
    keys: Option<KeyRing>,
    certificates: Option<Certificates>,
    is_plain: bool,
    data: Option<PathBuf>,
}

/// A configuration that can be right.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) copies: usize,
    pub(crate) listen: String,
    pub(crate) bytes_max: usize,
    /// None: nodes talk in plain text.
    pub(crate) identity: Option<Identity>,
    pub(crate) data: Option<PathBuf>,
    /// Whether others may join: not one that was started alone and without a secret.
    pub(crate) is_open: bool,
}

impl Checked {
    /// What is known at first.
    pub(crate) fn roster(&self) -> Roster {
        Roster::new(NodeId::of(&self.name), self.copies, self.contacts.iter().cloned())
    }
}

impl Config {
    /// The most copies of a session: each write waits for all of them.
    pub const COPIES_MAX: usize = 5;

    /// A node of this name, and nodes of the cluster, itself among them, as names and `host:port`. It needs
    /// one other that runs, and hears of the rest from that one. Who starts with nobody there is a cluster of its
    /// own: so those that are started together are given the same list.
    pub fn new<N: Into<String>, A: Into<String>>(
        name: impl Into<String>,
        nodes: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        let nodes = nodes.into_iter().map(|(name, address)| (name.into(), address.into()));
        Self {
            name: name.into(),
            nodes: nodes.collect(),
            listen: None,
            copies: 2,
            bytes_max: None,
            keys: None,
            certificates: None,
            is_plain: false,
            data: None,
        }
    }

    /// The key that all nodes know: `abide keygen` prints one.
    #[must_use]
    pub fn secret(self, key: Key) -> Self {
        let keys = KeyRing::new(vec![key]).ok();
        Self { keys, ..self }
    }

    /// The same with several keys: the first is shown, and any of them is taken. So a key is changed
    /// by adding it behind the old one on all nodes, then putting it first, then dropping the old one.
    #[must_use]
    pub fn secrets(self, keys: KeyRing) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// In place of a secret: the certificate of this node, and the authorities that sign for nodes of this cluster. All
    /// nodes have certificates, or all know the secret.
    #[must_use]
    pub fn certificates(self, certificates: Certificates) -> Self {
        Self { certificates: Some(certificates), ..self }
    }

    /// Talk in plain text, without a key. Only between addresses of the loopback interface.
    #[must_use]
    pub const fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// Where to listen for the other nodes, as `address:port`, if that is not where they find this one.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// On how many nodes each session is to be: 2 unless said otherwise, and 1 to 5. The same on all
    /// nodes.
    #[must_use]
    pub const fn copies(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// How many bytes of sessions this node makes room for, with the copies that it holds for others. Above
    /// that it refuses new sessions with `StoreError::Full`, and nothing that lives is dropped. Default: half
    /// of the machine's memory, or of what the control groups of this process allow if that is less.
    #[must_use]
    pub const fn memory_bytes(mut self, bytes: usize) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// A folder in which this node keeps its sessions, so that they are there again when all nodes were down:
    /// what was answered more than 50 ms before, on a disk that is not slow. It is made if need be, for
    /// this process alone; each node needs its own. Values stand in it as they are. Default: memory alone.
    #[must_use]
    pub fn data(self, folder: impl Into<PathBuf>) -> Self {
        Self { data: Some(folder.into()), ..self }
    }

    pub(crate) fn check(&self) -> Result<Checked, JoinError> {
        let mut nodes = self.nodes.clone();
        nodes.sort();
        if let Some(fault) = self.fault(&nodes) {
            return Err(JoinError::Config(fault));
        }
        let Some((name, address)) = nodes.iter().find(|(name, _)| *name == self.name) else {
            let list: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
            let (name, list) = (&self.name, list.join(", "));
            return Err(JoinError::Config(format!(
                "this node is called {name:?}, and the list of nodes has {list}: put it in"
            )));
        };
        let listen = self.listen.clone().unwrap_or_else(|| address.clone());
        let identity = self.identity(&nodes, &listen)?;
        let is_open = identity.is_some() || self.is_plain;
        Ok(Checked {
            name: name.clone(),
            contacts: nodes.iter().map(|(name, address)| Contact::listed(name, address)).collect(),
            copies: self.copies,
            listen,
            bytes_max: self.bytes_max.unwrap_or_else(room::default_bytes),
            identity,
            data: self.data.clone(),
            is_open,
        })
    }

    /// What is wrong with the list of nodes, in order of their names.
    fn fault(&self, nodes: &[(String, String)]) -> Option<String> {
        if nodes.len() > MAX_NODES {
            return Some(format!("{} nodes; a cluster takes {MAX_NODES}", nodes.len()));
        }
        if !(1..=Self::COPIES_MAX).contains(&self.copies) {
            let (copies, most) = (self.copies, Self::COPIES_MAX);
            return Some(format!("{copies} copies of each session; it takes 1 to {most}"));
        }
        for (name, address) in nodes {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return Some(format!("{name:?} is no name of a node: 1 to {MAX_NAME_BYTES} bytes"));
            }
            let port = address.rsplit_once(':').and_then(|(host, port)| {
                port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty())
            });
            if port.is_none() || address.len() > MAX_ADDRESS_BYTES {
                return Some(format!("{address:?} of node {name:?} is no host:port"));
            }
        }
        let twins = nodes.windows(2).find_map(|pair| match pair {
            [one, other] if one.0 == other.0 => Some(one.0.clone()),
            _ => None,
        });
        let twins = twins.map(|name| {
            format!("there are two nodes called {name:?}: give each a name of its own")
        });
        twins.or_else(|| clash(nodes))
    }

    fn identity(
        &self,
        nodes: &[(String, String)],
        listen: &str,
    ) -> Result<Option<Identity>, JoinError> {
        if let Some(certificates) = &self.certificates {
            let renewal = self.renewal(certificates, nodes).map_err(JoinError::Config)?;
            return Ok(Some(Identity::Certificate(renewal.into())));
        }
        match (&self.keys, self.is_plain) {
            (Some(keys), _) => Identity::of(keys).map(Some),
            (None, true) => {
                let addresses = nodes.iter().map(|(_, address)| address.as_str());
                let outside = addresses.chain([listen]);
                match outside.into_iter().find(|address| !is_loopback(address)) {
                    None => Ok(None),
                    Some(address) => Err(JoinError::Config(format!(
                        "{address} is not of the loopback interface (127.0.0.1, ::1): beyond it nodes \
                         need a secret (`abide keygen` prints one) or certificates"
                    ))),
                }
            }
            // Who is alone talks to nobody.
            (None, false) if nodes.len() <= 1 => Ok(None),
            (None, false) => Err(JoinError::Config(
                "nodes that talk to each other need a secret (`abide keygen` prints one) or certificates"
                    .to_owned(),
            )),
        }
    }

    fn renewal(
        &self,
        certificates: &Certificates,
        nodes: &[(String, String)],
    ) -> Result<Renewal, String> {
        if self.keys.is_some() {
            let fault = "nodes know each other by a secret or by certificates: give one of both";
            return Err(fault.to_owned());
        }
        if let Some((name, _)) = nodes.iter().find(|(name, _)| server_name(name).is_none()) {
            return Err(format!(
                "no certificate can name the node {name:?}: call it by small letters, digits, `-` and `_`, \
                 in parts between dots, of which the last is no number"
            ));
        }
        Renewal::begin(certificates.clone(), &self.name)
    }
}

/// Two names of one number.
fn clash(nodes: &[(String, String)]) -> Option<String> {
    let mut names: Vec<(NodeId, &str)> =
        nodes.iter().map(|(name, _)| (NodeId::of(name), name.as_str())).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [(one, name), (other, twin)] if one == other => Some(format!(
            "the names {name:?} and {twin:?} have the same number: choose another name for one"
        )),
        _ => None,
    })
}

pub(crate) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &Config) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let one = Config::new("a", [("a", "127.0.0.1:1"), ("b", "[::1]:2")]).plain();
        let other = Config::new("b", [("b", "[::1]:2"), ("a", "127.0.0.1:1")]).plain();
        let (one, other) = (one.check().unwrap(), other.check().unwrap());
        assert_eq!(one.contacts, other.contacts);
        assert_eq!((one.roster().own(), other.roster().own()), (NodeId::of("a"), NodeId::of("b")));
        assert_eq!((one.listen.as_str(), other.listen.as_str()), ("127.0.0.1:1", "[::1]:2"));
    }

    #[test]
    fn what_can_not_be_right_is_said_with_what_to_do() {
        let many = (0..=MAX_NODES).map(|n| (format!("n{n}"), "127.0.0.1:1".to_owned()));
        let long = "n".repeat(MAX_NAME_BYTES + 1);
        let two = [("a", "127.0.0.1:1"), ("b", "127.0.0.1:2")];
        let mut names = (0_u32..).map(|number| number.to_string());
        let twin = names.find(|name| NodeId::of(name) == NodeId::of("b")).unwrap();
        let cases = [
            (Config::new("a", two), "need a secret"),
            (Config::new("c", two).plain(), "called \"c\", and the list of nodes has a, b"),
            (Config::new("a", [("a", "127.0.0.1:1"), ("a", "127.0.0.1:2")]).plain(), "two nodes"),
            (Config::new("a", [("a", "127.0.0.1")]).plain(), "no host:port"),
            (Config::new("a", [("a", "127.0.0.1:0")]).plain(), "no host:port"),
            (Config::new("", [("", "127.0.0.1:1")]).plain(), "no name"),
            (Config::new(long.as_str(), [(long.as_str(), "127.0.0.1:1")]).plain(), "no name"),
            (Config::new("n0", many).plain(), "a cluster takes 64"),
            (
                Config::new("b", [("b", "127.0.0.1:1"), (&twin, "127.0.0.1:2")]).plain(),
                "same number",
            ),
            (Config::new("a", two).plain().copies(Config::COPIES_MAX + 1), "it takes 1 to 5"),
            (
                Config::new("a", [("a", "10.0.0.1:1"), ("b", "127.0.0.1:2")]).plain(),
                "10.0.0.1:1 is",
            ),
            (Config::new("a", two).plain().listen("0.0.0.0:1"), "0.0.0.0:1 is not of the loopback"),
        ];
        for (config, told) in cases {
            let text = refusal(&config);
            assert!(text.contains(told), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = Key::new([0x5a; Key::BYTES]);
        let text = key.expose().to_string();
        let config = Config::new("a", [("a", "10.0.0.1:1")]).secret(key);
        let shown = format!("{config:?} {:?}", config.check().unwrap());
        assert!(!shown.contains(&text) && !shown.contains("90, 90"), "{shown}");
    }
}
