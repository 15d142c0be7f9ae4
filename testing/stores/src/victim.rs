//! A session that one process writes and another looks for: all of it follows from a number.

use crate::known::{Known, Lacks, Random, now};
use abide_session::{
    Commit, Create, End, FieldChange, FieldName, Id, IdHash, RANDOM_BYTES, Store, StoreError,
};

/// A session with a number, made and then written to.
#[derive(Debug)]
pub struct Victim(Known);

impl Victim {
    /// The session of this number.
    pub fn new(number: u64) -> Self {
        // The first bytes say the slot, and sessions are to be in many.
        let mut random = [0; RANDOM_BYTES];
        random[..2].copy_from_slice(&number.to_le_bytes()[..2]);
        random[2..10].copy_from_slice(&number.to_le_bytes());
        let id = Id::from_random(random).hash();
        Self(Known::of(id, format!("the owner of session {number}")))
    }

    /// Makes it and writes to it.
    pub async fn write(&mut self, store: &dyn Store) {
        self.try_write(store).await.unwrap();
    }

    /// The same; the error is the first that a call gives.
    ///
    /// # Errors
    /// Of the store.
    pub async fn try_write(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let created = store.create(self.0.id, self.0.birth(now()), now()).await?;
        assert!(matches!(created, Create::Created(_)), "{created:?}");
        self.try_commit(store).await
    }

    /// Writes to it, which exists.
    ///
    /// # Errors
    /// Of the store.
    pub async fn try_commit(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let committed = store.commit(self.0.id, self.0.next_write(), now()).await?;
        assert!(matches!(committed, Commit::Committed(_)), "{committed:?}");
        self.0.acknowledge();
        Ok(())
    }

    /// Looks for it, as it has to be after [`write`](Self::write) by whomever.
    pub async fn check(&mut self, store: &dyn Store) {
        self.try_check(store).await.unwrap();
    }

    /// The same; the error is the store's.
    ///
    /// # Errors
    /// Of the store.
    pub async fn try_check(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let loaded = store.load(self.0.id, now()).await?;
        let record = loaded.live().expect("a session that was acknowledged");
        self.0.next_write();
        self.0.acknowledge();
        assert_eq!(self.0.compare(&record), Lacks::default());
        Ok(())
    }

    /// Ends it.
    pub async fn end(&self, store: &dyn Store) {
        assert_eq!(store.end(self.0.id, now()).await.unwrap(), End::Ended);
        self.is_ended(store).await;
    }

    /// Makes sure that it is not live.
    pub async fn is_ended(&self, store: &dyn Store) {
        let loaded = store.load(self.0.id, now()).await.unwrap();
        assert!(loaded.live().is_none(), "an ended session is live");
    }
}

/// Bytes of a session that fills a store: some, so that it is soon full, and not too many, because a
/// store that finds no room for a large one may still have some for small ones.
const FILL_BYTES: usize = 20_000;
/// More than any store of these tests has room for.
const FILL_MAX: usize = 20_000;

/// Calls that may go without an answer meanwhile: a disk that fills up is slow.
const SLOW_MAX: usize = 10;

/// Makes sessions until the store takes no more: their ids, and the error.
pub async fn fill(store: &dyn Store) -> (Vec<IdHash>, StoreError) {
    let mut random = Random::new(0);
    let mut made = Vec::new();
    let mut slow = 0;
    while made.len() < FILL_MAX {
        let known = Known::new(&mut random);
        let mut changes = known.birth(now());
        let large: Vec<u8> =
            (0..FILL_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        let name = FieldName::new("large".to_owned()).unwrap();
        changes.fields.insert(name, FieldChange::blind(Some(large.into())));
        match store.create(known.id, changes, now()).await {
            Ok(_) => made.push(known.id),
            Err(StoreError::Unavailable(_)) if slow < SLOW_MAX => slow += 1,
            Err(error) => return (made, error),
        }
    }
    panic!("a store that is never full: {FILL_MAX} sessions");
}

/// Makes sure that a session that [`fill`] made is there.
pub async fn is_there(store: &dyn Store, id: IdHash) {
    let record = store.load(id, now()).await.unwrap().live().expect("a session that was made");
    assert_eq!(record.get("large").map(bytes::Bytes::len), Some(FILL_BYTES));
}
