//! What a store is asked, what it answers, and how long that takes.
//!
//! [`Observed`] goes around a store, gives each call a limit of time, and counts. It counts with
//! atomic additions and holds no lock. Every label of what it prints comes from a closed set, so
//! nothing that a visitor sends makes a new series.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Slot, Store, StoreError,
    StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

/// A store whose calls are counted, timed, and given up when they take too long.
///
/// ```
/// use abide::{MemoryStore, Observed, SessionLayer};
///
/// let store = Observed::new(MemoryStore::new(), "main");
/// let sessions = SessionLayer::new(store.clone());
/// // Later, where metrics are served:
/// let text = store.metrics();
/// # assert!(text.contains("abide_store_operations_total{store=\"main\",operation=\"load\""));
/// ```
///
/// Clones count together. Put it outside of [`AtRest`](crate::AtRest) and around each of the two
/// stores of a [`Moving`](crate::Moving), to see what each of them does.
#[derive(Clone)]
pub struct Observed {
    store: Arc<dyn Store>,
    name: Arc<str>,
    timeout: Duration,
    tally: Arc<Tally>,
    counters: Option<Counters>,
}

/// Reads what the store below counts itself.
type Counters = Arc<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

impl Observed {
    /// How long a call may take unless said otherwise: as long as the session layer waits.
    pub const TIMEOUT: Duration = Duration::from_secs(2);

    /// Observes this store. The name tells it from others in what is printed.
    pub fn new(store: impl Store, name: impl Into<Arc<str>>) -> Self {
        Self {
            store: Arc::new(store),
            name: name.into(),
            timeout: Self::TIMEOUT,
            tally: Arc::default(),
            counters: None,
        }
    }

    /// How long a call may take before it is given up and counts as
    /// [`Unavailable`](StoreError::Unavailable). Default: [`Observed::TIMEOUT`].
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Prints these counters too: what only the store below knows, as how often it tried something
    /// again. The names must be few and always the same.
    pub fn with_counters<C>(mut self, read: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: IntoIterator<Item = (&'static str, u64)>,
    {
        self.counters = Some(Arc::new(move || read().into_iter().collect()));
        self
    }

    /// How often this operation came to this outcome, by the words that the metrics have for them.
    pub fn count(&self, operation: &str, outcome: &str) -> u64 {
        let operation = Operation::ALL.iter().position(|known| known.name() == operation);
        let outcome = Outcome::ALL.iter().position(|known| known.name() == outcome);
        let count = operation.zip(outcome).and_then(|(operation, outcome)| {
            self.tally.operations.get(operation)?.outcomes.get(outcome)
        });
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// What was counted, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        Self::metrics_of(&[self])
    }

    /// The same for several stores: the format wants everything of one name together.
    pub fn metrics_of(stores: &[&Self]) -> String {
        let mut text = String::new();
        for metric in METRICS {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# HELP {} {}", metric.name, metric.help);
            let _ = writeln!(text, "# TYPE {} {}", metric.name, metric.kind);
            for store in stores {
                let _ = (metric.write)(store, metric.name, &mut text);
            }
        }
        text
    }

    async fn observe<'a, T>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
        outcome_of: impl FnOnce(&T) -> Outcome + Send + 'a,
    ) -> Result<T, StoreError> {
        let (tally, begun) = (&*self.tally, Instant::now());
        let mut running = Running { tally, operation, begun, outcome: Outcome::Abandoned };
        let answer = timeout(self.timeout, call).await;
        running.outcome = match &answer {
            Err(_) => Outcome::Timeout,
            Ok(Ok(answer)) => outcome_of(answer),
            Ok(Err(error)) => Outcome::of_error(error),
        };
        answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(Box::new(elapsed))))
    }

    fn write_operations(&self, name: &str, text: &mut String) -> fmt::Result {
        let store = Label(&self.name);
        for (operation, tally) in Operation::ALL.iter().zip(&self.tally.operations) {
            for (outcome, count) in Outcome::ALL.iter().zip(&tally.outcomes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || outcome.is_always_shown() {
                    let (operation, outcome) = (operation.name(), outcome.name());
                    writeln!(
                        text,
                        "{name}{{store=\"{store}\",operation=\"{operation}\",outcome=\"{outcome}\"}} {count}"
                    )?;
                }
            }
        }
        Ok(())
    }

    fn write_durations(&self, name: &str, text: &mut String) -> fmt::Result {
        let store = Label(&self.name);
        for (operation, tally) in Operation::ALL.iter().zip(&self.tally.operations) {
            let labels = format!("store=\"{store}\",operation=\"{}\"", operation.name());
            let mut sum = 0;
            let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(&tally.buckets) {
                sum += count.load(Ordering::Relaxed);
                writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}")?;
            }
            let micros = Duration::from_micros(tally.micros.load(Ordering::Relaxed));
            writeln!(text, "{name}_sum{{{labels}}} {}", micros.as_secs_f64())?;
            writeln!(text, "{name}_count{{{labels}}} {sum}")?;
        }
        Ok(())
    }

    fn write_events(&self, name: &str, text: &mut String) -> fmt::Result {
        let store = Label(&self.name);
        for (event, count) in self.counters.iter().flat_map(|read| read()) {
            writeln!(text, "{name}{{store=\"{store}\",event=\"{}\"}} {count}", Label(event))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("name", &self.name)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Store for Observed {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        let call = self.store.create(id, changes, now);
        Box::pin(self.observe(Operation::Create, call, |create| match create {
            Create::Taken => Outcome::Taken,
            _ => Outcome::Ok,
        }))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(self.observe(Operation::Load, self.store.load(id, now), |loaded| match loaded {
            Loaded::Ended => Outcome::Ended,
            Loaded::Expired => Outcome::Expired,
            Loaded::Unknown => Outcome::Unknown,
            _ => Outcome::Ok,
        }))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        let call = self.store.commit(id, changes, now);
        Box::pin(self.observe(Operation::Commit, call, Outcome::of_commit))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(self.observe(Operation::End, self.store.end(id, now), |end| match end {
            End::Gone => Outcome::Gone,
            _ => Outcome::Ok,
        }))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        let call = self.store.rename(id, rename, now);
        Box::pin(self.observe(Operation::Rename, call, Outcome::of_commit))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        let call = self.store.list(subject, now);
        Box::pin(self.observe(Operation::List, call, |_| Outcome::Ok))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        let call = self.store.end_all(subject, except, now);
        Box::pin(self.observe(Operation::EndAll, call, |()| Outcome::Ok))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        let call = self.store.scan(cursor, now);
        Box::pin(self.observe(Operation::Scan, call, |scanned| match scanned {
            Some(_) => Outcome::Ok,
            None => Outcome::Unsupported,
        }))
    }

    fn home(&self, random: u16) -> Option<Slot> {
        self.store.home(random)
    }
}

/// A closed set of words, which are the values of a label.
macro_rules! words {
    ($(#[$about:meta])* $set:ident { $($word:ident => $name:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $set { $($word),+ }

        impl $set {
            const ALL: &[Self] = &[$(Self::$word),+];

            const fn name(self) -> &'static str {
                match self { $(Self::$word => $name),+ }
            }
        }
    };
}

words! {
    /// What a store can be asked.
    Operation {
        Create => "create", Load => "load", Commit => "commit", End => "end", Rename => "rename",
        List => "list", EndAll => "end_all", Scan => "scan",
    }
}

words! {
    /// What can come of it.
    Outcome {
        Ok => "ok", Taken => "taken", Ended => "ended", Expired => "expired",
        Unknown => "unknown", Conflict => "conflict", Gone => "gone",
        Unavailable => "unavailable", Timeout => "timeout", Full => "full",
        TooLarge => "too_large", Corrupt => "corrupt", Incompatible => "incompatible",
        Unsupported => "unsupported", Abandoned => "abandoned",
    }
}

impl Outcome {
    const fn of_commit(commit: &Commit) -> Self {
        match commit {
            Commit::Conflict(_) => Self::Conflict,
            Commit::Gone => Self::Gone,
            Commit::Committed(_) | _ => Self::Ok,
        }
    }

    const fn of_error(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::TooLarge(_) => Self::TooLarge,
            StoreError::Corrupt(_) => Self::Corrupt,
            StoreError::Incompatible(_) => Self::Incompatible,
            StoreError::Unavailable(_) | _ => Self::Unavailable,
        }
    }

    /// Whether it is printed before it has come to be, so that a rate over it starts from zero.
    const fn is_always_shown(self) -> bool {
        matches!(self, Self::Ok | Self::Unavailable | Self::Timeout)
    }
}

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    operations: [OperationTally; Operation::ALL.len()],
}

/// What was counted of one operation.
#[derive(Debug, Default)]
struct OperationTally {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Calls by how long they took; the last for all that took longer than any bound.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

/// Upper bounds in microseconds, and as text in seconds: from a store in memory to the time-out.
const BUCKETS: [(u64, &str); 14] = [
    (10, "0.00001"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
];

/// A call that has begun. If it is dropped, nobody waits for it any more.
struct Running<'a> {
    tally: &'a Tally,
    operation: Operation,
    begun: Instant,
    outcome: Outcome,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let tally = &self.tally.operations[self.operation as usize];
        let bucket = BUCKETS.partition_point(|(bound, _)| *bound < micros);
        // Each counter stands for itself: nobody concludes from one to another.
        tally.outcomes[self.outcome as usize].fetch_add(1, Ordering::Relaxed);
        tally.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        tally.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: fn(&Observed, &str, &mut String) -> fmt::Result,
}

const METRICS: [Metric; 3] = [
    Metric {
        name: "abide_store_operations_total",
        kind: "counter",
        help: "Calls of a session store, by what was asked and what came of it.",
        write: Observed::write_operations,
    },
    Metric {
        name: "abide_store_operation_duration_seconds",
        kind: "histogram",
        help: "How long calls of a session store took.",
        write: Observed::write_durations,
    },
    Metric {
        name: "abide_store_events_total",
        kind: "counter",
        help: "What a session store counts itself.",
        write: Observed::write_events,
    },
];

/// The value of a label, with what the format wants escaped.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests;
