//! What a client knows of a session: what it was told was written, and what may have been.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use abide_session::{Changes, FieldChange, FieldName, Id, IdHash, RANDOM_BYTES, Record};
use abide_time::Time;
use bytes::Bytes;

/// The field that says whose session it is, written when it is made: an empty session in place of a
/// full one lacks it.
const OWNER: &str = "owner";
/// Longer than any test.
const LIFETIME: Duration = Duration::from_hours(2);

/// A session, as far as one client knows it. Only that client writes to it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: IdHash,
    owner: String,
    /// Writes that were acknowledged.
    acknowledged: BTreeSet<u32>,
    /// Writes that were tried.
    tried: u32,
}

/// What a loaded session lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Acknowledged writes that are not there.
    pub(crate) writes: u64,
    /// Even what it was made with is not there, or is another's.
    pub(crate) is_not_it: bool,
}

impl Known {
    /// A session that does not exist yet.
    pub(crate) fn new(random: &mut Random) -> Self {
        let id = new_id(random).hash();
        let owner = format!("{:016x}, who has a name of a usual length and a cart", random.next());
        Self::of(id, owner)
    }

    /// The same with this id and owner.
    pub(crate) const fn of(id: IdHash, owner: String) -> Self {
        Self { id, owner, acknowledged: BTreeSet::new(), tried: 0 }
    }

    /// What makes it.
    pub(crate) fn birth(&self, now: Time) -> Changes {
        let mut changes = put(OWNER, &self.owner);
        changes.created = Some(now);
        changes.seen = Some(now);
        changes.idle_timeout = Some(LIFETIME);
        changes.hard_deadline = Some(now.after(LIFETIME));
        changes
    }

    /// One more write, each to a field of its own: it can not hide that another was lost.
    pub(crate) fn next_write(&mut self) -> Changes {
        self.tried += 1;
        put(&field(self.tried), &self.tried.to_string())
    }

    /// The last write that was tried is acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledged.insert(self.tried);
    }

    /// How many writes were tried.
    pub(crate) const fn tried(&self) -> u32 {
        self.tried
    }

    /// Compares with what a store gave. What is missing is missed once.
    pub(crate) fn compare(&mut self, record: &Record) -> Lacks {
        let text = |name: &str| record.get(name).map(|value| value.to_vec());
        if text(OWNER).as_deref() != Some(self.owner.as_bytes()) {
            return Lacks { writes: 0, is_not_it: true };
        }
        let all = self.acknowledged.len();
        self.acknowledged.retain(|number| {
            text(&field(*number)).as_deref() == Some(number.to_string().as_bytes())
        });
        let writes = u64::try_from(all - self.acknowledged.len()).unwrap();
        Lacks { writes, is_not_it: false }
    }
}

fn field(number: u32) -> String {
    format!("write {number}")
}

fn put(name: &str, value: &str) -> Changes {
    let mut changes = Changes::default();
    let name = FieldName::new(name.to_owned()).unwrap();
    let value = Bytes::copy_from_slice(value.as_bytes());
    changes.fields.insert(name, FieldChange::blind(Some(value)));
    changes
}

/// The time, for stores whose servers clean up by it.
#[expect(clippy::disallowed_methods, reason = "stores that live elsewhere clean up by this clock")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or_default())
}

/// A new id that nobody else has.
pub(crate) fn new_id(random: &mut Random) -> Id {
    let mut bytes = [0; RANDOM_BYTES];
    for chunk in bytes.chunks_mut(8) {
        let drawn = random.next().to_le_bytes();
        chunk.copy_from_slice(&drawn[..chunk.len()]);
    }
    Id::from_random(bytes)
}

/// Numbers that look random, by splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Others for each client of each run.
    pub(crate) fn new(client: u64) -> Self {
        use std::hash::BuildHasher;
        Self(std::collections::hash_map::RandomState::new().hash_one(client))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap();
        usize::try_from(self.next() % count).unwrap()
    }
}
