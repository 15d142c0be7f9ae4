//! Where a session is, by an id of it.

use std::sync::Arc;

use abide_session::{Changes, FieldName, IdHash, Loaded, Record, Standing, StoreError};
use abide_time::Time;

use super::carry::{Both, Carried};
use super::marker::{Marker, expects_of_from, put_in_terms_of_to, shadow};

/// Where a session is.
#[derive(Debug)]
pub(super) enum Place {
    /// `to` knows of it, under this id; what it says is final.
    To { id: IdHash, loaded: Loaded },
    /// In `from`, under the id that was asked for.
    From { record: Arc<Record>, standing: Standing },
    /// In neither.
    Nowhere(Loaded),
}

impl Both {
    /// Finds a session, and carries it over if it `carries` and the id is the session's own.
    pub(super) async fn locate(
        self: &Arc<Self>,
        id: IdHash,
        carries: bool,
        now: Time,
    ) -> Result<Place, StoreError> {
        for _ in 0..LOOKS {
            if let Some(place) = self.look(id, carries, now).await? {
                return Ok(place);
            }
        }
        Err(moved_too_often())
    }

    /// Puts what the changes expect of these fields, which are not as expected, in terms of `to`, if
    /// it rests on what the session was in `from` and that is what has arrived. Otherwise whoever has
    /// a lease in a field of the session would lose it by the move.
    pub(super) async fn expect_what_arrived(
        &self,
        id: IdHash,
        fields: &[FieldName],
        changes: &mut Changes,
        now: Time,
    ) -> Result<bool, StoreError> {
        if !expects_of_from(changes, fields) {
            return Ok(false);
        }
        let Some(left) = self.from.load(shadow(id), now).await?.live() else { return Ok(false) };
        let Some(arrived) = self.to.load(id, now).await?.live() else { return Ok(false) };
        Ok(put_in_terms_of_to(changes, fields, &left, &arrived))
    }

    /// One look. None if the session was moving meanwhile.
    async fn look(
        self: &Arc<Self>,
        id: IdHash,
        carries: bool,
        now: Time,
    ) -> Result<Option<Place>, StoreError> {
        match self.to.load(id, now).await? {
            Loaded::Unknown => {}
            loaded => return Ok(Some(Place::To { id, loaded })),
        }
        match self.from.load(id, now).await? {
            Loaded::Live { record, standing: Standing::Frozen } => {
                self.behind_frozen(id, record, now).await.map(Some)
            }
            Loaded::Live { record, standing } if carries && standing == Standing::Current => {
                match self.carry(id, Arc::clone(&record), now).await? {
                    Carried::Stays => Ok(Some(Place::From { record, standing })),
                    Carried::Moved | Carried::Before | Carried::Elsewhere => Ok(None),
                }
            }
            Loaded::Live { record, standing } => Ok(Some(Place::From { record, standing })),
            Loaded::Ended => match self.resume(id, now).await? {
                Carried::Moved => Ok(None),
                _ => match self.to.load(id, now).await? {
                    Loaded::Unknown => Ok(Some(Place::Nowhere(Loaded::Ended))),
                    loaded => Ok(Some(Place::To { id, loaded })),
                },
            },
            other => Ok(Some(Place::Nowhere(other))),
        }
    }

    /// Behind a frozen record there is a session that has left, or one that somebody signed in to.
    async fn behind_frozen(
        self: &Arc<Self>,
        id: IdHash,
        record: Arc<Record>,
        now: Time,
    ) -> Result<Place, StoreError> {
        let marker = Marker::of(&record).filter(|marker| marker.id.slot() == id.slot());
        let current = marker.map_or(id, |marker| marker.id);
        if let Carried::Elsewhere | Carried::Stays = self.resume(current, now).await? {
            return Ok(Place::From { record, standing: Standing::Frozen });
        }
        Ok(match self.to.load(current, now).await? {
            // It has arrived, and `to` has forgotten it since.
            Loaded::Unknown => Place::Nowhere(Loaded::Expired),
            Loaded::Live { record, standing: Standing::Current } if current != id => {
                let loaded = Loaded::Live { record, standing: Standing::Old };
                Place::To { id: current, loaded }
            }
            loaded => Place::To { id: current, loaded },
        })
    }
}

/// How often a session is looked for that moves or is renewed each time. Each move takes several
/// calls, and a session moves once.
pub(super) const LOOKS: u32 = 8;

pub(super) fn moved_too_often() -> StoreError {
    StoreError::Unavailable("the session was moved again and again".into())
}
