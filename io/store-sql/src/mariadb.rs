//! Commits and ends on MariaDB: what `mysql.rs` does by a text of several statements, as one compound
//! statement, which MariaDB takes outside of procedures and lets be prepared.
//!
//! It takes the same locks in the same order, and decides the same. But the server reads it once for each
//! connection and number of fields, and values come as they are. It needs no right and nothing in the schema; a
//! server that does not take it (MySQL, or something in between) gets the text.

use std::fmt::Write as _;

use abide_session::{FieldName, IdHash, MAX_FIELDS, MAX_RECORD_BYTES};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use crate::decide::{Plain, Verdict};
use crate::error::{Fault, mysql_number};
use crate::mysql::{most, verdict};

/// The most fields that a prepared commit writes, removes, or expects something of: each number of them
/// is another statement, and of these a connection keeps a hundred.
const PREPARED_FIELDS_MAX: usize = 8;

/// `ER_UNSUPPORTED_PS`: this statement can not be prepared.
const NOT_PREPARED: u16 = 1295;

/// The id and the clock, and places for what is taken of the session.
const BEGIN: &str = "\
    BEGIN NOT ATOMIC \
    DECLARE v_id char(30) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
    DECLARE v_now bigint DEFAULT ?; \
    DECLARE v_reading bigint DEFAULT ?; \
    DECLARE v_kind, v_stamp, v_deadline, v_revoked, v_subject, v_count, v_size, v_until, v_next bigint; \
    DECLARE v_to char(30) CHARACTER SET ascii COLLATE ascii_bin; \
    DECLARE v_fields, v_bytes, v_code bigint DEFAULT 0; \
    DECLARE v_unmet longtext; ";

/// What else a commit says.
const SAID: &str = "\
    DECLARE v_put_bytes bigint DEFAULT ?; \
    DECLARE v_seen bigint DEFAULT ?; \
    DECLARE v_idle_timeout bigint DEFAULT ?; \
    DECLARE v_hard_deadline bigint DEFAULT ?; ";

/// Locks the session and takes what is needed of it.
const LOCK: &str = "\
    START TRANSACTION; \
    SELECT s.kind, s.stamp, least(s.seen + s.idle_timeout, s.hard_deadline), s.subject_stamp <= \
    coalesce((SELECT r.revoked_before FROM abide_subjects r WHERE r.subject = s.subject), -1), \
    coalesce(length(s.subject), 0), s.field_count, s.field_bytes, s.moved_to, s.moved_until \
    INTO v_kind, v_stamp, v_deadline, v_revoked, v_subject, v_count, v_size, v_to, v_until \
    FROM abide_sessions s WHERE s.id = v_id FOR UPDATE; \
    SET v_next = greatest(v_reading, v_stamp + 1); \
    IF v_kind IS NULL THEN SET v_code = 1; \
    ELSEIF v_kind IN (1, 2) THEN SET v_code = 2; ";

const ANSWER: &str = "COMMIT; SELECT v_code, v_next, v_kind, v_to, v_until, v_unmet; END";

/// Whether this commit has few enough fields to be prepared.
pub(crate) fn takes(plain: &Plain) -> bool {
    let counts = [plain.puts.len(), plain.removes.len(), plain.expected.len()];
    counts.iter().all(|count| *count <= PREPARED_FIELDS_MAX)
}

/// Whether the server said that it does not prepare compound statements. It has done nothing then.
pub(crate) fn is_unsupported(fault: &Fault) -> bool {
    let Fault::Sql(sqlx::Error::Database(error)) = fault else { return false };
    mysql_number(&**error) == Some(NOT_PREPARED)
}

pub(crate) async fn commit(
    connection: &mut MySqlConnection,
    id: IdHash,
    plain: &Plain,
) -> Result<Verdict, Fault> {
    let bytes = |name: &FieldName| name.as_str().as_bytes().to_vec();
    let mut query = sqlx::query(AssertSqlSafe(commit_text(plain)))
        .bind(id.to_string())
        .bind(plain.now)
        .bind(plain.reading)
        .bind(plain.put_bytes())
        .bind(plain.seen)
        .bind(plain.idle_timeout)
        .bind(plain.hard_deadline);
    for (name, stamp) in &plain.expected {
        query = query.bind(bytes(name)).bind(*stamp);
    }
    for name in plain.puts.iter().map(|(name, _)| name).chain(&plain.removes) {
        query = query.bind(bytes(name));
    }
    for name in &plain.removes {
        query = query.bind(bytes(name));
    }
    for (name, value) in &plain.puts {
        query = query.bind(bytes(name)).bind(&value[..]);
    }
    verdict(&query.fetch_one(connection).await?)
}

/// The statement for commits of so many fields.
fn commit_text(plain: &Plain) -> String {
    let (puts, removes) = (plain.puts.len(), plain.removes.len());
    let mut text = String::with_capacity(2048);
    text.extend([BEGIN, SAID, LOCK]);
    text.push_str(
        "ELSEIF v_kind <> 0 OR v_revoked OR v_deadline <= v_now THEN SET v_code = 1; ELSE ",
    );
    if !plain.expected.is_empty() {
        text.push_str("SELECT group_concat(hex(e.name)) INTO v_unmet FROM (");
        repeat(&mut text, plain.expected.len(), "SELECT ? AS name, ? AS stamp", " UNION ALL ");
        text.push_str(
            ") e LEFT JOIN abide_fields f ON f.name = e.name AND f.id = v_id \
             WHERE coalesce(f.stamp, 0) <> e.stamp; ",
        );
    }
    if puts + removes > 0 {
        text.push_str(
            "SELECT count(*), cast(coalesce(sum(96 + length(name) + length(value)), 0) AS signed) \
             INTO v_fields, v_bytes FROM abide_fields WHERE id = v_id AND name IN (",
        );
        repeat(&mut text, puts + removes, "?", ", ");
        text.push_str("); ");
    }
    let (fields_max, bytes_max) = (most(MAX_FIELDS), most(MAX_RECORD_BYTES));
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "IF v_unmet IS NOT NULL THEN SET v_code = 3; \
         ELSEIF v_count - v_fields + {puts} > {fields_max} THEN SET v_code = 5; \
         ELSEIF v_subject + v_size - v_bytes + v_put_bytes + 160 > {bytes_max} THEN SET v_code = 6; ELSE \
         UPDATE abide_sessions FORCE INDEX (PRIMARY) SET stamp = v_next, \
         field_count = v_count - v_fields + {puts}, field_bytes = v_size - v_bytes + v_put_bytes, \
         seen = greatest(seen, coalesce(v_seen, 0)), \
         idle_stamp = if(v_idle_timeout IS NULL, idle_stamp, v_next), \
         idle_timeout = coalesce(v_idle_timeout, idle_timeout), \
         hard_deadline = greatest(hard_deadline, coalesce(v_hard_deadline, 0)) \
         WHERE id = v_id; "
    );
    for _ in &plain.removes {
        text.push_str(
            "DELETE t FROM abide_fields t FORCE INDEX (PRIMARY) WHERE id = v_id AND name = ?; ",
        );
    }
    if puts > 0 {
        text.push_str("INSERT INTO abide_fields (id, name, stamp, value) VALUES ");
        repeat(&mut text, puts, "(v_id, ?, v_next, ?)", ", ");
        text.push_str(" ON DUPLICATE KEY UPDATE stamp = VALUES(stamp), value = VALUES(value); ");
    }
    text.push_str("END IF; END IF; ");
    text.push_str(ANSWER);
    text
}

fn repeat(text: &mut String, count: usize, part: &str, between: &str) {
    for index in 0..count {
        text.push_str(if index == 0 { "" } else { between });
        text.push_str(part);
    }
}

pub(crate) async fn end(
    connection: &mut MySqlConnection,
    id: IdHash,
    now: i64,
    reading: i64,
) -> Result<Verdict, Fault> {
    // Expired by this clock, and ended for those that are behind: 7.
    let text = format!(
        "{BEGIN}{LOCK}ELSEIF v_kind <> 0 OR v_revoked THEN SET v_code = 1; ELSE \
         IF v_deadline <= v_now THEN SET v_code = 7; END IF; \
         DELETE t FROM abide_fields t FORCE INDEX (PRIMARY) WHERE id = v_id; \
         UPDATE abide_sessions FORCE INDEX (PRIMARY) SET kind = 3, stamp = v_next, subject = NULL, \
         field_count = 0, field_bytes = 0 WHERE id = v_id; END IF; {ANSWER}"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(id.to_string()).bind(now).bind(reading);
    verdict(&query.fetch_one(connection).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use abide_servers::MariaDb;
    use abide_session::{Changes, Commit, Expected, FieldChange, Store as _, Time};
    use sqlx::Connection as _;

    use super::*;
    use crate::SqlStore;
    use crate::connection::Connection;

    /// MySQL takes no compound statements, and a MariaDB takes the text as well.
    #[tokio::test]
    async fn the_contract_holds_also_where_commits_and_ends_go_as_a_text() {
        let server = MariaDb::fast();
        let builder = SqlStore::builder(&server.url()).cleanup(None).connections(1);
        let store = builder.timeout(Duration::from_secs(20)).connect().await.unwrap();
        let mut lease = store.shared.writers.lease().await.unwrap();
        let Ok(Connection::MySql { prepares_compound, .. }) = lease.connection() else {
            panic!("a MariaDB")
        };
        assert!(std::mem::replace(prepares_compound, false), "it is one that could");
        lease.settle(Ok(())).unwrap();
        for sentence in abide_store_suite::SENTENCES {
            sentence.run(&store).await;
        }
        let mut lease = store.shared.writers.lease().await.unwrap();
        let still = lease.connection().unwrap();
        let is_text = matches!(still, Connection::MySql { prepares_compound: false, .. });
        assert!(is_text, "it was one connection all the time");
    }

    #[tokio::test]
    async fn as_many_fields_as_are_prepared_are_committed_and_one_more() {
        let server = MariaDb::fast();
        let store = SqlStore::builder(&server.url()).cleanup(None).connect().await.unwrap();
        let now = Time::from_secs(1_000_000);
        for count in [1, PREPARED_FIELDS_MAX, PREPARED_FIELDS_MAX + 1] {
            let id = IdHash::of_secret("test", &count.to_le_bytes());
            let of = |first: usize, change: FieldChange| {
                let mut changes = Changes::default();
                for number in first..first + count {
                    let name = FieldName::new(format!("field {number}")).unwrap();
                    changes.fields.insert(name, change.clone());
                }
                changes
            };
            let put = FieldChange::blind(Some("value".into()));
            let mut birth = of(0, put.clone());
            birth.seen = Some(now);
            birth.idle_timeout = Some(Duration::from_mins(1));
            birth.hard_deadline = Some(now.after(Duration::from_hours(1)));
            store.create(id, birth, now).await.unwrap();
            let mut new = put;
            new.expected = Expected::Absent;
            let mut changes = of(count, new);
            changes.fields.extend(of(0, FieldChange::blind(None)).fields);
            let is_taken = Plain::of(&changes, now).is_some_and(|plain| takes(&plain));
            assert_eq!(is_taken, count <= PREPARED_FIELDS_MAX);
            let outcome = store.commit(id, changes.clone(), now).await.unwrap();
            assert!(matches!(outcome, Commit::Committed(_)), "{count}: {outcome:?}");
            let record = store.load(id, now).await.unwrap().live().unwrap();
            let names: Vec<_> = record.fields.keys().cloned().collect();
            let written: Vec<_> = of(count, FieldChange::blind(None)).fields.into_keys().collect();
            assert_eq!(names, written);
            let again = store.commit(id, changes, now).await.unwrap();
            assert_eq!(again, Commit::Conflict(written));
        }
    }

    #[tokio::test]
    async fn what_a_server_does_not_prepare_is_told_from_what_fails() {
        let server = MariaDb::fast();
        let mut connection = MySqlConnection::connect(&server.url()).await.unwrap();
        for (sql, is_it) in [("PREPARE one FROM 'SELECT 1'", true), ("SELECT nothing", false)] {
            let refused = sqlx::query(sql).execute(&mut connection).await.unwrap_err();
            assert_eq!(is_unsupported(&Fault::Sql(refused)), is_it, "{sql}");
        }
    }
}
