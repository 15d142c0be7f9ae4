//! How a store is connected, and with what.

use std::fmt;
use std::time::Duration;

use crate::address::{Login, Target};
use crate::client::{Client, Replicas, Settings};
use crate::error::ConnectError;
use crate::keys::Keys;
use crate::store::RedisStore;

/// Makes a [`RedisStore`]. Each setting has a default that fits most.
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
    connections: usize,
    authority: Option<Vec<u8>>,
    sentinel_login: Option<Login>,
    replicas: Option<Replicas>,
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds the password.
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

impl RedisStoreBuilder {
    /// How long a call may take unless said otherwise: far longer than a healthy server needs, and
    /// short enough that a visitor still gets an answer.
    pub const TIMEOUT: Duration = Duration::from_secs(2);
    /// The longest time that a call may take: nobody waits so long.
    pub const TIMEOUT_MAX: Duration = Duration::from_hours(1);
    /// Connections to each server unless said otherwise. Any number of calls share one, so one would
    /// do; with two, the calls behind a large value can pass it.
    pub const CONNECTIONS: usize = 2;
    /// The most connections to each server: the server has one thread for all of them.
    pub const CONNECTIONS_MAX: usize = 64;
    /// What the keys begin with unless said otherwise.
    pub const PREFIX: &str = "abide";
    /// The most bytes of a prefix: it is part of every key.
    pub const PREFIX_BYTES_MAX: usize = 64;

    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: Self::PREFIX.to_owned(),
            timeout: Self::TIMEOUT,
            connections: Self::CONNECTIONS,
            authority: None,
            sentinel_login: None,
            replicas: None,
        }
    }

    /// How long a call may take, finding and making a connection included; more than
    /// [`RedisStoreBuilder::TIMEOUT_MAX`] is taken for that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Self::TIMEOUT_MAX);
        self
    }

    /// Connections to each server, 1 to [`RedisStoreBuilder::CONNECTIONS_MAX`]; what is outside is
    /// taken for the nearest.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.clamp(1, Self::CONNECTIONS_MAX);
        self
    }

    /// What the keys begin with: several applications may share a server, each with a prefix. At
    /// most [`RedisStoreBuilder::PREFIX_BYTES_MAX`] bytes of text without `{` and `}`, which have a
    /// meaning of their own in a cluster.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        prefix.into().clone_into(&mut self.prefix);
        self
    }

    /// Certificates in PEM to trust in place of the system's, for an address that begins with
    /// `rediss`. The same as the option `ca=FILE` of the address.
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// Who to be to the sentinels, where they ask. The user and password of the address are for the
    /// servers.
    pub fn sentinel_login(mut self, user: Option<&str>, password: &str) -> Self {
        let (user, password) = (user.map(str::to_owned), Some(password.to_owned()));
        self.sentinel_login = Some(Login { user, password });
        self
    }

    /// Has each write confirmed by so many replicas (`WAIT`), in the same round trip, and waits so
    /// long for that, at most half of the time that a call may take. If fewer confirm it, the call
    /// is [`abide_session::StoreError::Unavailable`]; what was written stays on the primary.
    ///
    /// A confirmed write is in the memory of so many replicas. That makes its loss unlikely and not
    /// impossible: Sentinel and Cluster may still promote a replica that lacks it, and a primary
    /// that was cut off takes writes until it notices.
    pub fn wait_for_replicas(mut self, replicas: u16, timeout: Duration) -> Self {
        self.replicas = Some(Replicas { replicas, timeout }).filter(|_| replicas > 0);
        self
    }

    /// Connects, and looks whether the server can keep sessions.
    ///
    /// # Errors
    /// Each of [`ConnectError`].
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        let mut target = Target::parse(&self.url)?;
        if let Some(login) = self.sentinel_login {
            target.sentinel_login = login;
        }
        let keys = Keys::new(&self.prefix, Self::PREFIX_BYTES_MAX)?;
        let settings = Settings {
            timeout: self.timeout,
            connections: self.connections,
            authority: self.authority,
            replicas: self.replicas.map(|Replicas { replicas, timeout }| Replicas {
                replicas,
                timeout: timeout.min(self.timeout / 2),
            }),
        };
        Ok(RedisStore::new(Client::connect(target, settings).await?, keys))
    }
}
