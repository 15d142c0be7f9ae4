//! A network that can be cut: each server on a machine of its own, as far as its packets know.
//!
//! Each has a namespace with two interfaces. One leads to clients and the balancer. The other leads to
//! the other nodes through a switch that is two: a cut moves some servers to the second one, so that
//! packets between the two sides vanish without a word, as in a network that lost a cable between
//! switches. To cut one direction only, who sends is told a wrong hardware address of who should hear: the
//! switch carries such packets, and nobody takes them.
//!
//! Invariant: a shell script owns all that was made, and removes it when its pipe from here ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, Command};

use crate::process::{Failure, failed, spawn};

/// Addresses are those for tests of networks (RFC 2544): nobody has them.
const SCRIPT: &str = r#"
prefix=$1 count=$2
hub=${prefix}h
each() { number=1; while [ $number -le $count ]; do "$@" $number || return; number=$((number + 1)); done; }
make() {
  own=$prefix$1
  ip netns add $own && ip -n $own link set lo up &&
  ip link add ${prefix}c$1 type veth peer name clients netns $own &&
  ip addr add 198.18.$1.1/30 dev ${prefix}c$1 && ip link set ${prefix}c$1 up &&
  ip -n $own addr add 198.18.$1.2/30 dev clients && ip -n $own link set clients up &&
  ip -n $hub link add port$1 type veth peer name nodes netns $own &&
  ip -n $hub link set port$1 master left up &&
  ip -n $own addr add 198.19.0.$1/24 dev nodes && ip -n $own link set nodes up
}
switches() {
  ip netns add $hub &&
  ip -n $hub link add left type bridge && ip -n $hub link set left up &&
  ip -n $hub link add right type bridge && ip -n $hub link set right up
}
if switches 2>&1 && each make 2>&1; then echo ready; fi
exec >/dev/null 2>&1
read -r word
remove() { ip link del ${prefix}c$1; ip netns del $prefix$1; true; }
each remove
ip netns del $hub
"#;
const LISTEN_PORT: u16 = 8080;
const PEER_PORT: u16 = 7946;
/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:00:fe";

/// It exists as long as this value.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    script: Child,
    stdin: ChildStdin,
    /// Two networks would have the same addresses.
    _alone: File,
}

impl Network {
    /// Makes it for so many servers. The failure is the reason why there can be none here.
    pub(crate) async fn make(servers: usize) -> Result<Self, Failure> {
        let tried = "no network namespaces here";
        let path = std::env::temp_dir().join("abide-chaos-network");
        let alone = File::options().create(true).append(true).open(path).map_err(failed(tried))?;
        alone
            .try_lock()
            .map_err(|held| Failure(format!("{tried}: another run has them: {held}")))?;
        let prefix = format!("ab{}", std::process::id());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "network", &prefix, &servers.to_string()]);
        command.stderr(Stdio::null());
        let (script, stdin, line) = spawn(command, "").await.map_err(failed(tried))?;
        let network = Self { prefix, script, stdin, _alone: alone };
        if line.trim() == "ready" {
            return Ok(network);
        }
        network.remove().await;
        Err(Failure(format!("{tried}: `ip` says {:?}; it takes root and iproute2", line.trim())))
    }

    /// Where a server listens for clients.
    pub(crate) fn listen(server: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(198, 18, last_byte(server), 2), LISTEN_PORT))
    }

    /// Where it listens for other nodes.
    pub(crate) fn peer(server: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(198, 19, 0, last_byte(server)), PEER_PORT))
    }

    /// What runs a program on a server's machine.
    pub(crate) fn command(&self, server: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}{}", self.prefix, last_byte(server))]);
        command.arg(program);
        command
    }

    /// Puts a server on the far side of the cut, or back.
    pub(crate) async fn move_server(&self, server: usize, is_far: bool) -> Result<(), Failure> {
        let (hub, port) = (format!("{}h", self.prefix), format!("port{}", last_byte(server)));
        let switch = if is_far { "right" } else { "left" };
        change(&["-n", &hub, "link", "set", &port, "master", switch]).await
    }

    /// Loses what one server sends to another, or no more. What comes back the other way arrives.
    pub(crate) async fn lose(
        &self,
        (from, to): (usize, usize),
        is_lost: bool,
    ) -> Result<(), Failure> {
        let own = format!("{}{}", self.prefix, last_byte(from));
        let to = Self::peer(to).ip().to_string();
        let of_nodes = ["-n", &own, "neigh", if is_lost { "replace" } else { "del" }, &to];
        let wrong = ["lladdr", NOBODY, "nud", "permanent"];
        let wrong = if is_lost { &wrong[..] } else { &[] };
        change(&[&of_nodes[..], &["dev", "nodes"], wrong].concat()).await
    }

    /// Removes it, when nothing runs in it any more.
    pub(crate) async fn remove(self) {
        let Self { mut script, stdin, .. } = self;
        drop(stdin);
        // It says nothing, and goes on to the next when one is gone already.
        _ = script.wait().await;
    }
}

/// Changes the network while it is in use.
async fn change(arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("ip").args(arguments).status().await;
    let status = status.map_err(failed("can not cut the network"))?;
    if status.success() { Ok(()) } else { Err(Failure("can not cut the network".to_owned())) }
}

/// Servers count from 1 in addresses.
fn last_byte(server: usize) -> u8 {
    u8::try_from(server).unwrap_or(u8::MAX - 1) + 1
}
