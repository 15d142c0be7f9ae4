//! How a store is set up and connected.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::cleaner::Cleaner;
use crate::connection::{Connection, Options, Target};
use crate::counters::Counts;
use crate::error::ConnectError;
use crate::pool::Pool;
use crate::schema::{Database, SchemaFault};
use crate::steps::Shared;
use crate::store::SqlStore;

/// Settings of a [`SqlStore`]. Each of them has a default that is good for most.
#[derive(Clone)]
pub struct SqlStoreBuilder {
    url: String,
    timeout: Duration,
    connections: Option<usize>,
    may_migrate: bool,
    cleanup: Option<Duration>,
    is_durable: bool,
}

/// How long a call may take, the wait for a connection included: long for a database, and well before
/// a visitor gives up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Below a millisecond a database takes it for none at all.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Longer than anybody waits: it guards against a number that was meant to be another one.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// Connections to a server. A call holds one for a millisecond or less, so these serve some thousand
/// requests a second; ten servers together stay below the hundred connections that PostgreSQL accepts.
const CONNECTIONS: usize = 10;

/// Connections that read a SQLite file, beside the one that writes: it is work for the processor, of
/// which there are a few.
const SQLITE_READERS: usize = 4;

/// More than any pool needs: it guards against a number that was meant to be another one.
const CONNECTIONS_MAX: usize = 1000;

/// How often to clean up: what has expired takes room for a minute longer.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);

/// How long the tables may take to make, waiting for others that make them included.
pub(crate) const MIGRATION_TIMEOUT: Duration = Duration::from_secs(90);

impl SqlStoreBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            timeout: TIMEOUT,
            connections: None,
            may_migrate: true,
            cleanup: Some(CLEANUP_INTERVAL),
            is_durable: false,
        }
    }

    /// How long a call may take, the wait for a connection included, 1 ms to 1 h. Default: 2 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many connections to keep at most, 1 to 1000. Default: 10; for SQLite 4 that read, beside the
    /// one that writes. They are opened when they are needed.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Whether to make or migrate the tables. Default: yes. If not, connecting fails where they are not
    /// what this build needs; [`SqlStore::schema`] has the SQL.
    pub const fn migrate(mut self, may_migrate: bool) -> Self {
        self.may_migrate = may_migrate;
        self
    }

    /// How often to drop what has expired (not 0), or none for never: then somebody has to call
    /// [`SqlStore::cleanup`]. Default: every minute.
    pub fn cleanup(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.cleanup = interval.into();
        self
    }

    /// Whether a SQLite waits for the disk at each change (`synchronous = FULL`). Default: no
    /// (`NORMAL`): then a power cut or a crash of the operating system may take back the changes of
    /// the last moments, a logout among them. A crash of the application takes back nothing. Servers
    /// have a setting of their own for this.
    pub const fn durable(mut self, is_durable: bool) -> Self {
        self.is_durable = is_durable;
        self
    }

    /// Connects, and makes the tables where they are missing.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(self) -> Result<SqlStore, ConnectError> {
        if let Some(connections) = self.connections
            && !(1..=CONNECTIONS_MAX).contains(&connections)
        {
            let reason = format!("{connections} connections; it takes 1 to {CONNECTIONS_MAX}");
            return Err(ConnectError::BadUrl(reason));
        }
        if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&self.timeout) {
            let reason = format!(
                "a time-out of {:?}; it takes {TIMEOUT_MIN:?} to {TIMEOUT_MAX:?}",
                self.timeout
            );
            return Err(ConnectError::BadUrl(reason));
        }
        if self.cleanup == Some(Duration::ZERO) {
            let reason = "to clean up every 0 s; give an interval, or none for never";
            return Err(ConnectError::BadUrl(reason.to_owned()));
        }
        let (target, address) = self.target()?;
        let first = tokio::time::timeout(self.timeout, target.open());
        let mut first = match first.await {
            Ok(opened) => opened.map_err(|fault| ConnectError::of(fault, &address))?,
            Err(_elapsed) => {
                let cause = format!("it did not answer within {:?}", self.timeout).into();
                return Err(ConnectError::Unreachable { address, cause });
            }
        };
        let ready = tokio::time::timeout(MIGRATION_TIMEOUT, prepare(&mut first, self.may_migrate));
        match ready.await {
            Ok(Ok(())) => {}
            Ok(Err(SchemaFault::Connect(error))) => return Err(error),
            Ok(Err(SchemaFault::Sql(fault))) => return Err(ConnectError::of(fault, &address)),
            Err(_elapsed) => {
                let cause = format!("its tables were not ready within {MIGRATION_TIMEOUT:?}");
                return Err(ConnectError::Unreachable { address, cause: cause.into() });
            }
        }
        let shared = Arc::new(self.shared(&target, first));
        let cleaner = self.cleanup.map(|interval| Cleaner::start(Arc::clone(&shared), interval));
        Ok(SqlStore::of(shared, cleaner))
    }

    fn shared(&self, target: &Target, first: Connection) -> Shared {
        let database = target.database();
        let counts = Arc::new(Counts::default());
        let pool =
            |connections| Arc::new(Pool::new(target.clone(), connections, Arc::clone(&counts)));
        let (readers, writers) = if database != Database::Sqlite {
            let pool = pool(self.connections.unwrap_or(CONNECTIONS));
            (Arc::clone(&pool), pool)
        } else if is_in_memory(&self.url) {
            // Each connection would be a database of its own.
            let pool = pool(1);
            (Arc::clone(&pool), pool)
        } else {
            (pool(self.connections.unwrap_or(SQLITE_READERS)), pool(1))
        };
        writers.put(first);
        Shared { database, readers, writers, timeout: self.timeout, counts }
    }

    /// Where the URL leads, and how that is called in messages.
    fn target(&self) -> Result<(Target, String), ConnectError> {
        let (scheme, _) = self.url.split_once(':').unwrap_or((&self.url, ""));
        let bad = |cause: sqlx::Error| ConnectError::BadUrl(without_prefix(&cause));
        let bad_server = |cause: sqlx::Error| {
            ConnectError::BadUrl(format!(
                "{}; write {scheme}://user:password@host/database, with %40 for @, %3A for :, %2F \
                 for / and %23 for # in the password",
                without_prefix(&cause)
            ))
        };
        let (options, address) = match scheme {
            "postgres" | "postgresql" => {
                let options = PgConnectOptions::from_str(&self.url).map_err(bad_server)?;
                let address = format!("{}:{}", options.get_host(), options.get_port());
                (Options::Postgres(Box::new(self.postgres(options))), address)
            }
            "mysql" | "mariadb" => {
                let options = MySqlConnectOptions::from_str(&self.url).map_err(bad_server)?;
                if options.get_database().is_none_or(str::is_empty) {
                    return Err(ConnectError::BadUrl(
                        "it names no database; write mysql://user:password@host/database"
                            .to_owned(),
                    ));
                }
                let address = format!("{}:{}", options.get_host(), options.get_port());
                (Options::MySql(Box::new(options.disable_statement_logging())), address)
            }
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(&self.url).map_err(bad)?;
                if options.get_filename().as_os_str().is_empty() {
                    let reason = "it names no file; write sqlite:///var/lib/shop/sessions.db";
                    return Err(ConnectError::BadUrl(reason.to_owned()));
                }
                let address = options.get_filename().display().to_string();
                (Options::Sqlite(Box::new(self.sqlite(options)?)), address)
            }
            _ => {
                return Err(ConnectError::BadUrl(
                    "it begins with none of postgres:, mysql:, mariadb: and sqlite:; \
                     write for example postgres://user:password@host/database"
                        .to_owned(),
                ));
            }
        };
        Ok((Target { options, timeout: self.timeout }, address))
    }

    fn postgres(&self, options: PgConnectOptions) -> PgConnectOptions {
        let statement_ms = self.timeout.as_millis();
        options.disable_statement_logging().options([
            ("statement_timeout", statement_ms.to_string()),
            // Whoever stops in the middle of a change must not hold others up for longer.
            ("idle_in_transaction_session_timeout", statement_ms.to_string()),
            ("default_transaction_isolation", "read committed".to_owned()),
            // Each statement finds its rows by key, whatever the statistics of a young table say.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
            // What literals and answers look like, whatever an old database was set to.
            ("standard_conforming_strings", "on".to_owned()),
            ("bytea_output", "hex".to_owned()),
        ])
    }

    fn sqlite(&self, options: SqliteConnectOptions) -> Result<SqliteConnectOptions, ConnectError> {
        let synchronous =
            if self.is_durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
        let options = options
            .disable_statement_logging()
            .shared_cache(false)
            // Shorter than a call, so that the call says what it waited for.
            .busy_timeout(self.timeout.mul_f64(0.75))
            .synchronous(synchronous);
        if is_in_memory(&self.url) {
            return Ok(options);
        }
        make_file(options.get_filename(), &self.url)?;
        Ok(options.journal_mode(SqliteJournalMode::Wal))
    }
}

/// Makes a connection's database ready for sessions.
async fn prepare(connection: &mut Connection, may_migrate: bool) -> Result<(), SchemaFault> {
    if let Some(reason) = connection.unsuitable_version().await? {
        return Err(ConnectError::Unsuitable(reason).into());
    }
    // A server says so before anything is tried; a file only once the tables are there.
    let is_file = connection.database() == Database::Sqlite;
    if !is_file {
        refuse_read_only(connection).await?;
    }
    connection.migrate(may_migrate).await?;
    if is_file {
        refuse_read_only(connection).await?;
    }
    Ok(())
}

async fn refuse_read_only(connection: &mut Connection) -> Result<(), SchemaFault> {
    if connection.is_read_only().await? {
        let reason = "it takes no writes; connect to the primary, or end its read-only mode";
        return Err(ConnectError::Unsuitable(reason.to_owned()).into());
    }
    Ok(())
}

/// What the driver finds wrong with a URL.
fn without_prefix(cause: &sqlx::Error) -> String {
    match cause {
        sqlx::Error::Configuration(cause) => cause.to_string(),
        cause => cause.to_string(),
    }
}

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

/// Makes the file of a SQLite database if there is none, for nobody else to read. The files that
/// SQLite makes beside it are given the same permissions.
fn make_file(path: &Path, url: &str) -> Result<(), ConnectError> {
    if url.contains("mode=ro") || path.exists() {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => {
            Err(ConnectError::File { path: path.display().to_string(), cause: Box::new(cause) })
        }
    }
}

/// Shows the settings and nothing of the URL, which may hold a password.
impl std::fmt::Debug for SqlStoreBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStoreBuilder")
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .field("may_migrate", &self.may_migrate)
            .field("cleanup", &self.cleanup)
            .field("is_durable", &self.is_durable)
            .finish_non_exhaustive()
    }
}
