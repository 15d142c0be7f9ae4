//! What stands under an id, read from the rows of a join.

use std::sync::Arc;

use abide_session::{FieldName, IdHash, Record, Stamped, Stub, Subject};
use abide_time::Time;
use bytes::Bytes;
use sqlx::{ColumnIndex, Decode, Row as SqlRow};

use crate::error::Fault;
use crate::numbers::{to_span, to_stamp, to_time};

/// What a row of `abide_sessions` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A session.
    Live,
    /// An id that was renewed and leads to the session.
    Moved,
    /// One that leads to the session and sees only what is kept under it.
    Frozen,
    /// The mark of a session that has ended.
    Ended,
}

impl Kind {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Live => 0,
            Self::Moved => 1,
            Self::Frozen => 2,
            Self::Ended => 3,
        }
    }

    pub(crate) fn of_number(number: i64) -> Result<Self, Fault> {
        match number {
            0 => Ok(Self::Live),
            1 => Ok(Self::Moved),
            2 => Ok(Self::Frozen),
            3 => Ok(Self::Ended),
            _ => Err(Fault::corrupt("a session row is of a kind that this version does not know")),
        }
    }
}

/// A row of `abide_sessions` with the fields that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: IdHash,
    pub(crate) kind: Kind,
    /// The session, or what a frozen id sees.
    pub(crate) record: Arc<Record>,
    /// The stamp of the latest change.
    pub(crate) stamp: i64,
    /// Where the session has gone.
    pub(crate) stub: Option<Stub>,
    /// Sessions that were bound to this one's subject at this stamp or before have ended.
    pub(crate) revoked_before: Option<i64>,
}

impl Row {
    pub(crate) fn with(self, record: Record) -> Self {
        Self { record: Arc::new(record), ..self }
    }

    pub(crate) fn is_revoked(&self) -> bool {
        let bound = &self.record.subject;
        bound.value.is_some()
            && self.revoked_before.is_some_and(|revoked| bound.stamp <= to_stamp(revoked))
    }

    pub(crate) fn is_live(&self, now: Time) -> bool {
        self.kind == Kind::Live && !self.is_revoked() && !self.record.is_expired(now)
    }
}

/// The columns that [`read_session`] takes, in its order, of a session `s` and its subject's mark `r`.
macro_rules! session_columns {
    () => {
        "s.id, s.kind, s.created, s.seen, s.idle_timeout, s.idle_stamp, s.hard_deadline, \
         s.cleared, s.stamp, s.subject, s.subject_stamp, s.moved_to, s.moved_until, \
         r.revoked_before"
    };
}
pub(crate) use session_columns;

/// How many these are: the place of what comes after them.
pub(crate) const SESSION_COLUMNS: usize = 14;

/// Reads the sessions of these rows: of each there is a row for each of its fields, one after the other, with
/// name, stamp and value of the field behind the columns of the session.
pub(crate) fn read_rows<R>(rows: &[R]) -> Result<Vec<Row>, Fault>
where
    R: SqlRow,
    usize: ColumnIndex<R>,
    for<'a> i64: Decode<'a, R::Database>,
    for<'a> Option<i64>: Decode<'a, R::Database>,
    for<'a> String: Decode<'a, R::Database>,
    for<'a> Option<String>: Decode<'a, R::Database>,
    for<'a> Vec<u8>: Decode<'a, R::Database>,
    for<'a> Option<Vec<u8>>: Decode<'a, R::Database>,
{
    let mut sessions: Vec<(Row, Record)> = Vec::new();
    for row in rows {
        let id = parse_id(&row.try_get_unchecked::<String, _>(0)?)?;
        if sessions.last().is_none_or(|(last, _)| last.id != id) {
            sessions.push(read_session(row)?);
        }
        let name: Option<Vec<u8>> = row.try_get_unchecked(SESSION_COLUMNS)?;
        if let (Some((_, record)), Some(name)) = (sessions.last_mut(), name) {
            let stamp = row.try_get_unchecked(SESSION_COLUMNS + 1)?;
            put_field(record, name, stamp, row.try_get_unchecked(SESSION_COLUMNS + 2)?)?;
        }
    }
    Ok(sessions.into_iter().map(|(row, record)| row.with(record)).collect())
}

/// Gives a record a field that it is stored with.
pub(crate) fn put_field(
    record: &mut Record,
    name: Vec<u8>,
    stamp: i64,
    value: Vec<u8>,
) -> Result<(), Fault> {
    let name = String::from_utf8(name).ok().and_then(|name| FieldName::new(name).ok());
    let name = name.ok_or_else(|| Fault::corrupt("a field has a name that is none"))?;
    record.fields.insert(name, Stamped::new(to_stamp(stamp), Some(Bytes::from(value))));
    Ok(())
}

/// Reads what this row says of a session; its fields are apart.
pub(crate) fn read_session<R>(row: &R) -> Result<(Row, Record), Fault>
where
    R: SqlRow,
    usize: ColumnIndex<R>,
    for<'a> i64: Decode<'a, R::Database>,
    for<'a> Option<i64>: Decode<'a, R::Database>,
    for<'a> String: Decode<'a, R::Database>,
    for<'a> Option<String>: Decode<'a, R::Database>,
    for<'a> Option<Vec<u8>>: Decode<'a, R::Database>,
{
    let number = |index: usize| row.try_get_unchecked::<i64, _>(index);
    let kind = Kind::of_number(number(1)?)?;
    let subject: Option<Vec<u8>> = row.try_get_unchecked(9)?;
    let subject = subject.map(|subject| {
        let name = String::from_utf8(subject).ok();
        let subject = name.and_then(|name| Subject::new(name).ok());
        subject.ok_or_else(|| Fault::corrupt("a session has a subject that is none"))
    });
    let mut record = Record::default();
    record.created = to_time(number(2)?);
    record.seen = to_time(number(3)?);
    record.idle_timeout = Stamped::new(to_stamp(number(5)?), to_span(number(4)?));
    record.hard_deadline = to_time(number(6)?);
    record.cleared = to_stamp(number(7)?).before();
    record.subject = Stamped::new(to_stamp(number(10)?), subject.transpose()?);
    let moved_to: Option<String> = row.try_get_unchecked(11)?;
    let moved_until: Option<i64> = row.try_get_unchecked(12)?;
    let row = Row {
        id: parse_id(&row.try_get_unchecked::<String, _>(0)?)?,
        kind,
        record: Arc::default(),
        stamp: number(8)?,
        stub: read_stub(kind, moved_to.as_deref(), moved_until)?,
        revoked_before: row.try_get_unchecked(13)?,
    };
    Ok((row, record))
}

pub(crate) fn read_stub(
    kind: Kind,
    moved_to: Option<&str>,
    moved_until: Option<i64>,
) -> Result<Option<Stub>, Fault> {
    if !matches!(kind, Kind::Moved | Kind::Frozen) {
        return Ok(None);
    }
    match (moved_to, moved_until) {
        (Some(to), Some(until)) => {
            Ok(Some(Stub::new(parse_id(to)?, kind == Kind::Frozen, to_time(until))))
        }
        _ => Err(Fault::corrupt("a renewed id does not say where it leads")),
    }
}

pub(crate) fn parse_id(text: &str) -> Result<IdHash, Fault> {
    IdHash::parse(text.as_bytes()).ok_or_else(|| Fault::corrupt("a session has an id that is none"))
}
