//! Going to the place where sessions are kept, before anything else of a command has started.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use abide::{AtRest, KeyRing, MemoryStore, Moving, Observed, SessionLayer, Store, StoreError};

use abide_node::Certificates;

use super::driver::Driver;
use super::{Choice, Keep, Other, StoreAddress};
use crate::failure::Failure;

/// How long a request may wait for its session while sessions move: a call is then up to six, one
/// after the other, of two stores. Each of these has a limit of its own.
const MOVING_TIMEOUT: Duration = Duration::from_secs(5);

/// Where sessions are kept, open.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What a server puts around its routes.
    pub(crate) sessions: SessionLayer,
    /// The word for programs: `memory`, `cookie`, or the kind of store.
    pub(crate) word: &'static str,
    /// The store, if it is in this process.
    pub(crate) memory: Option<Arc<MemoryStore>>,
    /// The stores that are elsewhere: one, or the two ends of a move.
    pub(crate) stores: Vec<Opened>,
    /// The two ends as one.
    moving: Option<Observed>,
}

impl Kept {
    fn new(sessions: SessionLayer, word: &'static str) -> Self {
        Self { sessions, word, memory: None, stores: Vec::new(), moving: None }
    }

    /// The node that this server is, if it is one.
    pub(crate) fn node(&self) -> Option<&abide_node::NodeStore> {
        self.stores.iter().find_map(Opened::node)
    }

    /// What happened to sessions, and what the stores were asked, for Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let counters = self.sessions.counters().to_string();
        let stores = self.stores.iter().map(|store| &store.observed);
        let observed: Vec<&Observed> = stores.chain(&self.moving).collect();
        // Without a store there is nothing to say of stores.
        if observed.is_empty() {
            return counters;
        }
        let node = match self.node() {
            Some(node) => node.metrics().await,
            None => String::new(),
        };
        counters + &Observed::metrics_of(&observed) + &node
    }
}

/// The server that opens a place.
pub(crate) struct Server<'a> {
    pub(crate) name: &'a str,
    /// Where it keeps what it holds, if it is a node.
    pub(crate) data: Option<&'a Path>,
    /// What it shows to other nodes, if that is not a secret.
    pub(crate) certificates: Option<&'a Certificates>,
    /// Whether what it opens is an end of a move. Then a node answers only what is certain: what it passes on
    /// in a cut would stay as it was on its side.
    pub(crate) is_moving: bool,
}

/// A store that is elsewhere, open.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    driver: Driver,
    store: Arc<dyn Store>,
    observed: Observed,
    name: &'static str,
}

impl Opened {
    /// Opens a store, and puts around it what seals its values if it is one that is sealed. In what
    /// is counted it has this name.
    async fn open(
        address: &StoreAddress,
        keys: Option<&KeyRing>,
        counted_as: &str,
    ) -> Result<Self, Failure> {
        let driver = Driver::connect(address).await?;
        let store = match keys {
            Some(keys) if address.is_sealed() => {
                Arc::new(AtRest::new(driver.store(), keys.clone())) as Arc<dyn Store>
            }
            _ => driver.store(),
        };
        Ok(Self::new(driver, store, counted_as, address.kind().name()))
    }

    /// Opens a place that is no memory and no cookie, for this server.
    pub(crate) async fn place(
        keep: &Keep,
        keys: Option<&KeyRing>,
        counted_as: &str,
        at: &Server<'_>,
    ) -> Result<Self, Failure> {
        match (keep, keys) {
            (Keep::Store(address), _) => Self::open(address, keys, counted_as).await,
            (Keep::Nodes(list), _) => {
                let config = list.config(at.name);
                let config = match (at.certificates, keys) {
                    (Some(certificates), _) => config.certificates(certificates.clone()),
                    (None, Some(keys)) => config.secrets(keys.clone()),
                    (None, None) => return Err(Failure::Told),
                };
                let config = match at.data {
                    Some(folder) => config.data(folder),
                    None => config,
                };
                let joined = abide_node::join(config).await;
                let node = joined.map_err(|error| Failure::Other(error.to_string()))?;
                let driver = Driver::Node(if at.is_moving { node.certain() } else { node });
                let store = driver.store();
                Ok(Self::new(driver, store, counted_as, "this server as a node"))
            }
            _ => Err(Failure::Told),
        }
    }

    fn new(driver: Driver, store: Arc<dyn Store>, counted_as: &str, name: &'static str) -> Self {
        let counting = driver.clone();
        let observed =
            Observed::new(Arc::clone(&store), counted_as).with_counters(move || counting.events());
        Self { driver, store, observed, name }
    }

    /// The node, if this server is one.
    pub(crate) const fn node(&self) -> Option<&abide_node::NodeStore> {
        match &self.driver {
            Driver::Node(node) => Some(node),
            _ => None,
        }
    }

    /// What people call it.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The store itself, for work that takes its time.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Asks it for a sign of life.
    pub(crate) async fn health(&self) -> Result<(), StoreError> {
        self.driver.health().await
    }
}

/// Opens what was chosen, for the server of this name. On an error nothing is left open.
pub(crate) async fn open(choice: Choice, name: &str) -> Result<Kept, Failure> {
    let Choice { keep, other, data, keys, certificates, .. } = choice;
    let at = Server {
        name,
        data: data.as_deref(),
        certificates: certificates.as_ref(),
        is_moving: other.place().is_some(),
    };
    let word = keep.word();
    let keys = keys.as_deref();
    match (&keep, other.place()) {
        (Keep::Memory, _) => {
            let store = Arc::new(MemoryStore::new());
            let sessions = SessionLayer::new(Arc::clone(&store));
            Ok(Kept { memory: Some(store), ..Kept::new(sessions, word) })
        }
        (Keep::Cookie, from) => {
            let ring = keys.ok_or(Failure::Told)?;
            let sessions = SessionLayer::sealed(ring.clone());
            let Some(from) = from else { return Ok(Kept::new(sessions, word)) };
            let store = Opened::place(from, keys, "other", &at).await?;
            let sessions = sessions.carry_over_stored(store.observed.clone());
            Ok(Kept { stores: vec![store], ..Kept::new(sessions, word) })
        }
        (_, Some(elsewhere @ (Keep::Store(_) | Keep::Nodes(_)))) => {
            let here = Opened::place(&keep, keys, "keep", &at).await?;
            let there = Opened::place(elsewhere, keys, "other", &at).await?;
            let (first, second) = (here.observed.clone(), there.observed.clone());
            let moving = match other {
                Other::Next(_) => Moving::prepared(first, second),
                Other::None | Other::From(_) => Moving::new(first, second),
            };
            let counting = moving.clone();
            let observed = Observed::new(moving, "both")
                .timeout(MOVING_TIMEOUT)
                .with_counters(move || counting.counters());
            let sessions = SessionLayer::new(observed.clone()).store_timeout(MOVING_TIMEOUT);
            let (stores, moving) = (vec![here, there], Some(observed));
            Ok(Kept { stores, moving, ..Kept::new(sessions, word) })
        }
        (_, from) => {
            let store = Opened::place(&keep, keys, word, &at).await?;
            let mut sessions = SessionLayer::new(store.observed.clone());
            if let (Some(Keep::Cookie), Some(keys)) = (from, keys) {
                sessions = sessions.carry_over_sealed(keys.clone());
            }
            Ok(Kept { stores: vec![store], ..Kept::new(sessions, word) })
        }
    }
}
