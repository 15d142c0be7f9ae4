//! What the scripts answer.

use abide_session::{Changes, Commit, FieldName, Limit, Stamp, StoreError, Stub, Subject};
use abide_time::Time;
use redis::Value;

use crate::format::{bytes_of, corrupt, newer, stamp_of, stub_of, subject_of, unexpected};
use crate::script::reply;

/// An answer: a number that says what came of it, and what belongs to that. Where that is nothing, the
/// number alone; of a change that only has a stamp to tell, that alone.
#[derive(Debug)]
pub(crate) enum Answer {
    /// There is nothing to change.
    Gone,
    /// There is the mark of a session that has ended.
    Ended,
    Done(Vec<Value>),
    /// The places of fields that are not as expected, from 1.
    Conflict(Vec<usize>),
    /// The id was renewed.
    Stub(Stub),
    TooLarge(Limit),
    /// The place of a field that can not be counted.
    Incompatible(usize),
    /// It is bound to somebody else.
    Unbound,
}

impl Answer {
    pub(crate) fn of(replies: Vec<Value>) -> Result<Self, StoreError> {
        let values = match replies.into_iter().next() {
            Some(Value::Array(values)) => values,
            Some(kind @ Value::Int(_)) => vec![kind],
            Some(stamp @ Value::BulkString(_)) => return Ok(Self::Done(vec![stamp])),
            _ => return Err(unexpected()),
        };
        let mut rest = values.into_iter();
        let Some(Value::Int(kind)) = rest.next() else { return Err(unexpected()) };
        Ok(match kind {
            reply::GONE if rest.len() > 0 => Self::Ended,
            reply::GONE => Self::Gone,
            reply::DONE => Self::Done(rest.collect()),
            reply::CONFLICT => Self::Conflict(rest.as_slice().iter().filter_map(place).collect()),
            reply::STUB => Self::Stub(stub_of(&bytes_of(rest.next().unwrap_or_default())?)?),
            reply::TOO_LARGE => Self::TooLarge(match rest.as_slice().first().and_then(place) {
                Some(1) => Limit::Fields,
                Some(2) => Limit::Value,
                _ => Limit::Record,
            }),
            reply::INCOMPATIBLE => {
                Self::Incompatible(rest.as_slice().first().and_then(place).ok_or_else(unexpected)?)
            }
            reply::NEWER => {
                let version = rest.as_slice().first().and_then(place).unwrap_or_default();
                return Err(newer(u8::try_from(version).unwrap_or(u8::MAX)));
            }
            reply::UNBOUND => Self::Unbound,
            reply::CORRUPT => return Err(corrupt("it is cut short, or of no known kind")),
            _ => return Err(unexpected()),
        })
    }

    /// What is to be said of changes that were not made.
    pub(crate) fn refusal(self, changes: &Changes) -> Result<Commit, StoreError> {
        let name = |place: usize| -> Option<FieldName> {
            changes.fields.keys().nth(place.checked_sub(1)?).cloned()
        };
        match self {
            Self::Conflict(places) => {
                Ok(Commit::Conflict(places.into_iter().filter_map(name).collect()))
            }
            Self::TooLarge(limit) => Err(StoreError::TooLarge(limit)),
            Self::Incompatible(place) => {
                Err(name(place).map_or_else(unexpected, StoreError::Incompatible))
            }
            Self::Gone | Self::Ended | Self::Unbound | Self::Stub(_) => Ok(Commit::Gone),
            Self::Done(_) => Err(unexpected()),
        }
    }
}

/// What a script says of a commit that was made.
pub(crate) struct Committed {
    pub(crate) stamp: Stamp,
    /// Whose session it is, if that was asked for.
    pub(crate) subject: Option<Subject>,
    /// Told of changes that concern it or the subject.
    pub(crate) hard_deadline: Option<Time>,
}

impl Committed {
    pub(crate) fn of(values: Vec<Value>) -> Result<Self, StoreError> {
        let mut values = values.into_iter();
        let stamp = bytes_of(values.next().ok_or_else(unexpected)?)?;
        let subject = match values.next() {
            Some(Value::BulkString(bytes)) => subject_of(&bytes)?.value,
            _ => None,
        };
        let hard_deadline = match values.next() {
            Some(Value::Int(millis)) => Some(Time::from_millis(u64::try_from(millis).unwrap_or(0))),
            _ => None,
        };
        Ok(Self { stamp: stamp_of(&stamp).ok_or_else(unexpected)?, subject, hard_deadline })
    }
}

fn place(value: &Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}
