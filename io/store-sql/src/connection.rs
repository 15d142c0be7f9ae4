//! One connection to a database of any kind, and what is asked of it.
//!
//! Each function here is one round trip unless it says otherwise. Texts that are the same for every
//! call are prepared once on each connection.

use std::time::Duration;

use abide_session::{IdHash, MAX_LISTED, Subject};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use crate::decide::{Plain, Verdict};
use crate::error::Fault;
use crate::row::{Row, parse_id, read_rows, session_columns};
use crate::schema::{Database, SchemaFault};
use crate::statements::Text;
use crate::{mariadb, mysql, postgres, sqlite};

/// Where connections lead.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) options: Options,
    /// How long one statement may take.
    pub(crate) timeout: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Options {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

impl Target {
    pub(crate) const fn database(&self) -> Database {
        match self.options {
            Options::Postgres(_) => Database::Postgres,
            Options::MySql(_) => Database::MySql,
            Options::Sqlite(_) => Database::Sqlite,
        }
    }

    pub(crate) async fn open(&self) -> Result<Connection, Fault> {
        Ok(match &self.options {
            Options::Postgres(options) => Connection::Postgres(options.connect().await?),
            Options::MySql(options) => {
                let mut inner = options.connect().await?;
                let prepares_compound = mysql::prepare(&mut inner, self.timeout).await?;
                Connection::MySql { inner, prepares_compound }
            }
            Options::Sqlite(options) => Connection::Sqlite(sqlite::open(options).await?),
        })
    }
}

#[derive(Debug)]
pub(crate) enum Connection {
    Postgres(PgConnection),
    MySql {
        inner: MySqlConnection,
        /// It is a MariaDB, and has not refused what `mariadb.rs` asks of it.
        prepares_compound: bool,
    },
    Sqlite(SqliteConnection),
}

/// What one page of a walk has at most: enough that the round trip does not matter, and little to
/// hold in memory.
pub(crate) const SCANNED_PER_PAGE: usize = 500;

/// Runs the same on a connection of any kind.
macro_rules! on {
    ($connection:expr, $inner:ident => $body:expr) => {
        match $connection {
            Connection::Postgres($inner) => $body,
            Connection::MySql { inner: $inner, .. } => $body,
            Connection::Sqlite($inner) => $body,
        }
    };
}

pub(crate) use on;

/// A text twice: with numbered parameters, and with the question marks of MySQL. Each parameter
/// stands in it once, in order.
macro_rules! prepared {
    ($($part:expr, $parameter:literal),+; $end:expr) => {
        Prepared {
            numbered: concat!($($part, "$", $parameter),+, $end),
            question: concat!($($part, "?"),+, $end),
        }
    };
}

#[derive(Clone, Copy)]
struct Prepared {
    numbered: &'static str,
    question: &'static str,
}

impl Prepared {
    const fn of(self, database: Database) -> &'static str {
        match database {
            Database::MySql => self.question,
            Database::Postgres | Database::Sqlite => self.numbered,
        }
    }
}

const LIST: Prepared = prepared!(
    concat!(
        "SELECT ", session_columns!(), ", f.name, f.stamp, f.value FROM (SELECT l.* FROM abide_sessions l \
         LEFT JOIN abide_subjects m ON m.subject = l.subject \
         WHERE l.kind = 0 AND l.subject_stamp > coalesce(m.revoked_before, -1) AND l.subject = "
    ), 1, " AND l.seen + l.idle_timeout > ", 2, " AND l.hard_deadline > ", 3,
    " ORDER BY l.seen DESC, l.id LIMIT ", 4;
    ") s LEFT JOIN abide_subjects r ON r.subject = s.subject \
     LEFT JOIN abide_fields f ON f.id = s.id ORDER BY s.seen DESC, s.id"
);

const SCAN: Prepared = prepared!(
    "SELECT s.id FROM abide_sessions s LEFT JOIN abide_subjects m ON m.subject = s.subject \
     WHERE s.kind = 0 AND s.subject_stamp > coalesce(m.revoked_before, -1) AND s.id > ", 1,
    " AND s.seen + s.idle_timeout > ", 2, " AND s.hard_deadline > ", 3,
    " ORDER BY s.id LIMIT ", 4; ""
);

const REVOKED: Prepared =
    prepared!("SELECT revoked_before FROM abide_subjects WHERE subject = ", 1; "");

const LAST_BOUND: Prepared =
    prepared!("SELECT max(subject_stamp) FROM abide_sessions WHERE subject = ", 1; "");

impl Connection {
    pub(crate) const fn database(&self) -> Database {
        match self {
            Self::Postgres(_) => Database::Postgres,
            Self::MySql { .. } => Database::MySql,
            Self::Sqlite(_) => Database::Sqlite,
        }
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Fault> {
        on!(self, inner => inner.ping().await?);
        Ok(())
    }

    /// Runs statements whose rows nobody needs.
    pub(crate) async fn run(&mut self, text: Text) -> Result<(), Fault> {
        let (sql, values) = text.into_parts();
        match (self, values) {
            (Self::Sqlite(inner), Some(values)) => sqlite::run(inner, sql, values).await,
            (connection, _) => {
                let sql = sqlx::raw_sql(AssertSqlSafe(sql));
                on!(connection, inner => { sql.execute(&mut *inner).await?; });
                Ok(())
            }
        }
    }

    /// What stands under an id, and nobody else changes until this transaction, which begins with it, ends.
    pub(crate) async fn begin_and_load(&mut self, id: IdHash) -> Result<Option<Row>, Fault> {
        if let Self::Sqlite(inner) = self {
            return sqlite::begin_and_load(inner, id).await;
        }
        let mut text = Text::new(self.database());
        text.begin().lock(id);
        self.lock_and_load(text, id).await
    }

    /// The same of another id, in the same transaction. A SQLite is locked as a whole.
    pub(crate) async fn load_locked(&mut self, id: IdHash) -> Result<Option<Row>, Fault> {
        if let Self::Sqlite(inner) = self {
            return sqlite::load_locked(inner, id).await;
        }
        let mut text = Text::new(self.database());
        text.lock(id);
        self.lock_and_load(text, id).await
    }

    /// Two round trips. A row that is not there is locked by nobody: who looked for it might see one that
    /// was made since, and change it beside others that do.
    async fn lock_and_load(&mut self, text: Text, id: IdHash) -> Result<Option<Row>, Fault> {
        let sql = sqlx::raw_sql(AssertSqlSafe(text.sql()));
        let is_locked = match self {
            Self::Postgres(inner) => !sql.fetch_all(&mut *inner).await?.is_empty(),
            Self::MySql { inner, .. } => !sql.fetch_all(&mut *inner).await?.is_empty(),
            Self::Sqlite(_) => true,
        };
        if is_locked { self.load(id).await } else { Ok(None) }
    }

    pub(crate) async fn roll_back(&mut self) -> Result<(), Fault> {
        let mut text = Text::of_call(self.database());
        text.raw("ROLLBACK");
        match self.run(text).await {
            // SQLite ends a transaction by itself after some errors, and then has none to end.
            Err(Fault::Sql(sqlx::Error::Database(_))) if self.database() == Database::Sqlite => {
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// What stands under an id.
    pub(crate) async fn load(&mut self, id: IdHash) -> Result<Option<Row>, Fault> {
        match self {
            Self::Postgres(inner) => postgres::load(inner, id).await,
            Self::MySql { inner, .. } => mysql::load(inner, id).await,
            Self::Sqlite(inner) => sqlite::load(inner, id).await,
        }
    }

    /// The live sessions of a subject.
    pub(crate) async fn list(&mut self, subject: &Subject, now: i64) -> Result<Vec<Row>, Fault> {
        let sql = LIST.of(self.database());
        let most = i64::try_from(MAX_LISTED).unwrap_or(i64::MAX);
        on!(self, inner => {
            let query = sqlx::query(sql).bind(subject.as_str().as_bytes().to_vec());
            let query = query.bind(now).bind(now).bind(most);
            read_rows(&query.fetch_all(&mut *inner).await?)
        })
    }

    /// Ids of live sessions after this one.
    pub(crate) async fn scan(&mut self, after: &str, now: i64) -> Result<Vec<IdHash>, Fault> {
        let sql = SCAN.of(self.database());
        let most = i64::try_from(SCANNED_PER_PAGE).unwrap_or(i64::MAX);
        on!(self, inner => {
            let query = sqlx::query(sql).bind(after.to_owned()).bind(now).bind(now).bind(most);
            let rows = query.fetch_all(&mut *inner).await?;
            let ids = rows.iter().map(|row| parse_id(&row.try_get_unchecked::<String, _>(0)?));
            ids.collect()
        })
    }

    /// The mark of a subject.
    pub(crate) async fn revoked_before(&mut self, subject: &Subject) -> Result<Option<i64>, Fault> {
        let sql = REVOKED.of(self.database());
        let subject = subject.as_str().as_bytes().to_vec();
        on!(self, inner => {
            let row = sqlx::query(sql).bind(subject).fetch_optional(&mut *inner).await?;
            Ok(row.map(|row| row.try_get_unchecked(0)).transpose()?)
        })
    }

    /// The latest stamp at which a session was bound to a subject.
    pub(crate) async fn last_bound(&mut self, subject: &Subject) -> Result<Option<i64>, Fault> {
        let sql = LAST_BOUND.of(self.database());
        let subject = subject.as_str().as_bytes().to_vec();
        on!(self, inner => {
            let row = sqlx::query(sql).bind(subject).fetch_one(&mut *inner).await?;
            Ok(row.try_get_unchecked(0)?)
        })
    }

    /// Commits in one step where the database can decide, which a SQLite in the same process need
    /// not.
    pub(crate) async fn commit(&mut self, id: IdHash, plain: &Plain) -> Result<Verdict, Fault> {
        match self {
            Self::Postgres(inner) => postgres::commit(inner, id, plain).await,
            Self::MySql { inner, prepares_compound } => {
                if *prepares_compound && mariadb::takes(plain) {
                    match mariadb::commit(inner, id, plain).await {
                        Err(fault) if mariadb::is_unsupported(&fault) => *prepares_compound = false,
                        outcome => return outcome,
                    }
                }
                mysql::commit(inner, id, plain).await
            }
            Self::Sqlite(_) => Ok(Verdict::Contended),
        }
    }

    /// Ends a session in one step where the database can decide.
    pub(crate) async fn end(
        &mut self,
        id: IdHash,
        now: i64,
        reading: i64,
    ) -> Result<Verdict, Fault> {
        match self {
            Self::Postgres(inner) => postgres::end(inner, id, now, reading).await,
            Self::MySql { inner, prepares_compound } => {
                if *prepares_compound {
                    match mariadb::end(inner, id, now, reading).await {
                        Err(fault) if mariadb::is_unsupported(&fault) => *prepares_compound = false,
                        outcome => return outcome,
                    }
                }
                mysql::end(inner, id, now, reading).await
            }
            Self::Sqlite(_) => Ok(Verdict::Contended),
        }
    }

    /// Whether the server takes no writes: a replica, or one that was told to take none.
    pub(crate) async fn is_read_only(&mut self) -> Result<bool, Fault> {
        match self {
            Self::Postgres(inner) => postgres::is_read_only(inner).await,
            Self::MySql { inner, .. } => mysql::is_read_only(inner).await,
            Self::Sqlite(inner) => sqlite::is_read_only(inner).await,
        }
    }

    /// What is wrong with the version of the server, if anything is.
    pub(crate) async fn unsuitable_version(&mut self) -> Result<Option<String>, Fault> {
        match self {
            Self::Postgres(inner) => postgres::unsuitable_version(inner).await,
            Self::MySql { inner, .. } => mysql::unsuitable_version(inner).await,
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// Makes the schema what this build needs, one server at a time however many start at once.
    pub(crate) async fn migrate(&mut self, may_migrate: bool) -> Result<(), SchemaFault> {
        match self {
            Self::Postgres(inner) => postgres::migrate(inner, may_migrate).await,
            Self::MySql { inner, .. } => mysql::migrate(inner, may_migrate).await,
            Self::Sqlite(inner) => sqlite::migrate(inner, may_migrate).await,
        }
    }
}
