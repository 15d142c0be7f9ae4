//! What happened, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a layer or a store has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Sessions made.
    pub created: u64,
    /// Changes committed to sessions, touches included, renewals not.
    pub committed: u64,
    /// Ids renewed, by `cycle_id`.
    pub renewed: u64,
    /// Sessions ended, by `flush` or `delete`.
    pub ended: u64,
    /// Changes refused because the session had ended, or because they came with the id from before
    /// a renewal.
    pub gone: u64,
    /// Requests that came with the id of a session that had expired.
    pub expired: u64,
    /// Requests that came with an id that nothing is known of.
    pub unknown: u64,
    /// Requests that came with something that is not an id at all.
    pub malformed: u64,
    /// Calls that the store did not do or did not answer in time.
    pub store_errors: u64,
}

macro_rules! tally {
    ($($event:ident => $field:ident),+ $(,)?) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Event { $($event),+ }

        /// The counters while they count.
        #[derive(Debug, Default)]
        pub(crate) struct Tally { $($field: AtomicU64),+ }

        impl Tally {
            pub(crate) fn count(&self, event: Event) {
                tracing::debug!(?event, "session");
                let counter = match event { $(Event::$event => &self.$field),+ };
                // Each counter stands for itself: nobody concludes from one to another.
                counter.fetch_add(1, Ordering::Relaxed);
            }

            pub(crate) fn read(&self) -> Counters {
                Counters { $($field: self.$field.load(Ordering::Relaxed)),+ }
            }
        }
    };
}

tally! {
    Created => created,
    Committed => committed,
    Renewed => renewed,
    Ended => ended,
    Gone => gone,
    Expired => expired,
    Unknown => unknown,
    Malformed => malformed,
    StoreError => store_errors,
}
