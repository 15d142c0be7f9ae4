//! Starting a node.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use abide_replica::{Birth, Config as NodeConfig, Node, NodeId};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

use crate::clock::wall;
use crate::config::{Checked, Config};
use crate::connect::Connector;
use crate::counters::Counts;
use crate::error::JoinError;
use crate::home::Home;
use crate::journal::Opened;
use crate::nodes::Nodes;
use crate::shell::{MAX_INPUTS, Shell};
use crate::store::{NodeStore, Shared};

/// How long [`join`] waits for others before it leaves the rest to those who call.
const JOIN_WAIT: Duration = Duration::from_secs(10);

/// Starts a node, and waits until it is [ready](NodeStore::is_ready): a moment, and longer if there is much to
/// hold; two seconds if others do not answer; and at most ten.
///
/// # Errors
/// See [`JoinError`]. Nothing is left running.
pub async fn join(config: Config) -> Result<NodeStore, JoinError> {
    let checked = check(config).await?;
    let listen = |cause| JoinError::Listen { address: checked.listen.clone(), cause };
    let listener = std::net::TcpListener::bind(&checked.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let opened = match checked.data.clone() {
        Some(folder) => Some(open(folder).await?),
        None => None,
    };
    let before = opened.as_ref().and_then(|opened| opened.recovered.birth(&checked.name));
    let later = before.map_or(0, |before| before.0.saturating_add(1));
    let birth = Birth(wall().as_millis().max(later));
    let (inputs, waiting) = mpsc::channel(MAX_INPUTS);
    let counts = Arc::<Counts>::default();
    let nodes = Nodes::new(checked.roster());
    let home = Arc::new(Home::new(&checked.name, &nodes.names()));
    let at_home = Arc::clone(&home);
    let own = NodeId::of(&checked.name);
    let mut node_config = NodeConfig::new(checked.contacts, own, birth);
    (node_config.copies, node_config.bytes_max) = (checked.copies, checked.bytes_max);
    let (identity, bytes_max) = (checked.identity.clone(), checked.bytes_max);
    let connector = Connector {
        nodes: nodes.clone(),
        identity: checked.identity,
        is_open: checked.is_open,
        birth: Arc::new(AtomicU64::new(birth.0)),
        node: inputs.clone(),
        counts: Arc::clone(&counts),
        last_number: AtomicU64::new(0),
    };
    let opened = opened.map(|opened| opened.go_on(Arc::clone(&counts))).transpose()?;
    let (recovered, journal) = opened.unzip();
    let stop = Arc::<Notify>::default();
    let stopping = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(JoinError::Thread)?;
    let thread = std::thread::Builder::new().name("abide-node".to_owned());
    let run = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let make = |now| match recovered {
                        Some(recovered) => Node::restored(node_config, recovered, now),
                        None => Node::new(node_config, now),
                    };
                    Shell::new(Arc::new(connector), at_home, journal, make)
                        .run(listener, waiting, &stopping)
                        .await;
                }
                Err(error) => tracing::error!(%error, "a node can not listen"),
            }
        });
    };
    thread.spawn(run).map_err(JoinError::Thread)?;
    let name = checked.name;
    let store =
        NodeStore::of(Shared { inputs, stop, counts, home, name, nodes, identity, bytes_max });
    let _ = tokio::time::timeout(JOIN_WAIT, store.ready()).await;
    Ok(store)
}

/// Looks at what it is told, and at the files that are named there.
async fn check(config: Config) -> Result<Checked, JoinError> {
    let checking = tokio::task::spawn_blocking(move || config.check()).await;
    checking.map_err(|error| JoinError::Thread(std::io::Error::other(error)))?
}

/// Reads what is in the folder, which may take seconds.
async fn open(folder: PathBuf) -> Result<Opened, JoinError> {
    let opening = tokio::task::spawn_blocking(move || Opened::folder(&folder)).await;
    opening.map_err(|error| JoinError::Thread(std::io::Error::other(error)))?
}
