//! What only MySQL and MariaDB do; `mariadb.rs` has the form that MariaDB takes of a commit and an end.
//!
//! A commit is one text of several statements, and so one round trip. The first locks the session and
//! takes what it needs of it into variables of the connection; from these follow a verdict and a
//! stamp; and each statement that writes asks for the verdict. Each statement sees what was committed
//! before it began (READ COMMITTED), and nobody else changes a session whose row is locked, so what
//! it sees of the fields is what is there.
//!
//! `InnoDB` locks every row that a statement looks at, also those it then does not change. So each
//! statement that writes finds its rows by their whole key. The one exception is an end, which removes
//! the fields of a session without having read their names: it may wait for the session of the next id,
//! and always for a later one, so two of them never wait for each other.

use std::time::Duration;

use abide_session::{FieldName, IdHash, Limit, MAX_FIELDS, MAX_RECORD_BYTES};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::decide::{Plain, Verdict};
use crate::error::Fault;
use crate::row::{Kind, Row, read_rows, read_stub, session_columns};
use crate::schema::{Database, SchemaFault, migrations_after};
use crate::statements::Text;

/// How long a server waits for another one that is changing the schema.
const MIGRATION_WAIT_SECS: u64 = 60;

/// How many bytes of names the answer to a commit can list: [`MAX_FIELDS`] of the longest, in
/// hexadecimal, with a comma each.
const CONFLICTS_BYTES_MAX: usize = MAX_FIELDS * (abide_session::MAX_FIELD_NAME_BYTES * 2 + 1);

/// Makes a new connection what the statements here need, and says whether it leads to a MariaDB.
pub(crate) async fn prepare(
    connection: &mut MySqlConnection,
    timeout: Duration,
) -> Result<bool, Fault> {
    let wait_secs = timeout.as_secs().max(1);
    // The last one is for MariaDB alone: whoever is cut off in the middle of a change must not keep
    // the session locked until the server notices.
    let sql = format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION innodb_lock_wait_timeout = {wait_secs}, \
         group_concat_max_len = {CONFLICTS_BYTES_MAX} \
         /*M!100300 , idle_transaction_timeout = {wait_secs} */; SELECT version()"
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
    let version: String = row.try_get_unchecked(0)?;
    Ok(version.contains("MariaDB"))
}

/// A session under an id: a row for each of its fields. (With what is the session's in one row of its own, by
/// `UNION ALL`, a fifth fewer bytes come back, and MariaDB takes a seventh longer.)
const LOAD: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", f.name, f.stamp, f.value FROM abide_sessions s \
     LEFT JOIN abide_subjects r ON r.subject = s.subject \
     LEFT JOIN abide_fields f ON f.id = s.id WHERE s.id = ?"
);

pub(crate) async fn load(
    connection: &mut MySqlConnection,
    id: IdHash,
) -> Result<Option<Row>, Fault> {
    let rows = sqlx::query(LOAD).bind(id.to_string()).fetch_all(connection).await?;
    Ok(read_rows(&rows)?.into_iter().next())
}

pub(crate) async fn commit(
    connection: &mut MySqlConnection,
    id: IdHash,
    plain: &Plain,
) -> Result<Verdict, Fault> {
    let mut text = Text::new(Database::MySql);
    text.begin();
    lock(&mut text, id);
    unmet(&mut text, id, plain);
    replaced(&mut text, id, plain);
    text.raw(
        "SET @abide_code = CASE WHEN @abide_kind IS NULL THEN 1 WHEN @abide_kind IN (1, 2) THEN 2",
    );
    text.raw(" WHEN @abide_kind <> 0 OR @abide_revoked OR @abide_deadline <= ").number(plain.now);
    text.raw(" THEN 1 WHEN @abide_unmet IS NOT NULL THEN 3 WHEN @abide_count - @abide_fields + ");
    text.number(plain.put_count()).raw(" > ").number(most(MAX_FIELDS));
    text.raw(" THEN 5 WHEN @abide_subject + @abide_size - @abide_bytes + ");
    text.number(plain.put_bytes()).raw(" + 160 > ").number(most(MAX_RECORD_BYTES));
    text.raw(" THEN 6 ELSE 0 END, @abide_next = greatest(").number(plain.reading);
    text.raw(", @abide_stamp + 1); ");
    write(&mut text, id, plain);
    answer(&mut text);
    run(connection, text).await
}

pub(crate) async fn end(
    connection: &mut MySqlConnection,
    id: IdHash,
    now: i64,
    reading: i64,
) -> Result<Verdict, Fault> {
    let mut text = Text::new(Database::MySql);
    text.begin();
    lock(&mut text, id);
    text.raw("SET @abide_unmet = NULL, @abide_next = greatest(").number(reading);
    text.raw(", @abide_stamp + 1), @abide_code = CASE WHEN @abide_kind IS NULL THEN 1");
    text.raw(" WHEN @abide_kind IN (1, 2) THEN 2");
    text.raw(" WHEN @abide_kind <> 0 OR @abide_revoked THEN 1 WHEN @abide_deadline <= ");
    // Expired by this clock, and ended for those that are behind.
    text.number(now).raw(" THEN 7 ELSE 0 END; ");
    text.delete("abide_fields").raw("@abide_code IN (0, 7) AND id = ").id(id).raw("; ");
    text.update("abide_sessions").raw("kind = 3, stamp = @abide_next, subject = NULL, ");
    text.raw("field_count = 0, field_bytes = 0 WHERE @abide_code IN (0, 7) AND id = ")
        .id(id)
        .raw("; ");
    answer(&mut text);
    run(connection, text).await
}

/// Locks the session and takes what is needed of it.
fn lock(text: &mut Text, id: IdHash) {
    text.raw(
        "SET @abide_kind = NULL; SELECT s.kind, s.stamp, least(s.seen + s.idle_timeout, \
         s.hard_deadline), s.subject_stamp <= coalesce((SELECT r.revoked_before FROM \
         abide_subjects r WHERE r.subject = s.subject), -1), coalesce(length(s.subject), 0), \
         s.field_count, s.field_bytes, s.moved_to, s.moved_until INTO @abide_kind, @abide_stamp, \
         @abide_deadline, @abide_revoked, @abide_subject, @abide_count, @abide_size, @abide_to, \
         @abide_until FROM abide_sessions s WHERE s.id = ",
    );
    text.id(id).raw(" FOR UPDATE; ");
}

/// Finds the fields that are not as expected.
fn unmet(text: &mut Text, id: IdHash, plain: &Plain) {
    if plain.expected.is_empty() {
        text.raw("SET @abide_unmet = NULL; ");
        return;
    }
    text.raw("SELECT group_concat(hex(e.name)) INTO @abide_unmet FROM (");
    for (index, (name, stamp)) in plain.expected.iter().enumerate() {
        text.raw(if index == 0 { "SELECT " } else { " UNION ALL SELECT " }).name(name);
        text.raw(" AS name, ").number(*stamp).raw(" AS stamp");
    }
    text.raw(") e LEFT JOIN abide_fields f ON f.name = e.name AND f.id = ").id(id);
    text.raw(" WHERE coalesce(f.stamp, 0) <> e.stamp; ");
}

/// Counts what is there of the fields that are written or removed.
fn replaced(text: &mut Text, id: IdHash, plain: &Plain) {
    let puts = plain.puts.iter().map(|(name, _)| name);
    let names: Vec<&FieldName> = puts.chain(&plain.removes).collect();
    if names.is_empty() {
        text.raw("SET @abide_fields = 0, @abide_bytes = 0; ");
        return;
    }
    text.raw(
        "SELECT count(*), cast(coalesce(sum(96 + length(name) + length(value)), 0) AS signed) \
         INTO @abide_fields, @abide_bytes FROM abide_fields WHERE id = ",
    );
    text.id(id).raw(" AND name IN (");
    for (index, name) in names.into_iter().enumerate() {
        text.raw(if index == 0 { "" } else { ", " }).name(name);
    }
    text.raw("); ");
}

/// Writes what the verdict allows.
fn write(text: &mut Text, id: IdHash, plain: &Plain) {
    text.update("abide_sessions");
    text.raw("stamp = @abide_next, field_count = @abide_count - @abide_fields + ");
    text.number(plain.put_count()).raw(", field_bytes = @abide_size - @abide_bytes + ");
    text.number(plain.put_bytes());
    if let Some(seen) = plain.seen {
        text.raw(", seen = greatest(seen, ").number(seen).raw(")");
    }
    if let Some(idle_timeout) = plain.idle_timeout {
        text.raw(", idle_stamp = @abide_next, idle_timeout = ").number(idle_timeout);
    }
    if let Some(hard_deadline) = plain.hard_deadline {
        text.raw(", hard_deadline = greatest(hard_deadline, ").number(hard_deadline).raw(")");
    }
    text.raw(" WHERE @abide_code = 0 AND id = ").id(id).raw("; ");
    for name in &plain.removes {
        text.delete("abide_fields").raw("@abide_code = 0 AND id = ").id(id);
        text.raw(" AND name = ").name(name).raw("; ");
    }
    for (name, value) in &plain.puts {
        text.raw("INSERT INTO abide_fields (id, name, stamp, value) SELECT ").id(id).raw(", ");
        text.name(name).raw(", @abide_next, ").bytes(value);
        text.raw(" FROM DUAL WHERE @abide_code = 0 ON DUPLICATE KEY UPDATE ");
        text.raw("stamp = VALUES(stamp), value = VALUES(value); ");
    }
}

fn answer(text: &mut Text) {
    text.raw(
        "SELECT @abide_code, @abide_next, @abide_kind, @abide_to, @abide_until, @abide_unmet; ",
    );
    text.commit();
}

async fn run(connection: &mut MySqlConnection, text: Text) -> Result<Verdict, Fault> {
    let rows = sqlx::raw_sql(AssertSqlSafe(text.sql())).fetch_all(connection).await?;
    match rows.last() {
        Some(row) => verdict(row),
        None => Err(Fault::unavailable("the database gave no answer to a commit")),
    }
}

/// What a server answered to a commit or an end.
pub(crate) fn verdict(row: &MySqlRow) -> Result<Verdict, Fault> {
    match row.try_get_unchecked::<i64, _>(0)? {
        0 => Ok(Verdict::Done(row.try_get_unchecked(1)?)),
        // Of 7 an expired session was ended.
        1 | 7 => Ok(Verdict::Gone),
        2 => {
            let to: Option<String> = row.try_get_unchecked(3)?;
            let kind = Kind::of_number(row.try_get_unchecked(2)?)?;
            let stub = read_stub(kind, to.as_deref(), row.try_get_unchecked(4)?)?;
            Ok(stub.map_or(Verdict::Gone, Verdict::Moved))
        }
        3 => {
            let names: String = row.try_get_unchecked(5)?;
            let mut names: Vec<_> = names.split(',').filter_map(name_of_hex).collect();
            names.sort();
            Ok(Verdict::Conflict(names))
        }
        5 => Ok(Verdict::TooLarge(Limit::Fields)),
        _ => Ok(Verdict::TooLarge(Limit::Record)),
    }
}

fn name_of_hex(hex: &str) -> Option<FieldName> {
    let digits = hex.as_bytes().chunks_exact(2).map(|pair| {
        let pair = str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    FieldName::new(String::from_utf8(digits.collect::<Option<_>>()?).ok()?).ok()
}

pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) async fn is_read_only(connection: &mut MySqlConnection) -> Result<bool, Fault> {
    const SQL: &str = "SELECT CAST(@@global.read_only OR @@session.tx_read_only AS signed)";
    const SQL_OF_8: &str =
        "SELECT CAST(@@global.read_only OR @@session.transaction_read_only AS signed)";
    let answer = match sqlx::raw_sql(SQL_OF_8).fetch_one(&mut *connection).await {
        // Unknown system variable: it has the older name.
        Err(sqlx::Error::Database(_)) => sqlx::raw_sql(SQL).fetch_one(connection).await?,
        answer => answer?,
    };
    Ok(answer.try_get_unchecked::<i64, _>(0)? != 0)
}

pub(crate) async fn unsuitable_version(
    connection: &mut MySqlConnection,
) -> Result<Option<String>, Fault> {
    let row = sqlx::raw_sql("SELECT version()").fetch_one(connection).await?;
    let version: String = row.try_get_unchecked(0)?;
    Ok(why_unsuitable(&version))
}

fn why_unsuitable(version: &str) -> Option<String> {
    // Replication once needed `5.5.5-` before the version of a MariaDB.
    let number = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let have = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let (name, oldest) =
        if version.contains("MariaDB") { ("MariaDB", (10, 6)) } else { ("MySQL", (8, 0)) };
    (have < oldest).then(|| {
        let (major, minor) = oldest;
        format!("it is {name} {number}, and {major}.{minor} is the oldest")
    })
}

pub(crate) async fn migrate(
    connection: &mut MySqlConnection,
    may_migrate: bool,
) -> Result<(), SchemaFault> {
    let pending = migrations_after(Database::MySql, version(connection).await?, may_migrate)?;
    if pending.is_empty() {
        return Ok(());
    }
    // The name of a lock is one for the whole server, so it has the name of the database in it.
    let lock = format!("SELECT GET_LOCK(CONCAT('abide:', DATABASE()), {MIGRATION_WAIT_SECS})");
    let row = sqlx::raw_sql(AssertSqlSafe(lock)).fetch_one(&mut *connection).await?;
    if row.try_get_unchecked::<Option<i64>, _>(0)? != Some(1) {
        return Err(
            Fault::unavailable("another server has been changing the schema for long").into()
        );
    }
    // A table is made at once, whatever follows. If this is broken off, the next one to try finds
    // some of them, and no version.
    let outcome = async {
        let version = version(connection).await?;
        for migration in migrations_after(Database::MySql, version, may_migrate)? {
            sqlx::raw_sql(migration).execute(&mut *connection).await?;
        }
        Ok(())
    }
    .await;
    sqlx::raw_sql("DO RELEASE_LOCK(CONCAT('abide:', DATABASE()))").execute(connection).await?;
    outcome
}

async fn version(connection: &mut MySqlConnection) -> Result<i64, Fault> {
    let sql = "SELECT count(*) FROM information_schema.tables \
               WHERE table_schema = DATABASE() AND table_name = 'abide_schema'";
    let row = sqlx::raw_sql(sql).fetch_one(&mut *connection).await?;
    if row.try_get_unchecked::<i64, _>(0)? == 0 {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM abide_schema";
    let row = sqlx::raw_sql(sql).fetch_one(connection).await?;
    Ok(row.try_get_unchecked(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_lack_what_is_needed_are_told_apart() {
        for good in ["8.0.36", "8.4.0-debian", "9.1.0", "10.6.1-MariaDB", "5.5.5-10.11.6-MariaDB-1"]
        {
            assert_eq!(why_unsuitable(good), None, "{good}");
        }
        for bad in ["5.7.44", "10.5.3-MariaDB", "5.5.5-10.3.2-MariaDB", "nonsense"] {
            assert!(why_unsuitable(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_name_comes_back_from_hexadecimal() {
        assert_eq!(name_of_hex("6E"), FieldName::new("n").ok());
        assert_eq!(name_of_hex("zz"), None);
        assert_eq!(name_of_hex(""), None);
    }
}
