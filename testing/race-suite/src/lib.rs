//! Races of one session over HTTP, as tests for everything that keeps abide's sessions.
//!
//! Two servers share what keeps the sessions; browsers send them requests that overlap, over real
//! connections, and obey every `Set-Cookie` in the order in which it arrives. Each race is played
//! [`ROUNDS`] times, and each round in which somebody was signed in again, signed out, or lost what
//! he wrote is counted. There must be none.
//!
//! ```
//! use abide::{MemoryStore, SessionLayer};
//! use abide_race_suite::Server;
//!
//! abide_race_suite::race_suite!(Kept::Store, async {
//!     let store = MemoryStore::new();
//!     move |server: &Server| SessionLayer::new(server.watch(store.clone()))
//! });
//! # fn main() {}
//! ```
//!
//! [`race_suite!`] makes a test of each race that applies to what keeps the sessions, which is what
//! [`Kept`] says. The second argument is an expression of a future of a function that makes the
//! session layer of one server; both are evaluated anew for each race. The layer has to stand on
//! [`Server::watch`], so that the suite can count the calls to the store, hold one, or be an outage.
//!
//! Where a race has a worst moment, the round is played at that moment: the request waits at a gate
//! in the app, or one of its store calls is held, until the other request has been answered. The
//! races "at any moment" draw the moment, near the end of the slow request, where most of the
//! accidents are.
//!
//! A number before the second argument is that of rounds, if it is not [`ROUNDS`]: for what stands before another
//! store, whose races have been played.
//!
//! * `ABIDE_RACE_ROUNDS=100000` plays longer.
//! * `ABIDE_RACE_SEED=…`, with the number that a failure names, draws the same moments again.

mod app;
mod browser;
mod connections;
mod course;
mod gate;
mod jar;
mod logouts;
mod moving;
mod outages;
mod race;
mod random;
mod renewals;
mod sign_ins;
mod updates;
mod visits;
mod watch;

pub use course::Server;
pub use moving::{Move, moved_sessions, sessions_move_under_traffic};
pub use race::{Kept, Outcome, ROUNDS, Race};
pub use watch::{Outage, Watch, Watched};

#[allow(clippy::wildcard_imports, reason = "the races are named once, in the lists below")]
use self::{logouts::*, outages::*, renewals::*, sign_ins::*, updates::*, visits::*};

#[doc(hidden)]
pub use tokio;

/// Makes a test of every race that applies to what keeps the sessions; see the crate.
#[macro_export]
macro_rules! race_suite {
    (Kept::$kept:ident, $make:expr) => {
        $crate::race_suite!(Kept::$kept, $crate::ROUNDS, $make);
    };
    (Kept::Store, $rounds:expr, $make:expr) => {
        $crate::races_of_sealed! { $crate::race_tests, Store, ($rounds, $make) }
        $crate::races_of_revocable! { $crate::race_tests, Store, ($rounds, $make) }
        $crate::races_of_store! { $crate::race_tests, Store, ($rounds, $make) }
    };
    (Kept::Revocable, $rounds:expr, $make:expr) => {
        $crate::races_of_sealed! { $crate::race_tests, Revocable, ($rounds, $make) }
        $crate::races_of_revocable! { $crate::race_tests, Revocable, ($rounds, $make) }
    };
    (Kept::Sealed, $rounds:expr, $make:expr) => {
        $crate::races_of_sealed! { $crate::race_tests, Sealed, ($rounds, $make) }
    };
}

/// What holds wherever a session is kept.
#[doc(hidden)]
#[macro_export]
macro_rules! races_of_sealed {
    ($callback:path, $kept:ident $(, $argument:expr)?) => {
        $callback! {
            $kept [$($argument)?]
            a_logout_is_final_against_a_slow_reader
            a_writer_beside_a_reader_keeps_what_it_wrote
            requests_beside_a_renewal_stay_signed_in
            two_renewals_at_once_leave_the_browser_with_the_current_id
            a_planted_id_is_not_signed_in_with_its_victim
            a_made_up_id_is_not_adopted
            a_sign_in_that_is_sent_twice_signs_in
            visitors_without_a_cookie_create_nothing
            reading_writes_nothing
        }
    };
}

/// What takes a place that knows which sessions have ended.
#[doc(hidden)]
#[macro_export]
macro_rules! races_of_revocable {
    ($callback:path, $kept:ident $(, $argument:expr)?) => {
        $callback! {
            $kept [$($argument)?]
            a_logout_is_final_against_a_slow_writer
            a_logout_is_final_against_five_slow_requests
            a_logout_is_final_whichever_store_call_it_overtakes
            a_logout_at_any_moment_is_final
            a_logout_on_one_server_holds_on_the_other
            logging_out_everywhere_is_final_against_slow_writers
            logging_out_everywhere_at_any_moment_is_final
            an_outage_signs_nobody_out_and_overwrites_nothing
            a_store_that_hangs_signs_nobody_out
        }
    };
}

/// What takes one place that orders the writes.
#[doc(hidden)]
#[macro_export]
macro_rules! races_of_store {
    ($callback:path, $kept:ident $(, $argument:expr)?) => {
        $callback! {
            $kept [$($argument)?]
            two_writers_of_different_fields_both_keep_theirs
            writers_at_any_moment_lose_nothing
            twenty_increments_at_once_are_twenty
            increments_at_any_moment_are_all_there
            twenty_additions_at_once_are_twenty
            twenty_members_added_at_once_are_all_there
            what_is_shown_once_is_given_to_one
            work_that_many_want_is_done_once
            a_writer_beside_a_renewal_keeps_what_it_wrote
            an_answer_lost_on_the_way_loses_and_repeats_nothing
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! race_tests {
    ($kept:ident [$make:expr] $($race:ident)+) => {
        $(
            #[test]
            fn $race() {
                let runtime = $crate::tokio::runtime::Builder::new_multi_thread()
                    .worker_threads($crate::WORKERS)
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    let (rounds, make) = $make;
                    let make = make.await;
                    let race = $crate::Race::named(stringify!($race));
                    race.hold($crate::Kept::$kept, rounds, make).await;
                });
            }
        )+
    };
}

/// Threads that the servers and connections of one race share: two, so that two servers really
/// answer at once, and no more, because races are played beside each other.
#[doc(hidden)]
pub const WORKERS: usize = 2;

macro_rules! table {
    (Sealed [] $($race:ident)+) => { table! { OF_SEALED: Sealed $($race)+ } };
    (Revocable [] $($race:ident)+) => { table! { OF_REVOCABLE: Revocable $($race)+ } };
    (Store [] $($race:ident)+) => { table! { OF_STORE: Store $($race)+ } };
    ($name:ident: $needs:ident $($race:ident)+) => {
        const $name: &[Race] =
            &[$(Race::new(stringify!($race), Kept::$needs, |course| Box::pin($race(course)))),+];
    };
}

races_of_sealed! { table, Sealed }
races_of_revocable! { table, Revocable }
races_of_store! { table, Store }

impl Race {
    /// The race of this name.
    ///
    /// # Panics
    /// If there is none.
    pub fn named(name: &str) -> Self {
        let race = Self::all().find(|race| race.name() == name);
        race.unwrap_or_else(|| panic!("there is no race {name}"))
    }

    /// Every race.
    pub fn all() -> impl Iterator<Item = Self> {
        [OF_SEALED, OF_REVOCABLE, OF_STORE].into_iter().flatten().copied()
    }
}
