//! Where a request waits until the race lets it go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

/// How long a race waits for requests that should arrive at a gate: they do so in a millisecond, and
/// a machine that stalls for longer than this has another problem.
const PATIENCE: Duration = Duration::from_secs(30);

/// All gates of a course, by number: a request says at which it waits.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    last: AtomicU64,
    gates: Mutex<HashMap<u64, Arc<Bar>>>,
}

/// What a gate is made of.
#[derive(Debug)]
pub(crate) struct Bar {
    arrived: Semaphore,
    open: Semaphore,
}

/// A gate as the race holds it. It goes when this does, and lets everybody pass.
#[derive(Debug)]
pub(crate) struct Gate {
    number: u64,
    bar: Arc<Bar>,
    gates: Arc<Gates>,
}

impl Gates {
    pub(crate) fn build(self: &Arc<Self>) -> Gate {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let bar = Arc::new(Bar::default());
        self.gates().insert(number, Arc::clone(&bar));
        Gate { number, bar, gates: Arc::clone(self) }
    }

    /// Waits at the gate of this number; at one that is gone nobody has to.
    pub(crate) async fn wait_at(&self, number: u64) {
        let bar = self.gates().get(&number).cloned();
        if let Some(bar) = bar {
            bar.wait().await;
        }
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<u64, Arc<Bar>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// What a store call can be held by.
    pub(crate) fn bar(&self) -> Arc<Bar> {
        Arc::clone(&self.bar)
    }

    /// Waits until so many more requests are here. Whether they came in time.
    pub(crate) async fn has_arrived(&self, requests: u32) -> bool {
        let arrived = self.bar.arrived.acquire_many(requests);
        match tokio::time::timeout(PATIENCE, arrived).await {
            Ok(Ok(permits)) => {
                permits.forget();
                true
            }
            _ => false,
        }
    }

    /// Lets everybody pass, from now on.
    pub(crate) fn open(&self) {
        self.bar.open.close();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
        self.gates.gates().remove(&self.number);
    }
}

impl Bar {
    pub(crate) async fn wait(&self) {
        self.arrived.add_permits(1);
        // It never has a permit: what is waited for is that it is closed.
        let _closed = self.open.acquire().await;
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self { arrived: Semaphore::new(0), open: Semaphore::new(0) }
    }
}
