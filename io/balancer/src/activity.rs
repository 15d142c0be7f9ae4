//! What a client's connection is doing, and until when it may.
//!
//! A timer per request would cost more than the rest of the bookkeeping together. Instead each
//! connection carries one deadline, which is a store to an atomic, and a worker looks at all of its
//! connections ten times a second ([`Deadlines::tick`]). So every time-out here is exact to a tenth
//! of a second, and none costs a request anything.
//!
//! Invariant: once [`Activity::expired`] is true for a phase it stays true until the phase changes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What the connection is doing. One deadline belongs to each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Waits for the next request.
    Idle,
    /// Receives the head of a request.
    Head,
    /// Receives content or sends an answer; every byte gives it new time.
    Transfer,
    /// The request is with a server, which has not answered.
    Waiting,
    /// Passes bytes both ways after an upgrade.
    Tunnel,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Idle, Self::Head, Self::Transfer, Self::Waiting, Self::Tunnel];
}

/// The phase and deadline of one connection. Shared by the socket, the request and the worker, which
/// all live on one thread; atomics only because hyper asks for `Send` where it upgrades.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Arc<CoarseClock>,
    phase: AtomicU8,
    deadline_ms: AtomicU64,
    expired: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
}

/// Milliseconds since the worker began, as of its last tick.
#[derive(Debug, Default)]
pub(crate) struct CoarseClock(AtomicU64);

impl CoarseClock {
    pub(crate) fn now_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, since_start: Duration) {
        self.0.store(u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl Activity {
    pub(crate) fn new(clock: Arc<CoarseClock>, phase: Phase, limit: Duration) -> Self {
        let activity = Self {
            clock,
            phase: AtomicU8::new(0),
            deadline_ms: AtomicU64::new(u64::MAX),
            expired: AtomicBool::new(false),
            waker: std::sync::Mutex::new(None),
        };
        activity.enter(phase, limit);
        activity
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// Begins a phase that may take so long.
    pub(crate) fn enter(&self, phase: Phase, limit: Duration) {
        self.phase.store(phase as u8, Relaxed);
        self.expired.store(false, Relaxed);
        self.extend(limit);
    }

    /// Gives the phase new time, counted from now.
    pub(crate) fn extend(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.deadline_ms.store(self.clock.now_ms().saturating_add(limit_ms), Relaxed);
    }

    /// Whether the phase has taken longer than it may.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    /// The task to wake when the deadline passes.
    pub(crate) fn wake_by(&self, context: &Context<'_>) {
        if let Ok(mut waker) = self.waker.lock()
            && !waker.as_ref().is_some_and(|known| known.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }

    fn check(&self, now_ms: u64) {
        if now_ms >= self.deadline_ms.load(Relaxed) && !self.expired.swap(true, Relaxed) {
            let waker = self.waker.lock().ok().and_then(|waker| waker.clone());
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// All connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    connections: RefCell<Vec<Option<Arc<Activity>>>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
}

/// Takes the connection off the list when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    place: usize,
    deadlines: Rc<Deadlines>,
}

impl Deadlines {
    pub(crate) fn register(self: &Rc<Self>, activity: Arc<Activity>) -> Registered {
        let mut connections = self.connections.borrow_mut();
        let place = self.free.borrow_mut().pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        connections[place] = Some(activity);
        self.count.set(self.count.get() + 1);
        Registered { place, deadlines: Rc::clone(self) }
    }

    /// How many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Wakes whoever is over his time.
    pub(crate) fn tick(&self, clock: &CoarseClock) {
        let now_ms = clock.now_ms();
        for activity in self.connections.borrow().iter().flatten() {
            activity.check(now_ms);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.deadlines.connections.borrow_mut()[self.place] = None;
        self.deadlines.free.borrow_mut().push(self.place);
        self.deadlines.count.set(self.deadlines.count.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    fn at(millis: u64, clock: &CoarseClock, deadlines: &Deadlines) {
        clock.set(Duration::from_millis(millis));
        deadlines.tick(clock);
    }

    #[test]
    fn a_phase_expires_unless_it_is_given_new_time() {
        let (clock, deadlines) = (Arc::new(CoarseClock::default()), Rc::new(Deadlines::default()));
        let activity = Arc::new(Activity::new(Arc::clone(&clock), Phase::Idle, LIMIT));
        let _registered = deadlines.register(Arc::clone(&activity));
        at(100, &clock, &deadlines);
        activity.extend(LIMIT);
        at(299, &clock, &deadlines);
        assert!(!activity.expired());
        at(300, &clock, &deadlines);
        assert!(activity.expired());
        activity.enter(Phase::Head, LIMIT);
        assert!(!activity.expired());
        assert_eq!(activity.phase(), Phase::Head);
    }

    #[test]
    fn a_connection_that_is_gone_leaves_its_place() {
        let (clock, deadlines) = (Arc::new(CoarseClock::default()), Rc::new(Deadlines::default()));
        let activity = Arc::new(Activity::new(clock, Phase::Idle, LIMIT));
        for _ in 0..3 {
            let registered = deadlines.register(Arc::clone(&activity));
            assert_eq!((registered.place, deadlines.count()), (0, 1));
        }
        assert_eq!(deadlines.count(), 0);
    }
}
