use std::time::Duration;

use abide_session::{Id, RANDOM_BYTES};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

impl Table {
    /// What has to hold between any two calls.
    fn check_invariants(&self) {
        assert_eq!(self.due.len(), self.entries.len());
        let live = |entry: &&Entry| matches!(entry.what, What::Live(_));
        assert_eq!(self.sessions, self.entries.values().filter(live).count());
        assert_eq!(self.bytes, self.entries.values().map(|entry| size(&entry.what)).sum::<usize>());
        assert!(self.sessions <= self.sessions_max && self.bytes <= self.bytes_max);
        for (id, entry) in &self.entries {
            assert!(self.due.contains(&(entry.due, *id)));
            if let What::Live(record) = &entry.what {
                assert!(entry.due <= record.deadline());
            }
            if let What::Live(record) = &entry.what
                && let Some(subject) = &record.subject.value
            {
                let listed = self.subjects.get(subject).is_some_and(|bound| bound.ids.contains(id));
                let swept = self.sweeping.iter().any(|(_, ids)| ids.contains(id));
                assert!(listed || swept);
            }
        }
        for bound in self.subjects.values() {
            assert!(!bound.ids.is_empty() || bound.sweeps > 0);
            assert!(bound.ids.iter().all(|id| self.entries.contains_key(id)));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Create(u8, u8),
    Set(u8, u8),
    Bind(u8, Option<u8>),
    End(u8),
    Rename(u8, u8, u8),
    EndAll(u8, Option<u8>),
    Wait(u64),
}

fn calls() -> impl Strategy<Value = Call> {
    let id = 0_u8..8;
    let user = 0_u8..2;
    prop_oneof![
        4 => (id.clone(), 0_u8..100).prop_map(|(id, bytes)| Call::Create(id, bytes)),
        2 => (id.clone(), 0_u8..100).prop_map(|(id, bytes)| Call::Set(id, bytes)),
        2 => (id.clone(), prop::option::of(user.clone())).prop_map(|(id, user)| Call::Bind(id, user)),
        1 => id.clone().prop_map(Call::End),
        2 => (id.clone(), id.clone(), 0_u8..3).prop_map(|(id, to, old)| Call::Rename(id, to, old)),
        1 => (user, prop::option::of(id)).prop_map(|(user, id)| Call::EndAll(user, id)),
        2 => (0_u64..40).prop_map(Call::Wait),
    ]
}

fn id(number: u8) -> IdHash {
    Id::from_random([number; RANDOM_BYTES]).hash()
}

fn subject(user: u8) -> Subject {
    Subject::new(user.to_string()).unwrap()
}

fn set(bytes: u8) -> Changes {
    let mut changes = Changes::default();
    let value = Bytes::from(vec![0; usize::from(bytes)]);
    let name = abide_session::FieldName::new("a").unwrap();
    changes.fields.insert(name, abide_session::FieldChange::blind(Some(value)));
    changes
}

fn birth(mut changes: Changes, now: Time) -> Changes {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_secs(30));
    changes.hard_deadline = Some(now.after(Duration::from_secs(100)));
    changes
}

fn bind(user: Option<u8>) -> Changes {
    let mut changes = Changes::default();
    changes.subject = Some(user.map(subject));
    changes
}

/// Makes a call, and watches that what has ended stays so until its hard deadline.
fn make(table: &mut Table, call: Call, now: Time) {
    match call {
        Call::Create(number, bytes) => {
            let known = table.entries.contains_key(&id(number));
            let outcome = table.create(id(number), &birth(set(bytes), now), now);
            assert!(!known || matches!(outcome, Ok(Create::Taken)));
        }
        Call::Set(number, bytes) => {
            let before = table.load(id(number), now).live().is_some();
            let outcome = table.commit(id(number), &set(bytes), now);
            assert!(before || matches!(outcome, Ok(Commit::Gone)));
        }
        Call::Bind(number, user) => {
            let _ = table.commit(id(number), &bind(user), now);
        }
        Call::End(number) => {
            table.end(id(number), now);
            assert!(table.load(id(number), now).live().is_none());
        }
        Call::Rename(number, to, old) => {
            let old = [OldId::Follows, OldId::Freezes, OldId::Ends][usize::from(old)];
            let until = now.after(Duration::from_secs(10));
            let _ = table.rename(id(number), &Rename::new(id(to), set(1), old, until), now);
        }
        Call::EndAll(user, except) => {
            table.end_all(&subject(user), except.map(id), now);
            assert!(table.list(&subject(user), now).len() <= 1);
        }
        Call::Wait(_) => {}
    }
}

proptest! {
    #[test]
    fn the_books_are_right_after_every_call(calls in prop::collection::vec(calls(), 0..60)) {
        let mut table = Table::new(5, 4000);
        let mut now = Time::from_secs(1000);
        for call in calls {
            if let Call::Wait(secs) = call {
                now = now.after(Duration::from_secs(secs));
            }
            table.clean(now);
            table.check_invariants();
            make(&mut table, call, now);
            table.check_invariants();
        }
        // In the end nothing is left.
        for _ in 0..20 {
            table.clean(Time::MAX);
        }
        prop_assert_eq!((table.bytes, table.entries.len(), table.subjects.len()), (0, 0, 0));
    }
}

#[test]
fn the_mark_of_an_ended_session_counts_and_goes_at_its_hard_deadline() {
    let mut table = Table::new(10, 10_000);
    let now = Time::from_secs(1000);
    table.create(id(1), &birth(set(100), now), now).unwrap();
    table.end(id(1), now);
    assert_eq!((table.sessions(), table.bytes()), (0, ENTRY_BYTES));
    table.clean(now.after(Duration::from_secs(99)));
    assert!(matches!(table.load(id(1), now), Loaded::Ended));
    table.clean(now.after(Duration::from_secs(100)));
    assert_eq!(table.bytes(), 0);
}

#[test]
fn a_full_table_makes_room_of_what_has_expired_before_it_refuses() {
    let mut table = Table::new(20, 100_000);
    let now = Time::from_secs(1000);
    for number in 0..20 {
        table.create(id(number), &birth(set(1), now), now).unwrap();
    }
    let full = table.create(id(20), &birth(set(1), now), now);
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    let later = now.after(Duration::from_secs(30));
    table.create(id(20), &birth(set(1), later), later).unwrap();
    table.check_invariants();
}

#[test]
fn a_session_that_is_used_stays_until_it_is_not() {
    let mut table = Table::new(20, 100_000);
    let now = Time::from_secs(1000);
    table.create(id(1), &birth(set(1), now), now).unwrap();
    let used = now.after(Duration::from_secs(20));
    let mut touch = Changes::default();
    touch.seen = Some(used);
    assert!(matches!(table.commit(id(1), &touch, used), Ok(Commit::Committed(_))));
    table.clean(now.after(Duration::from_secs(49)));
    table.check_invariants();
    assert_eq!(table.sessions(), 1);
    table.clean(now.after(Duration::from_secs(50)));
    table.check_invariants();
    assert_eq!((table.sessions(), table.bytes()), (0, 0));
}

#[test]
fn a_session_may_be_given_less_time_than_it_had() {
    let mut table = Table::new(20, 100_000);
    let now = Time::from_secs(1000);
    table.create(id(1), &birth(set(1), now), now).unwrap();
    let mut changes = Changes::default();
    changes.idle_timeout = Some(Duration::from_secs(5));
    assert!(matches!(table.commit(id(1), &changes, now), Ok(Commit::Committed(_))));
    table.check_invariants();
    table.clean(now.after(Duration::from_secs(5)));
    assert_eq!((table.sessions(), table.bytes()), (0, 0));
}

#[test]
fn old_ids_are_followed_so_far_and_no_further() {
    let mut table = Table::new(20, 100_000);
    let now = Time::from_secs(1000);
    table.create(id(0), &birth(set(1), now), now).unwrap();
    let renewals = u8::try_from(MAX_RENEWALS_IN_GRACE).unwrap();
    let until = now.after(Duration::from_secs(10));
    for number in 0..=renewals {
        let rename = Rename::new(id(number + 1), Changes::default(), OldId::Follows, until);
        assert!(matches!(table.rename(id(number), &rename, now), Ok(Commit::Committed(_))));
    }
    assert!(matches!(table.load(id(0), now), Loaded::Ended));
    for number in 1..=renewals + 1 {
        assert!(table.load(id(number), now).live().is_some(), "{number}");
    }
}

#[test]
fn no_more_sessions_are_listed_than_the_limit() {
    let mut table = Table::new(usize::MAX, usize::MAX);
    let now = Time::from_secs(1000);
    for number in 0..=MAX_LISTED {
        let mut random = [0; RANDOM_BYTES];
        random[8..16].copy_from_slice(&number.to_le_bytes());
        let seen = now.after(Duration::from_millis(u64::try_from(number).unwrap()));
        let mut changes = birth(bind(Some(1)), seen);
        changes.seen = Some(seen);
        table.create(Id::from_random(random).hash(), &changes, now).unwrap();
    }
    let listed = table.list(&subject(1), now);
    assert_eq!(listed.len(), MAX_LISTED);
    assert!(listed.iter().all(|listed| listed.record.seen > now), "the last seen come first");
}
