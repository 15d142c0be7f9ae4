//! What can go wrong, and what of it may be tried again.

use std::error::Error;
use std::fmt;

use abide_session::{Cause, StoreError};
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;

/// Why a store could not be connected. Nothing of it can be used; try again after what is said.
///
/// No variant shows the password of the URL.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL, or a setting beside it, can not be right. Nothing was contacted. Correct it.
    BadUrl(String),
    /// Nobody answers there, or not in time. Nothing changed. Try again, or correct the address.
    Unreachable {
        /// Where: host and port, or the file.
        address: String,
        /// What the driver says.
        cause: Cause,
    },
    /// The database refuses: the password is wrong, there is no such database, or the user is not
    /// permitted to do what is needed. Nothing changed. Correct the URL, or grant what is missing.
    Refused {
        /// Where: host and port, or the file.
        address: String,
        /// What the database says.
        cause: Cause,
    },
    /// The file of a SQLite can not be opened or made: its folder is missing, or this user may not read
    /// and write there. Nothing changed. Make the folder, grant what is missing, or correct the URL.
    File {
        /// The file.
        path: String,
        /// What the system or the driver says.
        cause: Cause,
    },
    /// The database answers but can not keep sessions as it is: it is read-only, too old, or its
    /// schema is another than this build knows. Nothing changed. The text says what to do.
    Unsuitable(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(reason) => {
                write!(f, "the URL or a setting of the session database is wrong: {reason}")
            }
            Self::Unreachable { address, cause } => {
                write!(f, "the session database at {address} can not be reached: {cause}")
            }
            Self::Refused { address, cause } => {
                write!(f, "the session database at {address} refuses: {cause}")
            }
            Self::File { path, cause } => write!(
                f,
                "the file of the session database, {path}, can not be opened: {cause}; make its \
                 folder, and let this user write to the folder and the file"
            ),
            Self::Unsuitable(reason) => write!(f, "the session database can not be used: {reason}"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. }
            | Self::Refused { cause, .. }
            | Self::File { cause, .. } => Some(&**cause),
            Self::BadUrl(_) | Self::Unsuitable(_) => None,
        }
    }
}

impl ConnectError {
    /// What an error of the driver means for who is connecting.
    pub(crate) fn of(fault: Fault, address: &str) -> Self {
        let address = address.to_owned();
        match fault {
            Fault::Sql(sqlx::Error::Configuration(cause)) => Self::BadUrl(cause.to_string()),
            Fault::Sql(sqlx::Error::Database(cause)) if refuses_writes(&*cause) => {
                Self::Unsuitable(format!("it takes no writes: {}", cause.message()))
            }
            Fault::Sql(sqlx::Error::Database(cause)) => {
                let (passes, is_file) = (is_passing(&*cause), is_no_file(&*cause));
                let cause = cause.message().to_owned().into();
                match (passes, is_file) {
                    (true, _) => Self::Unreachable { address, cause },
                    (false, true) => Self::File { path: address, cause },
                    (false, false) => Self::Refused { address, cause },
                }
            }
            Fault::Sql(cause) => Self::Unreachable { address, cause: Box::new(cause) },
            Fault::Store(cause) => Self::Unreachable { address, cause: Box::new(cause) },
        }
    }
}

/// What a step of a call can end with.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(cause: sqlx::Error) -> Self {
        Self::Sql(cause)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(crate) fn corrupt(what: &'static str) -> Self {
        Self::Store(StoreError::Corrupt(what.into()))
    }

    pub(crate) fn unavailable(what: impl Into<Cause>) -> Self {
        Self::Store(StoreError::Unavailable(what.into()))
    }

    /// What the caller of the store gets to see.
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(sqlx::Error::Database(cause)) if is_out_of_room(&*cause) => StoreError::Full,
            Self::Sql(sqlx::Error::Database(cause)) => {
                StoreError::Unavailable(cause.message().to_owned().into())
            }
            Self::Sql(
                cause @ (sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. }),
            ) => StoreError::Corrupt(Box::new(cause)),
            Self::Sql(cause) => StoreError::Unavailable(Box::new(cause)),
        }
    }

    /// Whether the connection is as good after it as before.
    pub(crate) fn keeps_connection(&self) -> bool {
        match self {
            Self::Store(StoreError::Unavailable(_)) => false,
            Self::Store(_) => true,
            // A server that takes no writes any more may have handed over to another, which a new
            // connection finds.
            Self::Sql(sqlx::Error::Database(cause)) => {
                !is_starting_or_stopping(&**cause) && !refuses_writes(&**cause)
            }
            Self::Sql(_) => false,
        }
    }

    /// Whether the database undid the call to let another one through: the same call may be made
    /// again at once. A busy SQLite is none of these: it was waited for as long as there is time.
    pub(crate) fn gives_way(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(cause)) = self else { return false };
        match mysql_number(&**cause) {
            // 1205: the lock was not got in time; 1213: deadlock.
            Some(number) => matches!(number, 1205 | 1213),
            // serialization_failure, deadlock_detected, lock_not_available
            None => cause.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03")),
        }
    }

    /// Whether somebody else has the SQLite file for himself.
    pub(crate) fn is_busy_file(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(cause)) = self else { return false };
        mysql_number(&**cause).is_none()
            && cause.code().is_some_and(|code| sqlite_code(&code) == Some(SQLITE_BUSY))
    }

    /// Whether there already is a row of this key.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::Database(cause)) if cause.is_unique_violation())
    }
}

const SQLITE_BUSY: i64 = 5;
const SQLITE_READONLY: i64 = 8;
const SQLITE_FULL: i64 = 13;
const SQLITE_CANTOPEN: i64 = 14;

/// The primary result code of SQLite, which are the lower 8 bits of what it reports.
fn sqlite_code(code: &str) -> Option<i64> {
    if code.len() == 5 { None } else { code.parse::<i64>().ok().map(|code| code & 0xff) }
}

pub(crate) fn mysql_number(cause: &dyn DatabaseError) -> Option<u16> {
    cause.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

fn is_out_of_room(cause: &dyn DatabaseError) -> bool {
    match mysql_number(cause) {
        // 3: a file could not be written; 1021: disk full; 1030: an error of the storage engine, of
        // which 28 is no space left; 1114: table full.
        Some(1030) => cause.message().contains("error 28"),
        Some(number) => matches!(number, 3 | 1021 | 1114),
        None => cause.code().is_some_and(|code| match &*code {
            // disk_full
            "53100" => true,
            code => sqlite_code(code) == Some(SQLITE_FULL),
        }),
    }
}

/// Whether the server or the file is read-only.
fn refuses_writes(cause: &dyn DatabaseError) -> bool {
    match mysql_number(cause) {
        // 1290: it was started so; 1792: the transaction is; 1836: it is being upgraded.
        Some(number) => matches!(number, 1290 | 1792 | 1836),
        None => cause.code().is_some_and(|code| match &*code {
            // read_only_sql_transaction
            "25006" => true,
            code => sqlite_code(code) == Some(SQLITE_READONLY),
        }),
    }
}

/// Whether it is another matter in a moment: somebody else has the database, or has all of its
/// connections.
fn is_passing(cause: &dyn DatabaseError) -> bool {
    is_starting_or_stopping(cause)
        || match mysql_number(cause) {
            // 1203: too many connections of this user; 1205: a lock was not got in time.
            Some(number) => matches!(number, 1203 | 1205),
            None => cause.code().is_some_and(|code| match &*code {
                // query_canceled, which is what a statement's time-out does; lock_not_available
                "57014" | "55P03" => true,
                code => sqlite_code(code) == Some(SQLITE_BUSY),
            }),
        }
}

/// Whether it is a SQLite file that can not be opened.
fn is_no_file(cause: &dyn DatabaseError) -> bool {
    mysql_number(cause).is_none()
        && cause.code().is_some_and(|code| sqlite_code(&code) == Some(SQLITE_CANTOPEN))
}

/// Whether the server goes away with this error, or has not come yet.
fn is_starting_or_stopping(cause: &dyn DatabaseError) -> bool {
    match mysql_number(cause) {
        // 1040: too many connections; 1053: shutting down; 1927: killed; 4031: idle too long.
        Some(number) => matches!(number, 1040 | 1053 | 1927 | 4031),
        None => cause.code().is_some_and(|code| {
            // Class 08: connection; 57P01 to 57P03: shutting down, crashed, starting; 53300: too
            // many connections.
            code.len() == 5
                && (code.starts_with("08") || code.starts_with("57P") || code == "53300")
        }),
    }
}
