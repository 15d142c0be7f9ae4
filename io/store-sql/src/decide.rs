//! What a call makes of what it found: the rules of the contract, without the database.

use abide_session::{
    Changes, Commit, FieldName, IdHash, OldId, Record, Rename, Stamp, Standing, StoreError,
};
use abide_time::Time;
use bytes::Bytes;

use crate::numbers::{of_span, of_stamp, of_time, reading, to_stamp};
use crate::row::{Kind, Row};

/// A change of a session as a database makes it: everything is settled.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) id: IdHash,
    pub(crate) stamp: i64,
    /// The session as it is after it.
    pub(crate) next: Record,
    /// Fields to write, each at `stamp`.
    pub(crate) puts: Vec<(FieldName, Bytes)>,
    /// Fields to remove.
    pub(crate) removes: Vec<FieldName>,
    pub(crate) renamed: Option<Renamed>,
}

/// The session of an edit moves to the edit's id.
#[derive(Debug)]
pub(crate) struct Renamed {
    pub(crate) from: IdHash,
    /// What the old id becomes.
    pub(crate) old: Kind,
    pub(crate) until: Time,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Decision {
    Edit(Box<Edit>),
    /// Nothing: this is the answer.
    Refuse(Commit),
}

impl Edit {
    /// The session that these changes make.
    pub(crate) fn create(
        id: IdHash,
        changes: &Changes,
        now: Time,
        revoked_before: Option<i64>,
    ) -> Result<Self, StoreError> {
        let stamp = later(now, revoked_before.unwrap_or(0));
        Self::of(id, &Record::default(), changes, stamp)
    }

    fn of(id: IdHash, record: &Record, changes: &Changes, stamp: i64) -> Result<Self, StoreError> {
        let written = to_stamp(stamp);
        let mut next = record.clone();
        changes.apply(&mut next, written)?;
        next.forget_removed();
        next.check()?;
        let puts = next.fields.iter().filter(|(_, field)| field.stamp == written);
        let puts =
            puts.filter_map(|(name, field)| Some((name.clone(), field.value.clone()?))).collect();
        let removes = record.fields.keys().filter(|name| !next.fields.contains_key(*name));
        let removes = removes.cloned().collect();
        Ok(Self { id, stamp, next, puts, removes, renamed: None })
    }

    /// Bytes of the session's fields as [`Record::size`] counts them.
    pub(crate) fn field_bytes(&self) -> i64 {
        let subject = self.next.subject.value.as_ref().map_or(0, |subject| subject.as_str().len());
        let rest = Record::default().size().saturating_add(subject);
        i64::try_from(self.next.size().saturating_sub(rest)).unwrap_or(i64::MAX)
    }

    pub(crate) fn field_count(&self) -> i64 {
        i64::try_from(self.next.fields.len()).unwrap_or(i64::MAX)
    }
}

/// What a commit does to the session that was found.
pub(crate) fn commit(
    row: &Row,
    changes: &Changes,
    now: Time,
    revoked_before: Option<i64>,
) -> Result<Decision, StoreError> {
    let conflicts = changes.conflicts(&row.record);
    if !conflicts.is_empty() {
        return Ok(Decision::Refuse(Commit::Conflict(conflicts)));
    }
    let stamp = later(now, row.stamp.max(revoked_before.unwrap_or(0)));
    Ok(Decision::Edit(Box::new(Edit::of(row.id, &row.record, changes, stamp)?)))
}

/// What a rename does to the session that was found.
pub(crate) fn rename(
    row: &Row,
    standing: Standing,
    rename: &Rename,
    now: Time,
    revoked_before: Option<i64>,
) -> Result<Decision, StoreError> {
    if standing != Standing::Current && rename.old == OldId::Follows {
        return Ok(Decision::Refuse(Commit::Conflict(rename.changes.conflicts(&row.record))));
    }
    let mut decision = commit(row, &rename.changes, now, revoked_before)?;
    if let Decision::Edit(edit) = &mut decision {
        let old = match rename.old {
            OldId::Follows => Kind::Moved,
            OldId::Freezes => Kind::Frozen,
            _ => Kind::Ended,
        };
        edit.id = rename.to;
        edit.renamed = Some(Renamed { from: row.id, old, until: rename.until });
    }
    Ok(decision)
}

/// A stamp that is later than this one, and not before `now`.
pub(crate) fn later(now: Time, stamp: i64) -> i64 {
    reading(now).max(stamp.saturating_add(1))
}

/// A commit that the database can decide by itself in one step.
///
/// That leaves out what depends on values that only the session layer understands, and what is rare:
/// counters and sets, a clear, a change of the subject or of the time of birth.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) now: i64,
    pub(crate) reading: i64,
    pub(crate) seen: Option<i64>,
    pub(crate) idle_timeout: Option<i64>,
    pub(crate) hard_deadline: Option<i64>,
    pub(crate) puts: Vec<(FieldName, Bytes)>,
    pub(crate) removes: Vec<FieldName>,
    /// The stamp that each of these must have; 0 where there must be no field.
    pub(crate) expected: Vec<(FieldName, i64)>,
}

impl Plain {
    pub(crate) fn of(changes: &Changes, now: Time) -> Option<Self> {
        use abide_session::{Expected, Write};
        if changes.clear || changes.subject.is_some() || changes.created.is_some() {
            return None;
        }
        let mut plain = Self {
            now: of_time(now),
            reading: reading(now),
            seen: changes.seen.map(of_time),
            idle_timeout: changes.idle_timeout.map(of_span),
            hard_deadline: changes.hard_deadline.map(of_time),
            puts: Vec::new(),
            removes: Vec::new(),
            expected: Vec::new(),
        };
        for (name, change) in &changes.fields {
            match &change.write {
                Write::Put(value) => plain.puts.push((name.clone(), value.clone())),
                Write::Remove => plain.removes.push(name.clone()),
                _ => return None,
            }
            match change.expected {
                Expected::Anything => {}
                Expected::Absent => plain.expected.push((name.clone(), 0)),
                // No field is written at stamp 0, which stands for none.
                Expected::Written(stamp) if stamp == Stamp::ZERO => {
                    plain.expected.push((name.clone(), -1));
                }
                Expected::Written(stamp) => plain.expected.push((name.clone(), of_stamp(stamp))),
                _ => return None,
            }
        }
        Some(plain)
    }

    pub(crate) fn put_count(&self) -> i64 {
        i64::try_from(self.puts.len()).unwrap_or(i64::MAX)
    }

    /// What the fields that it puts count for, as [`Record::size`] counts them.
    pub(crate) fn put_bytes(&self) -> i64 {
        let bytes = self.puts.iter().fold(0_usize, |sum, (name, value)| {
            sum.saturating_add(FIELD_BYTES)
                .saturating_add(name.as_str().len())
                .saturating_add(value.len())
        });
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }
}

/// What a database answers to a [`Plain`] commit or an end.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Done, at this stamp.
    Done(i64),
    /// There is no live session. Nothing was done.
    Gone,
    /// The session has another id. Nothing was done.
    Moved(abide_session::Stub),
    /// These fields were not as expected. Nothing was done.
    Conflict(Vec<FieldName>),
    /// Somebody else changed the session while this waited. Nothing was done.
    Contended,
    /// The session would have too many fields, or be too large. Nothing was done.
    TooLarge(abide_session::Limit),
}

/// What [`Record::size`] counts for a field besides its name and value, and for a record. The SQL has
/// them too.
pub(crate) const FIELD_BYTES: usize = 96;
#[cfg(test)]
const RECORD_BYTES: usize = 160;

#[cfg(test)]
mod tests {
    use abide_session::{FieldChange, Stamped};

    use super::*;

    #[test]
    fn sizes_are_counted_as_the_session_layer_counts_them() {
        let mut record = Record::default();
        assert_eq!(record.size(), RECORD_BYTES);
        let name = FieldName::new("name").unwrap();
        record.fields.insert(name.clone(), Stamped::new(to_stamp(1), Some(Bytes::from("value"))));
        assert_eq!(record.size(), RECORD_BYTES + FIELD_BYTES + 9);
        let mut changes = Changes::default();
        changes.fields.insert(name, FieldChange::blind(Some(Bytes::from("value"))));
        let plain = Plain::of(&changes, Time::EPOCH).unwrap();
        assert_eq!(plain.put_bytes(), 96 + 9);
        let id = IdHash::of_secret("test", b"1");
        let edit = Edit::create(id, &changes, Time::EPOCH, None).unwrap();
        assert_eq!((edit.field_count(), edit.field_bytes()), (1, 96 + 9));
    }
}
