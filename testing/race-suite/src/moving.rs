//! Sessions that move from one store to another while their visitors go on.
//!
//! Two servers, each with a store of its own kind, are deployed anew one after the other: the old
//! store, then prepared, then moving, then the new store. Meanwhile visitors add, update, read, are
//! renewed, sign in, sign out here and everywhere, and every answer is compared with what must be.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use abide::store::{Id, RANDOM_BYTES};
use abide::{Error, Moving, Store};
use abide_time::Time;
use tokio::sync::{Mutex as AsyncMutex, RwLock, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::random::Random;

mod visitor;

use visitor::User;

/// How many sessions are moved, unless the environment variable `ABIDE_MOVED_SESSIONS` says
/// otherwise.
pub fn moved_sessions(default: usize) -> usize {
    let told = std::env::var("ABIDE_MOVED_SESSIONS").ok();
    told.and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Moves so many sessions from one store to the other under traffic. Both must be empty, and nobody
/// else's. It needs a runtime of several threads to be worth its while.
pub async fn sessions_move_under_traffic(
    to: Arc<dyn Store>,
    from: Arc<dyn Store>,
    sessions: usize,
) -> Move {
    let course = Arc::new(Course::new(&to, &from, sessions));
    let mut traffic = course.begin().await;
    let some = u32::try_from(sessions / 4).unwrap_or(u32::MAX).max(100);
    let prepared = || Arc::new(Moving::prepared(Arc::clone(&from), Arc::clone(&to)));
    let (one, other) = (
        Moving::new(Arc::clone(&to), Arc::clone(&from)),
        Moving::new(Arc::clone(&to), Arc::clone(&from)),
    );
    course.goes_on(some).await;
    course.deploy(0, prepared()).await;
    course.goes_on(some).await;
    course.deploy(1, prepared()).await;
    course.goes_on(some).await;
    course.deploy(0, Arc::new(one.clone())).await;
    course.goes_on(some).await;
    course.deploy(1, Arc::new(other.clone())).await;
    course.goes_on(some).await;

    // Two walks at once: an operator who is impatient begins a second one.
    let walks = tokio::join!(one.move_all(|_| ()), other.move_all(|_| ()));
    for walk in [walks.0, walks.1] {
        match walk {
            Ok(moved) => course.note(|outcome| {
                outcome.moved_by_walk += moved.moved;
                outcome.errors += moved.failed + moved.stayed;
            }),
            // One that can not be walked through: the visitors move everything.
            Err(Error::Unsupported(_)) => course.visit_all().await,
            Err(error) => course.bad(Bad::Error, &format!("{error}")),
        }
    }
    course.goes_on(some).await;
    match one.remaining().await {
        Ok(remaining) if remaining.sessions > 0 => {
            course.bad(Bad::Lost, &format!("{} were left behind", remaining.sessions));
        }
        Ok(_) | Err(Error::Unsupported(_)) => {}
        Err(error) => course.bad(Bad::Error, &format!("{error}")),
    }
    // Ids from before a renewal are followed for another minute; this does not wait for it.
    course.has_old_ids.store(false, Ordering::SeqCst);
    course.deploy(0, Arc::clone(&to)).await;
    course.goes_on(some).await;
    course.deploy(1, Arc::clone(&to)).await;
    course.goes_on(some).await;

    course.is_over.store(true, Ordering::SeqCst);
    while traffic.join_next().await.is_some() {}
    course.visit_all().await;
    let carried = [one, other].iter().map(|moving| moving.counters()[0].1).sum::<u64>();
    course
        .note(|outcome| outcome.moved_by_requests = carried.saturating_sub(outcome.moved_by_walk));
    course.outcome()
}

/// What came of a move.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Move {
    /// Sessions there were at the beginning.
    pub sessions: usize,
    /// What visitors did in all.
    pub operations: u64,
    /// Sessions that were moved by a walk.
    pub moved_by_walk: u64,
    /// Sessions that were moved because somebody used them.
    pub moved_by_requests: u64,
    /// Sessions that were ended while others moved.
    pub ended: u64,
    /// Live sessions that were not found.
    pub lost: u64,
    /// Writes that were answered, and are not there, or are there twice.
    pub lost_writes: u64,
    /// Sessions that were ended, and found live.
    pub revived: u64,
    /// Sessions with other times than they were made with.
    pub with_other_deadlines: u64,
    /// Changes of live sessions that were refused.
    pub refused: u64,
    /// Calls that failed.
    pub errors: u64,
    /// The first of what is bad.
    pub first_bad: Option<String>,
}

impl Move {
    /// # Panics
    /// If anything was lost, revived, refused or failed.
    #[track_caller]
    pub fn is_good(&self) {
        let bad = self.lost + self.lost_writes + self.revived + self.with_other_deadlines;
        assert_eq!(bad + self.refused + self.errors, 0, "{self}");
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions, {} operations, moved: {} by a walk, {} by requests; ended {}; lost {}, \
             lost writes {}, revived {}, with other deadlines {}, refused {}, errors {}",
            self.sessions,
            self.operations,
            self.moved_by_walk,
            self.moved_by_requests,
            self.ended,
            self.lost,
            self.lost_writes,
            self.revived,
            self.with_other_deadlines,
            self.refused,
            self.errors
        )?;
        self.first_bad.iter().try_for_each(|first| write!(f, "; the first: {first}"))
    }
}

/// What must not happen.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Lost,
    LostWrite,
    Revived,
    OtherDeadlines,
    Refused,
    Error,
}

/// Visitors at once.
const WORKERS: u64 = 16;

#[derive(Debug)]
struct Course {
    servers: [RwLock<Arc<dyn Store>>; 2],
    users: Vec<AsyncMutex<User>>,
    begun: (Time, Instant),
    seed: u64,
    /// Gives one for each operation that is done.
    done: Semaphore,
    last: AtomicUsize,
    deployments: AtomicUsize,
    has_old_ids: AtomicBool,
    is_over: AtomicBool,
    outcome: Mutex<Move>,
}

impl Course {
    fn new(to: &Arc<dyn Store>, from: &Arc<dyn Store>, sessions: usize) -> Self {
        let seed = RandomState::new().hash_one((Arc::as_ptr(to).cast::<()>(), sessions));
        let users = (0..sessions.div_ceil(2)).map(|number| User::new(seed, number));
        Self {
            servers: [RwLock::new(Arc::clone(from)), RwLock::new(Arc::clone(from))],
            users: users.map(AsyncMutex::new).collect(),
            begun: (wall_clock(), Instant::now()),
            seed,
            done: Semaphore::new(0),
            last: AtomicUsize::new(0),
            deployments: AtomicUsize::new(0),
            has_old_ids: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            outcome: Mutex::new(Move { sessions, ..Move::default() }),
        }
    }

    /// Signs everybody in, and lets them go on.
    async fn begin(self: &Arc<Self>) -> JoinSet<()> {
        let mut traffic = JoinSet::new();
        let signed_in = Arc::new(Semaphore::new(0));
        for worker in 0..WORKERS {
            let (course, signed_in) = (Arc::clone(self), Arc::clone(&signed_in));
            traffic.spawn(async move {
                let mut random = Random::new(course.seed ^ (worker << 32));
                while let Some(user) = course.next_user() {
                    user.lock().await.sign_in(&course, &mut random).await;
                }
                signed_in.add_permits(1);
                while !course.is_over.load(Ordering::SeqCst) {
                    let users = u32::try_from(course.users.len()).unwrap_or(u32::MAX);
                    let number = usize::try_from(random.below(users)).unwrap_or_default();
                    // Everybody is of one mind: nobody else does anything in his sessions.
                    let Ok(mut user) = course.users[number].try_lock() else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    user.does_something(&course, &mut random).await;
                    course.note(|outcome| outcome.operations += 1);
                    course.done.add_permits(1);
                }
            });
        }
        let workers = u32::try_from(WORKERS).unwrap_or_default();
        signed_in.acquire_many(workers).await.expect("it is not closed").forget();
        traffic
    }

    /// A user that no other worker has been given.
    fn next_user(&self) -> Option<&AsyncMutex<User>> {
        self.users.get(self.last.fetch_add(1, Ordering::SeqCst))
    }

    /// Every session is looked at once.
    async fn visit_all(&self) {
        let mut random = Random::new(self.seed);
        for user in &self.users {
            user.lock().await.looks_at_everything(self, &mut random).await;
        }
    }

    /// Waits until visitors have done so much.
    async fn goes_on(&self, operations: u32) {
        self.done.acquire_many(operations).await.expect("it is not closed").forget();
    }

    /// Waits until the server has answered what it was asked, and puts another one in its place.
    async fn deploy(&self, number: usize, store: Arc<dyn Store>) {
        *self.servers[number].write().await = store;
        self.deployments.fetch_add(1, Ordering::SeqCst);
    }

    fn now(&self) -> Time {
        self.begun.0.after(self.begun.1.elapsed())
    }

    fn note(&self, note: impl FnOnce(&mut Move)) {
        note(&mut self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn bad(&self, bad: Bad, what: &str) {
        self.note(|outcome| {
            *match bad {
                Bad::Lost => &mut outcome.lost,
                Bad::LostWrite => &mut outcome.lost_writes,
                Bad::Revived => &mut outcome.revived,
                Bad::OtherDeadlines => &mut outcome.with_other_deadlines,
                Bad::Refused => &mut outcome.refused,
                Bad::Error => &mut outcome.errors,
            } += 1;
            let deployments = self.deployments.load(Ordering::SeqCst);
            outcome.first_bad.get_or_insert_with(|| {
                format!("{bad:?}: {what}, after {deployments} of 6 deployments")
            });
        });
    }

    fn outcome(&self) -> Move {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An id that nobody has.
fn new_id(random: &mut Random) -> Id {
    let mut bytes = [0; RANDOM_BYTES];
    for chunk in bytes.chunks_mut(8) {
        let drawn = random.next().to_le_bytes();
        chunk.copy_from_slice(&drawn[..chunk.len()]);
    }
    Id::from_random(bytes)
}

#[expect(clippy::disallowed_methods, reason = "stores clean up by this clock")]
fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or(Duration::ZERO))
}
