//! A user with two browsers, what he does in them, and what he knows must be there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abide::store::{
    Changes, Commit, Create, End, Expected, FieldChange, FieldName, IdHash, Listed, Loaded, OldId,
    Record, Rename, StoreFuture, Subject, Write,
};
use abide::{Store, StoreError};
use abide_time::Time;
use bytes::Bytes;
use futures_util::future::{join, join_all};
use tokio::sync::RwLockReadGuard;
use tokio::time::Instant;

use super::{Bad, Course, new_id};
use crate::random::Random;

#[derive(Debug)]
pub(super) struct User {
    subject: Subject,
    browsers: [Visitor; 2],
    /// Ids of sessions that have ended.
    ended: Vec<IdHash>,
}

/// The session of one browser.
#[derive(Clone, Debug)]
struct Visitor {
    id: IdHash,
    /// An id from before a renewal, and since when it is one.
    old: Option<(IdHash, Instant)>,
    made: Time,
    added: i64,
    updated: i64,
    /// What was done in it, for whoever has to find out how it went wrong.
    story: Vec<String>,
}

const IDLE: Duration = Duration::from_hours(1);
const ABSOLUTE: Duration = Duration::from_hours(2);
const GRACE: Duration = Duration::from_secs(30);
/// Whoever uses an old id does so before its grace is nearly over.
const OLD_ID_USED: Duration = Duration::from_secs(10);

impl User {
    pub(super) fn new(seed: u64, number: usize) -> Self {
        let subject = Subject::new(format!("user {number} of {seed:016x}")).expect("a short name");
        let nothing = Visitor {
            id: IdHash::of_secret("a session that is not there", &seed.to_le_bytes()),
            old: None,
            made: Time::EPOCH,
            added: 0,
            updated: 0,
            story: Vec::new(),
        };
        Self { subject, browsers: [nothing.clone(), nothing], ended: Vec::new() }
    }

    pub(super) async fn sign_in(&mut self, course: &Course, random: &mut Random) {
        for browser in [0, 1] {
            self.begin(browser, course, random).await;
        }
    }

    pub(super) async fn does_something(&mut self, course: &Course, random: &mut Random) {
        let browser = usize::from(random.below(2) == 1);
        match random.below(100) {
            0..30 => self.add(browser, course, random).await,
            30..42 => self.update(browser, course, random).await,
            42..62 => self.read(browser, course, random).await,
            62..72 => self.renew(browser, course, random).await,
            72..78 => self.sign_in_again(browser, course, random).await,
            78..86 => self.sign_out(browser, course, random).await,
            86..90 => self.sign_out_elsewhere(browser, course, random).await,
            90..96 => self.list(course, random).await,
            _ => self.touch(browser, course, random).await,
        }
    }

    pub(super) async fn looks_at_everything(&mut self, course: &Course, random: &mut Random) {
        for browser in [0, 1] {
            self.read(browser, course, random).await;
        }
        let all = self.ended.clone();
        self.must_have_ended(&all, course).await;
    }

    async fn begin(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let (id, made) = (new_id(random).hash(), course.now());
        let mut birth = put("name", &browser.to_string());
        birth.created = Some(made);
        birth.seen = Some(made);
        birth.idle_timeout = Some(IDLE);
        birth.hard_deadline = Some(made.after(ABSOLUTE));
        birth.subject = Some(Some(self.subject.clone()));
        let created = course.ask(random, |store| store.create(id, birth.clone(), made)).await;
        if !matches!(created, Some(Create::Created(_)) | None) {
            course.bad(Bad::Refused, "a create");
        }
        let story = Vec::new();
        self.browsers[browser] = Visitor { id, old: None, made, added: 0, updated: 0, story };
    }

    async fn add(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let adds = (0..=random.below(3)).map(|_| {
            let id = self.browsers[browser].some_id(course, random);
            (id, random.below(2), course.now())
        });
        let adds: Vec<_> = adds.collect();
        let added = join_all(adds.into_iter().map(|(id, server, now)| async move {
            let changes = add_one();
            course.ask_of(server, |store| store.commit(id, changes.clone(), now)).await
        }));
        for outcome in added.await {
            self.browsers[browser].tell(course, format_args!("add: {outcome:?}"));
            self.browsers[browser].added += course.committed(outcome, "an addition");
        }
    }

    /// Two that read, add one, and write if nobody was faster.
    async fn update(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let id = self.browsers[browser].id;
        let update = async |server| {
            for _ in 0..100 {
                let now = course.now();
                let loaded = course.ask_of(server, |store| store.load(id, now)).await;
                let Some(record) = loaded.and_then(Loaded::live) else { break };
                let next = (number(&record, "updated") + 1).to_string();
                let mut changes = Changes::default();
                let value = Some(Bytes::from(next));
                let change = FieldChange::based_on(Expected::of(&record, "updated"), value);
                changes.fields.insert(name("updated"), change);
                match course.ask_of(server, |store| store.commit(id, changes.clone(), now)).await {
                    Some(Commit::Committed(_)) => return 1,
                    Some(Commit::Conflict(_)) => {}
                    _ => break,
                }
            }
            course.bad(Bad::Refused, "an update");
            0
        };
        let (one, other) = join(update(0), update(random.below(2))).await;
        self.browsers[browser].tell(course, format_args!("updates: {one}, {other}"));
        self.browsers[browser].updated += one + other;
    }

    async fn read(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let visitor = &self.browsers[browser];
        let (id, now) = (visitor.some_id(course, random), course.now());
        let Some(loaded) = course.ask(random, |store| store.load(id, now)).await else { return };
        let Loaded::Live { record, .. } = loaded else {
            let by = if id == visitor.id { "its id" } else { "an old id" };
            return course.bad(Bad::Lost, &format!("{loaded:?} by {by}"));
        };
        visitor.check(&record, browser, course);
    }

    async fn renew(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let (id, now) = (self.browsers[browser].id, course.now());
        let to = id.beside(&format!("{:016x}", random.next()));
        let rename = Rename::new(to, Changes::default(), OldId::Follows, now.after(GRACE));
        let (one, other) = (random.below(2), random.below(2));
        let renew = course.ask_of(one, |store| store.rename(id, rename.clone(), now));
        let add = course.ask_of(other, |store| store.commit(id, add_one(), now));
        let (renewed, added) = join(renew, add).await;
        let visitor = &mut self.browsers[browser];
        visitor.tell(course, format_args!("renew: {renewed:?}, beside it add: {added:?}"));
        visitor.added += course.committed(added, "an addition beside a renewal");
        if course.committed(renewed, "a renewal") == 1 {
            visitor.old = Some((id, Instant::now()));
            visitor.id = to;
        }
    }

    async fn sign_in_again(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let (id, now) = (self.browsers[browser].id, course.now());
        let to = id.beside(&format!("{:016x}", random.next()));
        let mut changes = add_one();
        changes.subject = Some(Some(self.subject.clone()));
        let rename = Rename::new(to, changes, OldId::Freezes, now.after(GRACE));
        let renewed = course.ask(random, |store| store.rename(id, rename.clone(), now)).await;
        self.browsers[browser].tell(course, format_args!("sign in: {renewed:?}"));
        if course.committed(renewed, "a sign-in") == 1 {
            let visitor = &mut self.browsers[browser];
            visitor.added += 1;
            visitor.id = to;
            visitor.old = None;
        }
    }

    /// Signs out while another request is on its way.
    async fn sign_out(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let visitor = self.browsers[browser].clone();
        let (by, now) = (visitor.some_id(course, random), course.now());
        let (one, other) = (random.below(2), random.below(2));
        let end = course.ask_of(one, |store| store.end(by, now));
        let add = course.ask_of(other, |store| store.commit(visitor.id, add_one(), now));
        let (ended, _) = join(end, add).await;
        if matches!(ended, Some(End::Gone)) {
            course.bad(Bad::Lost, "there was nothing to sign out of");
        }
        self.has_ended(browser, course).await;
        self.begin(browser, course, random).await;
    }

    async fn sign_out_elsewhere(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let (here, there) = (self.browsers[browser].clone(), self.browsers[1 - browser].clone());
        let (subject, now) = (self.subject.clone(), course.now());
        let (one, other) = (random.below(2), random.below(2));
        let end = async {
            let server = course.server(one).await;
            course.answered(server.end_all(&subject, Some(here.id), now).await)
        };
        let add = course.ask_of(other, |store| store.commit(there.id, add_one(), now));
        join(end, add).await;
        self.has_ended(1 - browser, course).await;
        self.read(browser, course, random).await;
        self.begin(1 - browser, course, random).await;
    }

    async fn list(&mut self, course: &Course, random: &mut Random) {
        let (subject, now) = (self.subject.clone(), course.now());
        let server = course.server(random.below(2)).await;
        let listed = course.answered(server.list(&subject, now).await);
        let mut listed: Vec<IdHash> =
            listed.into_iter().flatten().map(|Listed { id, .. }| id).collect();
        let mut expected: Vec<IdHash> = self.browsers.iter().map(|browser| browser.id).collect();
        listed.sort();
        expected.sort();
        if listed != expected {
            let known = listed.iter().filter(|id| expected.contains(id)).count();
            course.bad(Bad::Lost, &format!("a list of {}, {known} of them right", listed.len()));
        }
    }

    async fn touch(&mut self, browser: usize, course: &Course, random: &mut Random) {
        let (id, now) = (self.browsers[browser].id, course.now());
        let mut changes = Changes::default();
        changes.seen = Some(now);
        let touched = course.ask(random, |store| store.commit(id, changes.clone(), now)).await;
        course.committed(touched, "a touch");
    }

    async fn has_ended(&mut self, browser: usize, course: &Course) {
        let visitor = &self.browsers[browser];
        let ids: Vec<_> = visitor.old.iter().map(|(id, _)| *id).chain([visitor.id]).collect();
        course.note(|outcome| outcome.ended += 1);
        self.must_have_ended(&ids, course).await;
        self.ended.extend(ids);
    }

    async fn must_have_ended(&self, ids: &[IdHash], course: &Course) {
        for id in ids {
            for server in [0, 1] {
                let now = course.now();
                let loaded = course.ask_of(server, |store| store.load(*id, now)).await;
                if let Some(Loaded::Live { standing, .. }) = loaded {
                    course.bad(Bad::Revived, &format!("{standing:?} on server {server}"));
                }
            }
        }
    }
}

impl Visitor {
    /// The id, or one that it was until a moment ago.
    fn some_id(&self, course: &Course, random: &mut Random) -> IdHash {
        match self.old {
            Some((id, since))
                if since.elapsed() < OLD_ID_USED
                    && course.has_old_ids.load(Ordering::SeqCst)
                    && random.below(2) == 0 =>
            {
                id
            }
            _ => self.id,
        }
    }

    fn tell(&mut self, course: &Course, what: fmt::Arguments<'_>) {
        let deployments = course.deployments.load(Ordering::SeqCst);
        self.story.push(format!("after {deployments} deployments {what}"));
    }

    fn check(&self, record: &Record, browser: usize, course: &Course) {
        let added = record.get("added").map_or(0, rmp_integer);
        let updated = number(record, "updated");
        if (added, updated) != (self.added, self.updated) {
            let (found, expected) = ((added, updated), (self.added, self.updated));
            let what = format!("{found:?} instead of {expected:?}; done: {:?}", self.story);
            course.bad(Bad::LostWrite, &what);
        }
        if number(record, "name") != i64::try_from(browser).unwrap_or_default() {
            course.bad(Bad::LostWrite, "another session's");
        }
        let times = (record.created, record.hard_deadline, record.idle_timeout.value);
        if times != (self.made, self.made.after(ABSOLUTE), IDLE) || record.seen < self.made {
            course.bad(Bad::OtherDeadlines, &format!("{times:?}"));
        }
    }
}

impl Course {
    /// Asks one of the servers; none if it fails.
    async fn ask<T>(
        &self,
        random: &mut Random,
        call: impl for<'a> FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        self.ask_of(random.below(2), call).await
    }

    async fn ask_of<T>(
        &self,
        server: u32,
        call: impl for<'a> FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        let server = self.server(server).await;
        self.answered(call(&**server).await)
    }

    /// One of the servers, which is not stopped while it is asked.
    async fn server(&self, server: u32) -> RwLockReadGuard<'_, Arc<dyn Store>> {
        self.servers[usize::from(server == 1)].read().await
    }

    fn answered<T>(&self, answer: Result<T, StoreError>) -> Option<T> {
        answer.map_err(|error| self.bad(Bad::Error, &error.to_string())).ok()
    }

    /// One if it was taken.
    fn committed(&self, outcome: Option<Commit>, what: &str) -> i64 {
        match outcome {
            Some(Commit::Committed(_)) => 1,
            Some(other) => {
                self.bad(Bad::Refused, &format!("{what}: {other:?}"));
                0
            }
            None => 0,
        }
    }
}

fn name(text: &'static str) -> FieldName {
    FieldName::new(text).expect("a short name")
}

fn put(field: &'static str, text: &str) -> Changes {
    let mut changes = Changes::default();
    let value = Some(Bytes::copy_from_slice(text.as_bytes()));
    changes.fields.insert(name(field), FieldChange::blind(value));
    changes
}

fn add_one() -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name("added"), FieldChange::relative(Write::Add(1)));
    changes
}

fn number(record: &Record, field: &str) -> i64 {
    let text = record.get(field).map(|value| String::from_utf8_lossy(value).into_owned());
    text.map_or(0, |text| text.parse().unwrap_or(-1))
}

/// A small number in MessagePack.
fn rmp_integer(value: &Bytes) -> i64 {
    match **value {
        [small @ 0..=0x7f] => i64::from(small),
        [0xcc, byte] => i64::from(byte),
        [0xcd, high, low] => i64::from(u16::from_be_bytes([high, low])),
        _ => -1,
    }
}
