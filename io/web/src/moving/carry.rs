//! Carrying one session over: the steps of `docs/design/moving.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, Expected, FieldChange, IdHash, Loaded, OldId, Record, Rename,
    Standing, Store, StoreError,
};
use abide_time::Time;

use super::marker::{Marker, as_birth, change_of_marker, ending, expected_marker, shadow};

/// The two stores.
#[derive(Debug)]
pub(super) struct Both {
    pub(super) to: Arc<dyn Store>,
    pub(super) from: Arc<dyn Store>,
    carried: AtomicU64,
    stayed: AtomicU64,
}

/// What came of carrying a session over.
#[derive(Debug)]
pub(super) enum Carried {
    /// It is in `to`.
    Moved,
    /// It was in `to` already.
    Before,
    /// It could not leave: it is in `from` as it was.
    Stays,
    /// It is not where it was: renewed, moved or ended meanwhile.
    Elsewhere,
}

impl Both {
    pub(super) fn new(to: impl Store, from: impl Store) -> Self {
        let (carried, stayed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { to: Arc::new(to), from: Arc::new(from), carried, stayed }
    }

    pub(super) fn counters(&self) -> [(&'static str, u64); 2] {
        [("carried", &self.carried), ("stayed", &self.stayed)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Carries a session over that stands in `from` under its own id. Goes on if nobody waits for
    /// it.
    pub(super) async fn carry(
        self: &Arc<Self>,
        id: IdHash,
        record: Arc<Record>,
        now: Time,
    ) -> Result<Carried, StoreError> {
        let both = Arc::clone(self);
        in_task(async move { both.carry_here(id, &record, now).await }).await
    }

    /// Goes on with a session that has left `from` under this id, if one has. Goes on if nobody
    /// waits for it.
    pub(super) async fn resume(
        self: &Arc<Self>,
        id: IdHash,
        now: Time,
    ) -> Result<Carried, StoreError> {
        let both = Arc::clone(self);
        in_task(async move { both.resume_here(id, now).await }).await
    }

    async fn carry_here(
        &self,
        id: IdHash,
        record: &Record,
        now: Time,
    ) -> Result<Carried, StoreError> {
        if record.size() > TRIED_FIRST_BYTES && !self.has_room_for(id, record, now).await? {
            return Ok(self.stays());
        }
        let marker = Marker { id, moved: false };
        let (mut expected, mut value) = (expected_marker(record), Some(marker.value()));
        if Marker::of(record) != Some(marker) {
            match self.from.commit(id, marker.put()?, now).await {
                Ok(Commit::Committed(stamp)) => {
                    // It may have got there by an id that is not the session's own any more. One
                    // that is renewed from here on has no marker.
                    let found = self.from.load(id, now).await?;
                    if !matches!(found, Loaded::Live { standing: Standing::Current, .. }) {
                        return Ok(Carried::Elsewhere);
                    }
                    expected = Expected::Written(stamp);
                }
                // It goes without one. Then no old id finds it.
                Err(StoreError::TooLarge(_) | StoreError::Full) => value = None,
                Ok(_) => return Ok(Carried::Elsewhere),
                Err(error) => return Err(error),
            }
        }
        // To keep what the session was takes room, to end the id takes less.
        for (old, value) in [(OldId::Freezes, value), (OldId::Ends, None)] {
            let until = now.after(LINK_KEPT);
            // If it has been renewed since, the marker is gone, and it would arrive under an id that
            // is not its own any more.
            let changes = change_of_marker(FieldChange::based_on(expected, value))?;
            match self.from.rename(id, Rename::new(shadow(id), changes, old, until), now).await {
                Ok(Commit::Committed(_)) => return self.resume_here(id, now).await,
                Ok(_) => return Ok(Carried::Elsewhere),
                Err(StoreError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.stays())
    }

    async fn resume_here(&self, id: IdHash, now: Time) -> Result<Carried, StoreError> {
        let Loaded::Live { record, standing: Standing::Current } =
            self.from.load(shadow(id), now).await?
        else {
            return Ok(Carried::Elsewhere);
        };
        let marker = Marker::of_shadow(shadow(id), &record);
        if marker.is_some_and(|marker| marker.moved) {
            return Ok(Carried::Before);
        }
        let created = self.to.create(id, as_birth(&record), now).await?;
        let is_created = matches!(created, Create::Created(_));
        if is_created {
            self.carried.fetch_add(1, Ordering::Relaxed);
        }
        if self.leave_link(id, marker, is_created, now).await == End::Gone {
            // Whoever ended it while it was on its way found it in `from` only.
            self.to.end(id, now).await?;
        }
        Ok(if is_created { Carried::Moved } else { Carried::Before })
    }

    /// Ends a session that is in `from`. None if it is not there any more.
    ///
    /// Had it left, an end would reach nothing but the link. A rename reaches the session only, as a
    /// commit does: so it is taken where nobody looks for it, which has ended it, and done away with.
    pub(super) async fn end_in_from(
        &self,
        id: IdHash,
        standing: Standing,
        now: Time,
    ) -> Result<Option<End>, StoreError> {
        let mut target = id;
        if standing != Standing::Frozen {
            let aside = id.beside("abide ending");
            // One that is too large for three words more goes without them.
            for changes in [ending(aside)?, Changes::default()] {
                let rename = Rename::new(aside, changes, OldId::Ends, now);
                match self.from.rename(id, rename, now).await {
                    Ok(Commit::Committed(_)) => target = aside,
                    Ok(_) => return Ok(None),
                    Err(StoreError::TooLarge(_) | StoreError::Full) => continue,
                    Err(error) => return Err(error),
                }
                break;
            }
        }
        let end = self.from.end(target, now).await?;
        Ok((end == End::Ended || target != id).then_some(End::Ended))
    }

    /// Makes a link of the shadow of a session that has arrived. [`End::Gone`] if it had been ended.
    async fn leave_link(
        &self,
        id: IdHash,
        marker: Option<Marker>,
        is_created: bool,
        now: Time,
    ) -> End {
        if let Some(marker) = marker {
            // It stays as the session left, so that what was seen of it can be compared; and bound to
            // whom it belongs to, so that it ends with all of them, and with it what is still seen by
            // older ids.
            let link = Marker { moved: true, ..marker }.put().map(|mut link| {
                link.seen = Some(now);
                link.idle_timeout = Some(LINK_KEPT);
                link
            });
            if let Ok(link) = link {
                match self.from.commit(shadow(id), link, now).await {
                    Ok(Commit::Gone) => return End::Gone,
                    Ok(_) => return End::Ended,
                    Err(_) => {}
                }
            }
        }
        if !is_created {
            // Another server has made it and sees to the rest.
            return End::Ended;
        }
        // Without an answer the shadow stays until it expires. The session is where it belongs.
        self.from.end(shadow(id), now).await.unwrap_or(End::Ended)
    }

    /// Whether `to` takes a session of this size, tried with a copy that is nobody's.
    async fn has_room_for(
        &self,
        id: IdHash,
        record: &Record,
        now: Time,
    ) -> Result<bool, StoreError> {
        let trial = shadow(id).beside("trial");
        let mut changes = as_birth(record);
        changes.subject = None;
        changes.hard_deadline = Some(now.after(LINK_KEPT));
        match self.to.create(trial, changes, now).await {
            Ok(_) => {
                self.to.end(trial, now).await?;
                Ok(true)
            }
            Err(StoreError::TooLarge(_) | StoreError::Full) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn stays(&self) -> Carried {
        self.stayed.fetch_add(1, Ordering::Relaxed);
        Carried::Stays
    }
}

/// How long `from` leads ids from before a renewal to a session that has left: longer than anybody
/// lets them be good.
pub(super) const LINK_KEPT: Duration = Duration::from_mins(1);

/// From this size on it is tried whether `to` takes a session before it leaves `from`. Every store
/// takes less than this.
const TRIED_FIRST_BYTES: usize = 256 << 10;

/// Does this whether or not the caller waits for it.
async fn in_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(broken) => Err(StoreError::Unavailable(Box::new(broken))),
    }
}
