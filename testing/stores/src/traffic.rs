//! Traffic from many clients that remember what was acknowledged to them, and look for it later.
//!
//! Each client has sessions of its own, to which nobody else writes, so that it knows what has to be
//! there: everything acknowledged, and nothing that was never tried. After an error it knows neither
//! and counts neither.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abide_session::{Changes, Commit, Create, End, IdHash, OldId, Rename, Store, StoreError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::known::{Known, Random, now};
use crate::report::Report;

/// How many clients there are.
pub const CLIENTS: usize = 16;
/// Sessions of each.
const SESSIONS: usize = 25;
/// Each client makes a call so often, if the one before is over: together some thousand a second,
/// which no store here finds hard.
const PACE: Duration = Duration::from_millis(10);
/// Writes to one session, far from the most fields that it may have.
const WRITES: u32 = 60;
/// How long there must be no error for the errors to be over.
const CALM: Duration = Duration::from_millis(1500);
/// Longer than any limit of a call.
const GRACE: Duration = Duration::from_hours(1);

/// Clients at work, until [`finish`](Traffic::finish).
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Sessions>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    report: Report,
    last_error: Option<Instant>,
}

/// The sessions of one client.
#[derive(Debug, Default)]
struct Sessions {
    live: Vec<Known>,
    /// Those whose end was acknowledged.
    ended: Vec<IdHash>,
}

impl Traffic {
    /// Begins.
    pub fn begin(store: &Arc<dyn Store>) -> Self {
        let shared = Arc::<Shared>::default();
        let clients = (0..CLIENTS)
            .map(|number| {
                let client = Client {
                    store: Arc::clone(store),
                    shared: Arc::clone(&shared),
                    random: Random::new(u64::try_from(number).unwrap()),
                    sessions: Sessions::default(),
                };
                tokio::spawn(client.work())
            })
            .collect();
        tokio::spawn(look_how_late(Arc::clone(&shared)));
        Self { shared, clients }
    }

    /// Waits until so many more writes were acknowledged.
    ///
    /// # Panics
    /// If they are not within the patience.
    pub async fn acknowledged(&self, more: u64, patience: Duration) {
        let goal = self.shared.seen().report.acknowledged + more;
        let enough = || self.shared.seen().report.acknowledged >= goal;
        assert!(self.watch(patience, enough).await, "no traffic: {:?}", self.shared.seen());
    }

    /// The fault is over now: waits until there are no errors any more, and remembers how long that
    /// took.
    ///
    /// # Panics
    /// If they do not stop within the patience.
    pub async fn recovered(&self, patience: Duration) {
        let begin = Instant::now();
        let calm = || {
            let last = self.shared.seen().last_error.unwrap_or(begin).max(begin);
            last.elapsed() > CALM
        };
        let is_calm = self.watch(patience, calm).await;
        let mut seen = self.shared.seen();
        assert!(is_calm, "errors do not stop by themselves: {:?}", seen.report);
        let last = seen.last_error.unwrap_or(begin).max(begin);
        seen.report.recovered_after = last - begin;
    }

    /// Ends the traffic and looks for everything that was acknowledged.
    ///
    /// # Panics
    /// If a session can not be looked for.
    pub async fn finish(self, store: &Arc<dyn Store>) -> Report {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            let mut client = Client {
                store: Arc::clone(store),
                shared: Arc::clone(&self.shared),
                random: Random::new(0),
                sessions: client.await.unwrap(),
            };
            let errors = client.shared.seen().report.errors;
            for place in (0..client.sessions.live.len()).rev() {
                client.look(place).await;
            }
            client.look_for_the_ended().await;
            let after = client.shared.seen();
            assert_eq!(errors, after.report.errors, "no fault, and errors: {:?}", after.report);
        }
        self.shared.seen().report.clone()
    }

    async fn watch(&self, patience: Duration, condition: impl Fn() -> bool) -> bool {
        let begin = Instant::now();
        let mut pace = interval(PACE);
        while !condition() {
            if begin.elapsed() > patience {
                return false;
            }
            pace.tick().await;
        }
        true
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes how late the clock of this runtime is.
async fn look_how_late(shared: Arc<Shared>) {
    let mut pace = interval(PACE);
    while !shared.over.load(Ordering::Relaxed) {
        let due = pace.tick().await;
        let mut seen = shared.seen();
        seen.report.behind = seen.report.behind.max(due.elapsed());
    }
}

struct Client {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    random: Random,
    sessions: Sessions,
}

impl Client {
    async fn work(mut self) -> Sessions {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.shared.over.load(Ordering::Relaxed) {
            pace.tick().await;
            self.step().await;
        }
        self.sessions
    }

    async fn step(&mut self) {
        if self.sessions.live.len() < SESSIONS {
            return self.create().await;
        }
        let place = self.random.below(self.sessions.live.len());
        match self.random.below(100) {
            _ if self.sessions.live[place].tried() >= WRITES => self.end(place).await,
            0..50 => self.commit(place).await,
            50..90 => self.look(place).await,
            90..95 => self.renew(place).await,
            _ => self.end(place).await,
        }
    }

    async fn create(&mut self) {
        let known = Known::new(&mut self.random);
        let call = self.store.create(known.id, known.birth(now()), now());
        match self.timed(call).await {
            Some(Create::Created(_)) => {
                self.acknowledged();
                self.sessions.live.push(known);
            }
            Some(other) => panic!("a new id: {other:?}"),
            // It may be there or not; nobody knows its id.
            None => {}
        }
    }

    async fn commit(&mut self, place: usize) {
        let session = &mut self.sessions.live[place];
        let (id, changes) = (session.id, session.next_write());
        match self.timed(self.store.commit(id, changes, now())).await {
            Some(Commit::Committed(_)) => {
                self.sessions.live[place].acknowledge();
                self.acknowledged();
            }
            Some(Commit::Gone) => self.lost(place),
            Some(other) => panic!("nothing was expected of the session: {other:?}"),
            None => {}
        }
    }

    async fn renew(&mut self, place: usize) {
        let id = self.sessions.live[place].id;
        let to = id.beside(&format!("{:016x}", self.random.next()));
        // The old id stays good for as long as the test: if the answer is lost, it is gone on with.
        let rename = Rename::new(to, Changes::default(), OldId::Follows, now().after(GRACE));
        match self.timed(self.store.rename(id, rename, now())).await {
            Some(Commit::Committed(_)) => {
                self.sessions.live[place].id = to;
                self.acknowledged();
            }
            Some(Commit::Gone) => self.lost(place),
            // Some: an earlier renewal whose answer was lost.
            Some(_) | None => {}
        }
    }

    async fn end(&mut self, place: usize) {
        let id = self.sessions.live[place].id;
        match self.timed(self.store.end(id, now())).await {
            Some(End::Ended) => {
                self.sessions.live.swap_remove(place);
                self.sessions.ended.push(id);
                self.acknowledged();
            }
            Some(_) => self.lost(place),
            // It may have ended or not.
            None => drop(self.sessions.live.swap_remove(place)),
        }
    }

    /// Compares a session with what was acknowledged.
    async fn look(&mut self, place: usize) {
        let id = self.sessions.live[place].id;
        let Some(loaded) = self.timed(self.store.load(id, now())).await else { return };
        let Some(record) = loaded.live() else { return self.lost(place) };
        let lacks = self.sessions.live[place].compare(&record);
        let mut seen = self.shared.seen();
        seen.report.lost_writes += lacks.writes;
        seen.report.emptied += u64::from(lacks.is_not_it);
    }

    async fn look_for_the_ended(&self) {
        for id in &self.sessions.ended {
            let loaded = self.timed(self.store.load(*id, now())).await;
            let is_live = loaded.is_some_and(|loaded| loaded.live().is_some());
            self.shared.seen().report.revived += u64::from(is_live);
        }
    }

    fn acknowledged(&self) {
        self.shared.seen().report.acknowledged += 1;
    }

    fn lost(&mut self, place: usize) {
        self.sessions.live.swap_remove(place);
        self.shared.seen().report.lost_sessions += 1;
    }

    /// Makes the call and counts how it fared.
    async fn timed<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        let begin = Instant::now();
        let outcome = call.await;
        let mut seen = self.shared.seen();
        seen.report.longest = seen.report.longest.max(begin.elapsed());
        outcome
            .inspect_err(|error| {
                seen.report.errors += 1;
                *seen.report.texts.entry(error.to_string()).or_default() += 1;
                seen.last_error = Some(Instant::now());
            })
            .ok()
    }
}
