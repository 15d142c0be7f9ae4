//! The list of nodes that keep sessions themselves, as `nodes://a=10.0.0.1:7946,b=10.0.0.2:7946`.
//!
//! Those that are started together are given the same text; which of them a process is, its name says. One that
//! joins them later needs itself and one that runs. Behind a `?` may stand `copies=3`,
//! `listen=0.0.0.0:7946` where a node listens elsewhere than it is found, and `memory-mib=512`.

use std::fmt;

use abide_node::Config;

use crate::configuration::{Fault, value};

/// The nodes of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NodeList {
    nodes: Vec<(String, String)>,
    copies: usize,
    listen: Option<String>,
    /// Above so many bytes it refuses new sessions.
    memory_bytes: Option<usize>,
    text: String,
}

/// How such a list begins.
pub(crate) const SCHEME: &str = "nodes";
pub(super) const EXAMPLE: &str = "write it as in nodes://a=10.0.0.1:7946,b=10.0.0.2:7946";
/// What a list without a word about it means.
const COPIES: usize = 2;

impl NodeList {
    /// What stands behind `nodes://`.
    pub(super) fn parse(rest: &str) -> Result<Self, Fault> {
        let (list, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let text = format!("{SCHEME}://{rest}");
        let mut parsed =
            Self { nodes: Vec::new(), copies: COPIES, listen: None, memory_bytes: None, text };
        for node in list.split(',') {
            let (name, address) = node.split_once('=').ok_or_else(|| {
                Fault::new(format!("`{node}` is no name of a node and its address"), EXAMPLE)
            })?;
            let name = value::server_name(name)?;
            parsed.nodes.push((name.to_string(), address.to_owned()));
        }
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("copies", copies)) => {
                    let number = copies
                        .parse()
                        .ok()
                        .filter(|copies| (1..=Config::COPIES_MAX).contains(copies));
                    parsed.copies = number.ok_or_else(|| {
                        let remedy = format!("write 1 to {}", Config::COPIES_MAX);
                        Fault::new(format!("`copies={copies}` is out of range"), remedy)
                    })?;
                }
                Some(("listen", address)) => parsed.listen = Some(address.to_owned()),
                Some(("memory-mib", mebibytes)) => {
                    let bytes = mebibytes.parse().ok().filter(|mebibytes| *mebibytes > 0);
                    let bytes = bytes.and_then(|mebibytes: usize| mebibytes.checked_mul(1 << 20));
                    parsed.memory_bytes = Some(bytes.ok_or_else(|| {
                        let fault = format!("`memory-mib={mebibytes}` is no size");
                        Fault::new(fault, "write a number of mebibytes, as in memory-mib=512")
                    })?);
                }
                _ => {
                    let fault = format!("`{parameter}` means nothing for nodes");
                    return Err(Fault::new(fault, "there are copies=, listen= and memory-mib="));
                }
            }
        }
        Ok(parsed)
    }

    /// These nodes, as names and addresses.
    pub(crate) fn of(nodes: Vec<(String, String)>) -> Self {
        let listed: Vec<String> =
            nodes.iter().map(|(name, address)| format!("{name}={address}")).collect();
        let text = format!("{SCHEME}://{}", listed.join(","));
        Self { nodes, copies: COPIES, listen: None, memory_bytes: None, text }
    }

    /// What the node of this name is told, but by what it knows others.
    pub(super) fn config(&self, name: &str) -> Config {
        let config = Config::new(name, self.nodes.clone()).copies(self.copies);
        let config = match &self.listen {
            Some(address) => config.listen(address),
            None => config,
        };
        match self.memory_bytes {
            Some(bytes) => config.memory_bytes(bytes),
            None => config,
        }
    }

    /// On how many of them each session is to be.
    pub(crate) const fn copies(&self) -> usize {
        self.copies
    }

    /// As it was typed. There is nothing secret in it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_node_and_where_it_is() {
        let list =
            NodeList::parse("a=10.0.0.1:7946,b=[::1]:2?copies=3&listen=0.0.0.0:1&memory-mib=2")
                .unwrap();
        let nodes = [("a", "10.0.0.1:7946"), ("b", "[::1]:2")];
        let nodes = nodes.map(|(name, address)| (name.to_owned(), address.to_owned()));
        assert_eq!((list.nodes.as_slice(), list.copies), (&nodes[..], 3));
        assert_eq!(list.listen.as_deref(), Some("0.0.0.0:1"));
        assert_eq!(list.memory_bytes, Some(2 << 20));
        let text = "nodes://a=10.0.0.1:7946,b=[::1]:2?copies=3&listen=0.0.0.0:1&memory-mib=2";
        assert_eq!(list.to_string(), text);
        let again = NodeList::of(nodes.to_vec());
        assert_eq!(again.to_string(), "nodes://a=10.0.0.1:7946,b=[::1]:2");
    }

    #[test]
    fn what_is_no_list_is_said_with_how_one_looks() {
        for (text, told) in [
            ("", "no name of a node"),
            ("10.0.0.1:7946", "no name of a node"),
            ("a=1,,b=2", "no name of a node"),
            ("a b=10.0.0.1:1", "a b"),
            ("a=10.0.0.1:1?copies=9", "out of range"),
            ("a=10.0.0.1:1?copy=2", "means nothing"),
            ("a=10.0.0.1:1?memory-mib=0", "is no size"),
            ("a=10.0.0.1:1?memory-mib=99999999999999", "is no size"),
        ] {
            let fault = NodeList::parse(text).map(|list| list.to_string()).unwrap_err();
            assert!(fault.fault.contains(told), "{text}: {fault:?}");
        }
    }
}
