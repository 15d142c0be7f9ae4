//! The tables, and how a database gets them.
//!
//! The version stands in `abide_schema` and grows with every change that an older build could not
//! live with. What a later build may add within a version: columns with a default, indexes, and
//! tables. A build names the columns it reads and writes, so it does not see them.

use crate::error::{ConnectError, Fault};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// PostgreSQL, 12 or later.
    Postgres,
    /// MySQL, 8.0 or later; MariaDB, 10.6 or later.
    MySql,
    /// SQLite, which is part of this crate.
    Sqlite,
}

/// The version of the schema that this build writes.
pub(crate) const VERSION: i64 = 1;

impl Database {
    /// Its migrations; the first makes version 1 of nothing.
    pub(crate) const fn migrations(self) -> [&'static str; 1] {
        match self {
            Self::Postgres => [include_str!("schema/postgres.sql")],
            Self::MySql => [include_str!("schema/mysql.sql")],
            Self::Sqlite => [include_str!("schema/sqlite.sql")],
        }
    }
}

/// What has to be run on a database of this version.
///
/// # Errors
/// [`ConnectError::Unsuitable`] if it is newer than this build, or has to be migrated and may not.
pub(crate) fn migrations_after(
    database: Database,
    version: i64,
    may_migrate: bool,
) -> Result<Vec<&'static str>, ConnectError> {
    if version > VERSION {
        return Err(ConnectError::Unsuitable(format!(
            "its schema has version {version} and this build knows {VERSION}; use a newer build"
        )));
    }
    if version < VERSION && !may_migrate {
        return Err(ConnectError::Unsuitable(format!(
            "its schema has version {version} and this build needs {VERSION}; run the SQL that \
             `SqlStore::schema` gives, or let the store migrate"
        )));
    }
    let done = usize::try_from(version).unwrap_or(0);
    Ok(database.migrations().into_iter().skip(done).collect())
}

/// Why a schema could not be made ready.
pub(crate) enum SchemaFault {
    Connect(ConnectError),
    Sql(Fault),
}

impl From<Fault> for SchemaFault {
    fn from(fault: Fault) -> Self {
        Self::Sql(fault)
    }
}

impl From<sqlx::Error> for SchemaFault {
    fn from(fault: sqlx::Error) -> Self {
        Self::Sql(Fault::Sql(fault))
    }
}

impl From<ConnectError> for SchemaFault {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}
