//! What happened, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($count:ident => $field:ident: $metric:literal, $help:literal;)+) => {
        /// What a layer has seen since it was made. Read it by
        /// [`SessionLayer::counters`](crate::SessionLayer::counters); as text, it is in the form
        /// that Prometheus reads.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $(#[doc = $help] pub $field: u64,)+
        }

        /// One thing that is counted.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Count { $($count),+ }

        /// The counters while they count.
        #[derive(Debug, Default)]
        pub(crate) struct Tally { $($field: AtomicU64),+ }

        impl Tally {
            pub(crate) fn count(&self, count: Count) {
                let counter = match count { $(Count::$count => &self.$field),+ };
                // Each counter stands for itself: nobody concludes from one to another.
                counter.fetch_add(1, Ordering::Relaxed);
            }

            pub(crate) fn read(&self) -> Counters {
                Counters { $($field: self.$field.load(Ordering::Relaxed)),+ }
            }
        }

        impl fmt::Display for Counters {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(
                    writeln!(f, concat!("# HELP ", $metric, " ", $help))?;
                    writeln!(f, concat!("# TYPE ", $metric, " counter"))?;
                    writeln!(f, concat!($metric, " {}"), self.$field)?;
                )+
                Ok(())
            }
        }
    };
}

counters! {
    Created => created: "abide_session_created_total",
        "Sessions made.";
    Committed => committed: "abide_session_committed_total",
        "Changes committed to sessions, touches included, renewals not.";
    Renewed => renewed: "abide_session_renewed_total",
        "Ids renewed.";
    Ended => ended: "abide_session_ended_total",
        "Sessions ended, one by one.";
    EndedAll => ended_all: "abide_session_ended_all_total",
        "Times that all sessions of a subject were ended.";
    Gone => gone: "abide_session_gone_total",
        "Changes refused because the session had ended.";
    Conflict => conflicts: "abide_session_conflicts_total",
        "Commits that found a field changed by somebody else, and tried again.";
    Expired => expired: "abide_session_expired_total",
        "Requests that came with a session that had expired.";
    Unknown => unknown: "abide_session_unknown_total",
        "Requests that came with an id that nothing is known of.";
    Malformed => malformed: "abide_session_malformed_total",
        "Requests that came with something that is not an id, or a sealed cookie that does not open.";
    Undecodable => undecodable: "abide_session_undecodable_total",
        "Fields that did not decode and counted as absent, because their key is lenient.";
    WithoutStore => without_store: "abide_session_without_store_total",
        "Requests that ran without their session because the store did not answer.";
    StoreCall => store_calls: "abide_session_store_calls_total",
        "Calls of the store.";
    StoreError => store_errors: "abide_session_store_errors_total",
        "Calls that the store did not do or did not answer in time.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_reads_as_prometheus_text() {
        let tally = Tally::default();
        tally.count(Count::Gone);
        tally.count(Count::Gone);
        let text = tally.read().to_string();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("_gone_total")).collect();
        let [help, kind, value] = lines[..] else { panic!("{text}") };
        assert!(help.starts_with("# HELP abide_session_gone_total Changes refused"), "{help}");
        assert_eq!(kind, "# TYPE abide_session_gone_total counter");
        assert_eq!(value, "abide_session_gone_total 2");
    }
}
