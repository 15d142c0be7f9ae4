//! The entries of one slot.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use abide_session::{IdHash, Time};
use xxhash_rust::xxh64::xxh64;

use crate::entry::Entry;
use crate::key::Key;
use crate::packed::{ENDED, KEY_PLACE, unpack_content};

/// See [`super`] for the invariants.
#[derive(Clone)]
pub(super) struct Part {
    places: Vec<Place>,
    digest: u64,
    /// When the slot is queued for; [`Tick::NEVER`] if it is not.
    pub(super) queued: Tick,
}

/// An entry in the list.
#[derive(Clone)]
pub(super) struct Place {
    prefix: u32,
    due: Tick,
    block: Box<[u8]>,
}

/// A time in steps of four seconds, rounded up: four bytes last until the year 2514, and what is due
/// later than that is due never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

/// An entry of a table, as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a>(&'a [u8]);

impl Part {
    pub(super) const fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn get(&self, key: &Key) -> Option<Packed<'_>> {
        let index = self.find(key).ok()?;
        self.places.get(index).map(|place| Packed(&place.block))
    }

    /// Puts an entry, and gives the length of the one it replaces.
    pub(super) fn put(&mut self, place: Place) -> Option<usize> {
        self.digest ^= hash(&place.block);
        match self.find_place(place.prefix, place.key()) {
            Ok(index) => {
                let before = self.places.get_mut(index)?;
                self.digest ^= hash(&before.block);
                let length = before.block.len();
                *before = place;
                Some(length)
            }
            Err(index) => {
                if self.places.len() == self.places.capacity() {
                    self.places.reserve_exact(spare(self.places.len()));
                }
                self.places.insert(index, place);
                None
            }
        }
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Box<[u8]>> {
        let index = self.find(key).ok()?;
        let place = self.places.remove(index);
        self.digest ^= hash(&place.block);
        let wanted = self.places.len().saturating_add(spare(self.places.len()));
        if self.places.capacity() > wanted.saturating_mul(2) {
            self.places.shrink_to(wanted);
        }
        Some(place.block)
    }

    /// The ids of what is due, at most so many, in their order.
    pub(super) fn due(&self, last: Tick, at_most: usize) -> Vec<IdHash> {
        let due = self.places.iter().filter(|place| place.due <= last);
        due.take(at_most).filter_map(|place| Packed(&place.block).id()).collect()
    }

    /// When the first of them is due.
    pub(super) fn earliest(&self) -> Tick {
        self.places.iter().map(|place| place.due).min().unwrap_or(Tick::NEVER)
    }

    pub(super) fn entries(
        &self,
        after: Option<&Key>,
    ) -> impl Iterator<Item = Packed<'_>> + use<'_> {
        let from = match after.map(|key| self.find(key)) {
            None => 0,
            Some(Ok(index)) => index.saturating_add(1),
            Some(Err(index)) => index,
        };
        self.places.iter().skip(from).map(|place| Packed(&place.block))
    }

    fn find(&self, key: &Key) -> Result<usize, usize> {
        self.find_place(key.prefix(), key.as_bytes())
    }

    /// Where it is, or where it would have to be. Blocks are looked at only where the beginnings of
    /// two ids are equal.
    fn find_place(&self, prefix: u32, key: &[u8]) -> Result<usize, usize> {
        let mut index = self.first_from(prefix);
        while let Some(place) = self.places.get(index).filter(|place| place.prefix == prefix) {
            match place.key().cmp(key) {
                Ordering::Less => index = index.saturating_add(1),
                Ordering::Equal => return Ok(index),
                Ordering::Greater => break,
            }
        }
        Err(index)
    }

    /// The first place whose prefix is not less.
    ///
    /// Ids are hashes, so the prefix says about where it has to be: looking from there on, in steps
    /// that double, touches two or three neighbouring lines of memory, where halving the list again
    /// and again touches six that are far apart. Ids that are not spread evenly take no more than
    /// twice the steps of halving.
    fn first_from(&self, prefix: u32) -> usize {
        let is_before =
            |index: usize| self.places.get(index).is_some_and(|place| place.prefix < prefix);
        let mut high = self.places.len();
        let mut low;
        let share = u64::try_from(high).unwrap_or(0).saturating_mul(u64::from(prefix)) >> u32::BITS;
        let guess = usize::try_from(share).unwrap_or(0);
        let mut step = FIRST_STEP;
        if is_before(guess) {
            low = guess.saturating_add(1);
            while is_before(low.saturating_add(step)) {
                low = low.saturating_add(step).saturating_add(1);
                step = step.saturating_mul(2);
            }
            high = high.min(low.saturating_add(step));
        } else {
            high = high.min(guess);
            while high > step && !is_before(high.saturating_sub(step)) {
                high = high.saturating_sub(step);
                step = step.saturating_mul(2);
            }
            low = high.saturating_sub(step);
        }
        let between = self.places.get(low..high).unwrap_or(&[]);
        low.saturating_add(between.partition_point(|place| place.prefix < prefix))
    }
}

impl Default for Part {
    fn default() -> Self {
        Self { places: Vec::new(), digest: 0, queued: Tick::NEVER }
    }
}

impl Place {
    /// The place of a block that begins with the kind of the entry and this key.
    pub(super) fn new(key: &Key, due: Tick, block: Box<[u8]>) -> Self {
        Self { prefix: key.prefix(), due, block }
    }

    fn key(&self) -> &[u8] {
        self.block.get(KEY_PLACE).unwrap_or(&[])
    }
}

impl Tick {
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// The step by which what is due at `time` is due.
    pub(super) fn of(time: Time) -> Self {
        Self(u32::try_from(time.as_millis().div_ceil(TICK_MILLIS)).unwrap_or(u32::MAX))
    }

    /// The last step that is over at `now` by every clock that is off by no more than `skew`.
    pub(super) fn last_due(now: Time, skew: Duration) -> Self {
        let skew = u64::try_from(skew.as_millis()).unwrap_or(u64::MAX);
        let steps = now.as_millis().saturating_sub(skew) / TICK_MILLIS;
        // What is due never is not due then either.
        Self(u32::try_from(steps).unwrap_or(u32::MAX).min(u32::MAX.saturating_sub(1)))
    }
}

impl<'a> Packed<'a> {
    /// The bytes, as [`crate::pack`] makes them.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What the entry adds to the digest of its slot.
    pub fn digest(self) -> u64 {
        hash(self.0)
    }

    /// The id. There always is one.
    pub fn id(self) -> Option<IdHash> {
        Key::from_bytes(*self.0.get(KEY_PLACE)?.first_chunk()?)?.id()
    }

    /// Whether it is the mark of a session that has ended, or of an id that is no more: without
    /// unpacking it.
    pub fn is_ended(self) -> bool {
        self.0.first() == Some(&ENDED)
    }

    /// The entry. There always is one.
    pub fn entry(self) -> Option<Entry> {
        unpack_content(self.0)
    }
}

fn hash(block: &[u8]) -> u64 {
    xxh64(block, 0)
}

/// How many more places a list of so many gets when it is full.
fn spare(length: usize) -> usize {
    (length / 8).max(4)
}

const TICK_MILLIS: u64 = 4000;
/// Half the square root of a list of some hundreds: by so many places a guess is off.
const FIRST_STEP: usize = 8;
