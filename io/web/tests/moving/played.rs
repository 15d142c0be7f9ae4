//! Every pair of operations, cut at every place.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abide::store::{
    Changes, Commit, Create, End, Expected, FieldChange, FieldName, Id, IdHash, Loaded, OldId,
    RANDOM_BYTES, Record, Rename, Standing, Subject, Time, Write,
};
use abide::{MemoryStore, Moving, Store};
use bytes::Bytes;

use super::cut::Cut;

/// What is done to the session, by its id or by the one it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Load,
    LoadOld,
    Add,
    AddOld,
    Update,
    Touch,
    Renew,
    RenewOld,
    SignIn,
    SignOut,
    End,
    EndOld,
    EndAll,
    EndAllBut,
    List,
    Scan,
}

use Operation::*;

const ALL: &[Operation] = &[
    Load, LoadOld, Add, AddOld, Update, Touch, Renew, RenewOld, SignIn, SignOut, End, EndOld,
    EndAll, EndAllBut, List, Scan,
];

/// What a server has of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// The old store only: not there any more when another one moves sessions.
    Unprepared,
    Prepared,
    Moving,
}

/// What came of an operation.
#[derive(Debug, Default)]
struct Outcome {
    added: i64,
    updated: i64,
    /// It was answered that the session has ended, by this operation.
    ended: bool,
    /// Something was refused: allowed only if there is an end in the game.
    refused: Option<String>,
    /// The id that the session has from now on.
    renewed: Option<IdHash>,
}

/// The session and its two stores.
struct Stage {
    to: MemoryStore,
    from: MemoryStore,
    now: Time,
    old: IdHash,
    id: IdHash,
    subject: Subject,
}

const N: &str = "n";
const U: &str = "u";

impl Stage {
    /// A session in `from` that was renewed once, a moment ago.
    #[expect(
        clippy::disallowed_methods,
        reason = "a walk reads the clock, so the test has its time"
    )]
    async fn set() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now = Time::EPOCH.after(since);
        let (to, from) = (MemoryStore::new(), MemoryStore::new());
        let subject = Subject::new("alice").unwrap();
        let old = Id::from_random([1; RANDOM_BYTES]).hash();
        let id = old.beside("renewed");
        let mut birth = put("a", "1");
        birth.created = Some(now);
        birth.seen = Some(now);
        birth.idle_timeout = Some(Duration::from_mins(10));
        birth.hard_deadline = Some(now.after(Duration::from_hours(1)));
        birth.subject = Some(Some(subject.clone()));
        assert!(matches!(from.create(old, birth, now).await, Ok(Create::Created(_))));
        let stage = Self { to, from, now, old, id, subject };
        let renewal = stage.renewal(id, OldId::Follows, Changes::default());
        let renewed = stage.from.rename(old, renewal, now).await;
        assert!(matches!(renewed, Ok(Commit::Committed(_))));
        stage
    }

    fn server(&self, server: Server, cut: Option<&Arc<Cut>>) -> Box<dyn Store> {
        let never = Cut::at(usize::MAX);
        let cut = cut.unwrap_or(&never);
        let (to, from) = (cut.over(self.to.clone()), cut.over(self.from.clone()));
        match server {
            Server::Unprepared => Box::new(from),
            Server::Prepared => Box::new(Moving::prepared(from, to)),
            Server::Moving => Box::new(Moving::new(to, from)),
        }
    }

    async fn commit(&self, server: &dyn Store, id: IdHash, changes: Changes) -> Option<String> {
        let outcome = server.commit(id, changes, self.now).await.unwrap();
        (!matches!(outcome, Commit::Committed(_))).then(|| format!("{outcome:?}"))
    }

    fn renewal(&self, to: IdHash, old: OldId, changes: Changes) -> Rename {
        Rename::new(to, changes, old, self.now.after(Duration::from_secs(10)))
    }

    async fn renew(&self, server: &dyn Store, operation: Operation, number: u8) -> Outcome {
        let to = self.id.beside(&format!("renewed by {number}"));
        let mut changes = Changes::default();
        let (id, old) = match operation {
            SignIn => {
                changes.subject = Some(Some(self.subject.clone()));
                (self.id, OldId::Freezes)
            }
            SignOut => {
                changes.subject = Some(None);
                (self.id, OldId::Ends)
            }
            RenewOld => (self.old, OldId::Follows),
            _ => (self.id, OldId::Follows),
        };
        let mut outcome = Outcome::default();
        match server.rename(id, self.renewal(to, old, changes), self.now).await.unwrap() {
            Commit::Committed(_) => outcome.renewed = Some(to),
            other => outcome.refused = Some(format!("{other:?}")),
        }
        outcome
    }

    async fn act(&self, server: &dyn Store, operation: Operation, number: u8) -> Outcome {
        let mut outcome = Outcome::default();
        let now = self.now;
        let id = match operation {
            LoadOld | AddOld | RenewOld | EndOld => self.old,
            _ => self.id,
        };
        match operation {
            Load | LoadOld => match server.load(id, now).await.unwrap() {
                Loaded::Live { record, .. } => {
                    assert_eq!(record.get("a"), Some(&Bytes::from_static(b"1")));
                }
                other => outcome.refused = Some(format!("{other:?}")),
            },
            Add | AddOld => {
                let mut changes = Changes::default();
                let add = FieldChange::relative(Write::Add(1));
                changes.fields.insert(FieldName::new(N).unwrap(), add);
                outcome.refused = self.commit(server, id, changes).await;
                outcome.added = i64::from(outcome.refused.is_none());
            }
            Update => self.update(server, &mut outcome).await,
            Touch => {
                let mut changes = Changes::default();
                changes.seen = Some(now.after(Duration::from_secs(1)));
                outcome.refused = self.commit(server, id, changes).await;
            }
            Renew | RenewOld | SignIn | SignOut => {
                outcome = self.renew(server, operation, number).await;
            }
            End | EndOld => match server.end(id, now).await.unwrap() {
                End::Ended => outcome.ended = true,
                other => outcome.refused = Some(format!("{other:?}")),
            },
            EndAll => {
                server.end_all(&self.subject, None, now).await.unwrap();
                outcome.ended = true;
            }
            EndAllBut => server.end_all(&self.subject, Some(id), now).await.unwrap(),
            List => {
                let listed = server.list(&self.subject, now).await.unwrap();
                if listed.len() != 1 {
                    outcome.refused = Some(format!("{listed:?}"));
                }
            }
            Scan => {
                if walked(server, now).await == 0 {
                    outcome.refused = Some("a walk showed nothing".to_owned());
                }
            }
        }
        outcome
    }

    /// Reads, adds one, writes if nobody was faster.
    async fn update(&self, server: &dyn Store, outcome: &mut Outcome) {
        for _ in 0..10 {
            let Some(record) = server.load(self.id, self.now).await.unwrap().live() else { break };
            let changes = put_if(U, Expected::of(&record, U), &(count(&record, U) + 1).to_string());
            match server.commit(self.id, changes, self.now).await.unwrap() {
                Commit::Committed(_) => {
                    outcome.updated = 1;
                    return;
                }
                Commit::Conflict(_) => {}
                _ => break,
            }
        }
        outcome.refused = Some("an update".to_owned());
    }

    /// The session by the id that it has now, and that id.
    async fn current(
        &self,
        server: &dyn Store,
        renewals: &[IdHash],
    ) -> Option<(IdHash, Arc<Record>)> {
        let mut found = Vec::new();
        for id in [self.id].iter().chain(renewals) {
            let loaded = server.load(*id, self.now).await.unwrap();
            if let Loaded::Live { record, standing: Standing::Current } = loaded {
                found.push((*id, record));
            }
        }
        // Two would be two sessions.
        if found.len() == 1 { found.pop() } else { None }
    }

    /// What must hold when both are done, as seen by servers of these kinds.
    async fn check(
        &self,
        servers: &[Server],
        operations: [Operation; 2],
        outcomes: &[Outcome],
        what: &str,
    ) {
        // Who has signed out is nobody's, and not among the sessions of somebody.
        let is_nobodys = operations.contains(&SignOut)
            && operations.contains(&EndAll)
            && outcomes.iter().any(|outcome| outcome.renewed.is_some());
        let ends = outcomes.iter().any(|outcome| outcome.ended) && !is_nobodys;
        let renewals: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.renewed).collect();
        for server in servers {
            let server = &*self.server(*server, None);
            if ends {
                for id in [self.old, self.id].iter().chain(&renewals) {
                    let loaded = server.load(*id, self.now).await.unwrap();
                    assert!(!matches!(loaded, Loaded::Live { .. }), "{what}: revived: {loaded:?}");
                    assert_eq!(server.end(*id, self.now).await.unwrap(), End::Gone, "{what}");
                }
                assert!(server.list(&self.subject, self.now).await.unwrap().is_empty(), "{what}");
                continue;
            }
            let (current, record) = self.current(server, &renewals).await.expect(what);
            assert_eq!(record.get("a"), Some(&Bytes::from_static(b"1")), "{what}");
            let added: i64 = outcomes.iter().map(|outcome| outcome.added).sum();
            let n = record.get(N).map_or(0, |value| i64::from(value[0]));
            assert!(n >= added && n <= added + i64::from(outcomes.len() < 2), "{what}: {n}");
            let updated: i64 = outcomes.iter().map(|outcome| outcome.updated).sum();
            let u = count(&record, U);
            assert!(u >= updated && u <= updated + i64::from(outcomes.len() < 2), "{what}: {u}");
            assert_eq!(record.created, self.now, "{what}");
            assert_eq!(record.hard_deadline, self.now.after(Duration::from_hours(1)), "{what}");
            if record.subject.value.is_some() {
                let listed = server.list(&self.subject, self.now).await.unwrap();
                let [listed] = &listed[..] else { panic!("{what}: {listed:?}") };
                assert_eq!(listed.id, current, "{what}");
            }
            for outcome in outcomes {
                let is_all_right = outcome.refused.is_none()
                    || !renewals.is_empty()
                    || operations.contains(&RenewOld);
                assert!(is_all_right, "{what}: refused for no reason: {outcome:?}");
            }
        }
    }
}

/// How many a walk shows.
async fn walked(server: &dyn Store, now: Time) -> usize {
    let (mut shown, mut cursor) = (0, None);
    loop {
        let page = server.scan(cursor, now).await.unwrap().unwrap();
        shown += page.ids.len();
        cursor = page.next;
        if cursor.is_none() {
            return shown;
        }
    }
}

fn put_if(field: &'static str, expected: Expected, text: &str) -> Changes {
    let mut changes = Changes::default();
    let value = Some(Bytes::copy_from_slice(text.as_bytes()));
    changes.fields.insert(FieldName::new(field).unwrap(), FieldChange::based_on(expected, value));
    changes
}

fn put(field: &'static str, text: &str) -> Changes {
    put_if(field, Expected::Anything, text)
}

fn count(record: &Record, field: &str) -> i64 {
    let text = record.get(field).map(|value| String::from_utf8_lossy(value).into_owned());
    text.map_or(0, |text| text.parse().unwrap())
}

/// How the first operation goes on after the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    GoesOn,
    Dies,
}

/// Plays it; false if the first operation was done before it got to the cut.
async fn play(
    first: (Server, Operation),
    second: (Server, Operation),
    place: usize,
    after: After,
) -> bool {
    let what = format!("{first:?} cut at {place} by {second:?}, then it {after:?}");
    let stage = Arc::new(Stage::set().await);
    let cut = Cut::at(place);
    let running = tokio::spawn({
        let (stage, cut) = (Arc::clone(&stage), Arc::clone(&cut));
        async move {
            let server = stage.server(first.0, Some(&cut));
            let outcome = stage.act(&*server, first.1, 1).await;
            cut.reached.add_permits(1);
            outcome
        }
    });
    cut.reached.acquire().await.unwrap().forget();
    let was_reached = cut.was_reached();
    let outcome = stage.act(&*stage.server(second.0, None), second.1, 2).await;
    let mut outcomes = vec![outcome];
    if after == After::Dies && was_reached {
        running.abort();
        let _ = running.await;
        // Nobody was told what came of these, so either is right, unless the other has ended it.
        let is_open = matches!(first.1, Renew | SignIn | SignOut | End | EndOld | EndAll);
        if is_open && (!outcomes[0].ended || first.1 == SignOut) {
            return true;
        }
    } else {
        cut.go_on.add_permits(1);
        outcomes.insert(0, running.await.expect(&what));
    }
    if !is_known([first.1, second.1]) {
        let servers: &[Server] = match (first.0, second.0) {
            (Server::Unprepared, _) | (_, Server::Unprepared) => {
                &[Server::Unprepared, Server::Prepared]
            }
            _ => &[Server::Moving, Server::Prepared],
        };
        stage.check(servers, [first.1, second.1], &outcomes, &what).await;
    }
    was_reached
}

/// An id from before a sign-in does not lead to the session any more when it has moved: so it ends
/// with the others, if they are ended from there. `docs/design/moving.md` says so.
fn is_known(pair: [Operation; 2]) -> bool {
    pair.contains(&SignIn) && pair.contains(&EndAllBut)
}

async fn play_all(first: Server, second: Server, after: After) {
    let mut played = 0;
    for one in ALL {
        for other in ALL {
            for place in 0.. {
                played += 1;
                if !play((first, *one), (second, *other), place, after).await {
                    break;
                }
            }
        }
    }
    assert!(played > 3 * ALL.len() * ALL.len(), "only {played} were played: nothing was cut");
}

#[tokio::test]
async fn two_servers_that_move_sessions_do_not_get_in_each_others_way() {
    play_all(Server::Moving, Server::Moving, After::GoesOn).await;
}

#[tokio::test]
async fn a_server_that_moves_and_one_that_is_prepared_do_not_get_in_each_others_way() {
    play_all(Server::Moving, Server::Prepared, After::GoesOn).await;
    play_all(Server::Prepared, Server::Moving, After::GoesOn).await;
}

#[tokio::test]
async fn a_server_that_is_prepared_and_one_that_is_not_do_not_get_in_each_others_way() {
    play_all(Server::Prepared, Server::Unprepared, After::GoesOn).await;
    play_all(Server::Unprepared, Server::Prepared, After::GoesOn).await;
}

#[tokio::test]
async fn two_servers_that_are_prepared_do_not_get_in_each_others_way() {
    play_all(Server::Prepared, Server::Prepared, After::GoesOn).await;
}

#[tokio::test]
async fn nothing_is_lost_with_a_server_that_dies_half_way() {
    for first in [Server::Moving, Server::Prepared] {
        for second in [Server::Moving, Server::Prepared] {
            play_all(first, second, After::Dies).await;
        }
    }
}
