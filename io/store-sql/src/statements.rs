//! SQL text that is made for one call.
//!
//! What is frequent is prepared once and takes its values apart. What stands here is rarer, takes
//! several statements and goes to the server as one text, so that it is one round trip. Nothing that
//! anybody chose stands in it as it is: a literal is a number, an id (whose 30 characters are digits,
//! letters, `-` and `_`), or bytes in hexadecimal.
//!
//! SQLite takes a text of several statements with values apart, and keeps what it has made of it; so the
//! texts of calls are [`Text::of_call`], and only those that are different each time have literals there.

use std::fmt::Write as _;

use abide_session::{FieldName, IdHash, Record, Stamp};
use bytes::Bytes;

use crate::decide::{Edit, Renamed};
use crate::numbers::{of_span, of_stamp, of_time};
use crate::row::Kind;
use crate::schema::Database;

/// The text of several statements.
#[derive(Debug)]
pub(crate) struct Text {
    database: Database,
    sql: String,
    /// The values that are apart, for the question marks in their order. None if all are literals.
    values: Option<Vec<Value>>,
}

/// A value that is not in the text.
#[derive(Debug)]
pub(crate) enum Value {
    Number(i64),
    Id(IdHash),
    Bytes(Vec<u8>),
}

impl Text {
    /// A text in which all values are literals.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, sql: String::with_capacity(1024), values: None }
    }

    /// A text that is much the same each time, and that a database in this process may keep.
    pub(crate) fn of_call(database: Database) -> Self {
        let values = (database == Database::Sqlite).then(Vec::new);
        Self { values, ..Self::new(database) }
    }

    pub(crate) const fn database(&self) -> Database {
        self.database
    }

    /// The text, and the values that are not in it.
    pub(crate) fn into_parts(self) -> (String, Option<Vec<Value>>) {
        (self.sql, self.values)
    }

    /// The text, all of whose values are literals.
    pub(crate) fn sql(self) -> String {
        debug_assert!(self.values.is_none(), "a text of values is run with them");
        self.sql
    }

    /// Puts a value apart if this text has them apart.
    fn puts_apart(&mut self, value: impl FnOnce() -> Value) -> bool {
        let Some(values) = &mut self.values else { return false };
        values.push(value());
        self.sql.push('?');
        true
    }

    /// Text that holds no literal.
    pub(crate) fn raw(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(crate) fn number(&mut self, number: i64) -> &mut Self {
        if !self.puts_apart(|| Value::Number(number)) {
            // Writing to a string does not fail.
            let _ = write!(self.sql, "{number}");
        }
        self
    }

    pub(crate) fn id(&mut self, id: IdHash) -> &mut Self {
        if !self.puts_apart(|| Value::Id(id)) {
            let _ = write!(self.sql, "'{id}'");
        }
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        if self.puts_apart(|| Value::Bytes(bytes.to_vec())) {
            return self;
        }
        self.sql.reserve(bytes.len().saturating_mul(2).saturating_add(16));
        self.sql.push_str(match self.database {
            Database::Postgres => "'\\x",
            Database::MySql | Database::Sqlite => "X'",
        });
        for byte in bytes {
            for nibble in [byte >> 4, byte & 0xf] {
                self.sql.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
            }
        }
        self.sql.push_str(match self.database {
            Database::Postgres => "'::bytea",
            Database::MySql | Database::Sqlite => "'",
        });
        self
    }

    pub(crate) fn name(&mut self, name: &FieldName) -> &mut Self {
        self.bytes(name.as_str().as_bytes())
    }

    pub(crate) fn ids(&mut self, ids: &[IdHash]) -> &mut Self {
        for (index, id) in ids.iter().enumerate() {
            self.raw(if index == 0 { "" } else { ", " }).id(*id);
        }
        self
    }

    /// The beginning of an update of one row, found by its key.
    ///
    /// MySQL has to be told to use the key: in a small table it would rather look at every row, and
    /// wait for each that somebody else has locked.
    pub(crate) fn update(&mut self, table: &str) -> &mut Self {
        self.raw("UPDATE ").raw(table);
        self.raw(match self.database {
            Database::MySql => " FORCE INDEX (PRIMARY) SET ",
            Database::Postgres | Database::Sqlite => " SET ",
        })
    }

    /// The beginning of a removal of rows, found by their key.
    pub(crate) fn delete(&mut self, table: &str) -> &mut Self {
        match self.database {
            Database::MySql => {
                self.raw("DELETE t FROM ").raw(table).raw(" t FORCE INDEX (PRIMARY) WHERE ")
            }
            Database::Postgres | Database::Sqlite => {
                self.raw("DELETE FROM ").raw(table).raw(" WHERE ")
            }
        }
    }

    pub(crate) fn begin(&mut self) -> &mut Self {
        self.raw(match self.database {
            Database::Postgres => "BEGIN; ",
            Database::MySql => "START TRANSACTION; ",
            Database::Sqlite => "BEGIN IMMEDIATE; ",
        })
    }

    pub(crate) fn commit(&mut self) -> &mut Self {
        self.raw("COMMIT")
    }

    /// Waits until nobody else is changing this session, and keeps it so. Where one writer has the
    /// whole database there is nothing to wait for.
    pub(crate) fn lock(&mut self, id: IdHash) -> &mut Self {
        match self.database {
            Database::Sqlite => self,
            Database::Postgres | Database::MySql => {
                self.raw("SELECT kind FROM abide_sessions WHERE id = ").id(id).raw(" FOR UPDATE; ")
            }
        }
    }

    /// Makes a session.
    pub(crate) fn create(&mut self, edit: &Edit) -> &mut Self {
        let Edit { next, .. } = edit;
        let subject = next.subject.value.as_ref();
        self.raw(
            "INSERT INTO abide_sessions (id, kind, created, seen, idle_timeout, idle_stamp, \
             hard_deadline, cleared, stamp, subject, subject_stamp, field_count, field_bytes, \
             check_at) VALUES (",
        );
        self.id(edit.id).raw(", ").number(Kind::Live.number());
        self.raw(", ").number(of_time(next.created)).raw(", ").number(of_time(next.seen));
        self.raw(", ").number(of_span(next.idle_timeout.value));
        self.raw(", ").number(stamp_number(next.idle_timeout.stamp));
        self.raw(", ").number(of_time(next.hard_deadline)).raw(", ").number(cleared(next));
        self.raw(", ").number(edit.stamp).raw(", ");
        match subject {
            Some(subject) => self.bytes(subject.as_str().as_bytes()),
            None => self.raw("NULL"),
        };
        self.raw(", ").number(stamp_number(next.subject.stamp));
        self.raw(", ").number(edit.field_count()).raw(", ").number(edit.field_bytes());
        self.raw(", ").number(of_time(next.deadline())).raw("); ")
    }

    /// Makes of a session what it is after this edit. Its fields are apart.
    pub(crate) fn replace(&mut self, edit: &Edit) -> &mut Self {
        let Edit { next, .. } = edit;
        self.update("abide_sessions").raw("created = ").number(of_time(next.created));
        self.raw(", seen = ").number(of_time(next.seen));
        self.raw(", idle_timeout = ").number(of_span(next.idle_timeout.value));
        self.raw(", idle_stamp = ").number(stamp_number(next.idle_timeout.stamp));
        self.raw(", hard_deadline = ").number(of_time(next.hard_deadline));
        self.raw(", cleared = ").number(cleared(next)).raw(", stamp = ").number(edit.stamp);
        self.raw(", subject = ");
        match &next.subject.value {
            Some(subject) => self.bytes(subject.as_str().as_bytes()),
            None => self.raw("NULL"),
        };
        self.raw(", subject_stamp = ").number(stamp_number(next.subject.stamp));
        self.raw(", field_count = ").number(edit.field_count());
        self.raw(", field_bytes = ").number(edit.field_bytes());
        self.raw(" WHERE id = ").id(edit.id).raw("; ")
    }

    /// Moves a session to the id of this edit.
    pub(crate) fn rename(&mut self, edit: &Edit, renamed: &Renamed) -> &mut Self {
        let Renamed { from, old, until } = renamed;
        self.create(edit);
        if *old == Kind::Frozen {
            self.raw("INSERT INTO abide_fields (id, name, stamp, value) SELECT ").id(edit.id);
            self.raw(", name, stamp, value FROM abide_fields WHERE id = ").id(*from).raw("; ");
        } else {
            self.move_fields(edit, *from);
        }
        self.update("abide_sessions").raw("kind = ").number(old.number());
        self.raw(", stamp = ").number(edit.stamp);
        self.raw(", hard_deadline = ").number(of_time(edit.next.hard_deadline));
        if *old == Kind::Ended {
            self.raw(", subject = NULL");
        } else {
            self.raw(", moved_to = ").id(edit.id).raw(", moved_until = ").number(of_time(*until));
        }
        if *old != Kind::Frozen {
            self.raw(", field_count = 0, field_bytes = 0");
        }
        self.raw(" WHERE id = ").id(*from).raw("; ")
    }

    /// Makes the mark of an end, of a session that is live.
    pub(crate) fn end(&mut self, id: IdHash, stamp: i64) -> &mut Self {
        self.delete("abide_fields").raw("id = ").id(id).raw("; ");
        self.update("abide_sessions").raw("kind = ").number(Kind::Ended.number());
        self.raw(", stamp = ").number(stamp);
        self.raw(", subject = NULL, field_count = 0, field_bytes = 0 WHERE id = ").id(id);
        self.raw("; ")
    }

    /// Moves the fields that an edit leaves as they are from the old id.
    fn move_fields(&mut self, edit: &Edit, from: IdHash) -> &mut Self {
        if self.database != Database::MySql {
            self.raw("UPDATE abide_fields SET id = ").id(edit.id);
            return self.raw(" WHERE id = ").id(from).raw("; ");
        }
        // One by one: who looks for all fields of a session waits for the next session's first one.
        for name in edit.next.fields.keys().chain(&edit.removes) {
            self.update("abide_fields").raw("id = ").id(edit.id);
            self.raw(" WHERE id = ").id(from).raw(" AND name = ").name(name).raw("; ");
        }
        self
    }

    /// Removes the fields that an edit removes, and those that it writes if they are to be made anew.
    pub(crate) fn remove_fields(&mut self, edit: &Edit) -> &mut Self {
        let puts = if self.database == Database::Sqlite { &[][..] } else { &edit.puts[..] };
        for name in edit.removes.iter().chain(puts.iter().map(|(name, _)| name)) {
            self.delete("abide_fields").raw("id = ").id(edit.id);
            self.raw(" AND name = ").name(name).raw("; ");
        }
        self
    }

    /// Writes the fields that an edit writes. But for a SQLite, which changes a row where it is, none is there.
    pub(crate) fn insert_fields(&mut self, edit: &Edit) -> &mut Self {
        for (index, (name, value)) in edit.puts.iter().enumerate() {
            self.raw(if index == 0 {
                "INSERT INTO abide_fields (id, name, stamp, value) VALUES ("
            } else {
                ", ("
            });
            self.field(edit.id, name, edit.stamp, value).raw(")");
        }
        if self.database == Database::Sqlite && !edit.puts.is_empty() {
            self.raw(
                " ON CONFLICT (id, name) DO UPDATE SET stamp = excluded.stamp, value = excluded.value",
            );
        }
        self.raw(if edit.puts.is_empty() { "" } else { "; " })
    }

    fn field(&mut self, id: IdHash, name: &FieldName, stamp: i64, value: &Bytes) -> &mut Self {
        self.id(id).raw(", ").name(name).raw(", ").number(stamp).raw(", ").bytes(value)
    }

    /// A change that was settled while the session was locked.
    pub(crate) fn edit(&mut self, edit: &Edit) -> &mut Self {
        match &edit.renamed {
            Some(renamed) => self.rename(edit, renamed),
            None => self.replace(edit),
        };
        self.remove_fields(edit).insert_fields(edit)
    }

    /// Raises the mark of a subject to this stamp, or further if it is there already.
    pub(crate) fn revoke(&mut self, subject: &[u8], stamp: i64, check_at: i64) -> &mut Self {
        self.raw("INSERT INTO abide_subjects (subject, revoked_before, check_at) VALUES (");
        self.bytes(subject).raw(", ").number(stamp).raw(", ").number(check_at);
        self.raw(match self.database {
            Database::Postgres => {
                ") ON CONFLICT (subject) DO UPDATE SET \
                 revoked_before = greatest(excluded.revoked_before, abide_subjects.revoked_before + 1), \
                 check_at = greatest(excluded.check_at, abide_subjects.check_at); "
            }
            Database::Sqlite => {
                ") ON CONFLICT (subject) DO UPDATE SET \
                 revoked_before = max(excluded.revoked_before, abide_subjects.revoked_before + 1), \
                 check_at = max(excluded.check_at, abide_subjects.check_at); "
            }
            Database::MySql => {
                ") ON DUPLICATE KEY UPDATE \
                 revoked_before = greatest(VALUES(revoked_before), revoked_before + 1), \
                 check_at = greatest(VALUES(check_at), check_at); "
            }
        })
    }

    /// Binds a session anew to the subject whose mark was raised just now.
    pub(crate) fn rebind(&mut self, id: IdHash, subject: &[u8]) -> &mut Self {
        const MARK: &str = "(SELECT r.revoked_before FROM abide_subjects r WHERE r.subject = ";
        self.update("abide_sessions").raw("subject_stamp = ").raw(MARK).bytes(subject);
        self.raw(") + 1, stamp = ").raw(MARK).bytes(subject).raw(") + 1 WHERE id = ").id(id);
        self.raw("; ")
    }
}

fn stamp_number(stamp: Stamp) -> i64 {
    of_stamp(stamp).max(0)
}

/// The stamp of the clear, which is the one after what it clears.
fn cleared(record: &Record) -> i64 {
    if record.cleared == Stamp::ZERO {
        0
    } else {
        i64::try_from(record.cleared.reading()).unwrap_or(i64::MAX - 1).saturating_add(1)
    }
}
