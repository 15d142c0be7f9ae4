//! The contract of abide's [`Store`], as tests that any store can run.
//!
//! Each function of this crate is one sentence of the contract in `abide_session::store`: it takes
//! a store, makes sessions of its own under random ids, and panics if the sentence does not hold.
//! [`store_suite!`] makes a test of each:
//!
//! ```
//! # use std::sync::Arc;
//! # async fn connect() -> Arc<dyn abide_session::Store> { unimplemented!() }
//! abide_store_suite::store_suite!(connect());
//! # fn main() {}
//! ```
//!
//! The argument is an expression of a future of a store; it is made anew for each test, and may
//! well be a new client of one server: no test looks at another's sessions. They may run side by
//! side, and beside others who use the store. What they made is left to expire.
//!
//! Time is an argument of every call, so nothing here sleeps: a test that needs a day to pass says
//! so. It starts at the wall clock's time, for stores whose server cleans up by a clock of its own.
//!
//! # Without the harness
//!
//! [`SENTENCES`] has all of them by name, for a program that runs them against a server it was told
//! of, or leaves one out and says why. Each is also a function of this crate, with what it means in
//! its documentation.
//!
//! ```
//! # async fn check(store: &dyn abide_session::Store) {
//! for sentence in abide_store_suite::SENTENCES {
//!     println!("{}", sentence.name());
//!     sentence.run(store).await;
//! }
//! # }
//! ```
//!
//! # What it does not show
//!
//! It looks at a store from one process. Whether it keeps the contract while its server fails over
//! or a replica lags needs a test of its own.

#![expect(
    clippy::missing_panics_doc,
    reason = "a sentence that does not hold panics: that is its use"
)]

mod commits;
mod endings;
mod limits;
mod records;
mod relatives;
mod renewals;
mod stage;
mod subjects;
mod walks;

pub use commits::*;
pub use endings::*;
pub use limits::*;
pub use records::*;
pub use relatives::*;
pub use renewals::*;
pub use stage::{Sentence, SentenceFuture};
pub use subjects::*;
pub use walks::*;

#[doc(hidden)]
pub use tokio;

#[doc(no_inline)]
pub use abide_session::Store;

/// Hands the names of all sentences to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! every_sentence {
    ($callback:path $(, $argument:expr)?) => {
        $callback! {
            [$($argument)?]
            load_of_unknown_is_unknown
            create_then_load_returns_what_was_created
            create_never_overwrites
            hundred_concurrent_creates_are_distinct
            values_are_binary_safe
            a_load_changes_nothing
            expired_is_never_returned
            a_touch_moves_the_idle_deadline_and_nothing_else
            the_hard_deadline_holds_however_much_a_session_is_used
            the_hard_deadline_moves_later_and_never_earlier
            the_idle_timeout_can_be_shortened_and_extended
            commit_never_creates
            commit_changes_the_fields_it_names_and_no_others
            a_removed_field_is_gone_and_can_be_set_again
            a_clear_removes_all_fields_and_keeps_the_session
            concurrent_commits_to_different_fields_keep_both
            an_unmet_expectation_is_a_conflict_and_changes_nothing
            a_met_expectation_commits
            twenty_concurrent_increments_give_twenty
            concurrent_additions_all_count_and_none_conflicts
            additions_while_a_session_is_being_made_all_count
            concurrent_changes_of_a_set_all_count
            a_counter_starts_at_zero_and_a_set_empty
            counting_what_is_no_number_is_an_error_and_changes_nothing
            each_commit_is_seen_by_the_loads_after_it
            an_ended_session_stays_ended_whatever_comes_later
            ending_twice_is_ending_once
            an_end_is_final_by_every_clock
            ending_what_is_not_there_leaves_nothing
            a_commit_that_races_an_end_never_revives
            a_dropped_call_leaves_no_half_record
            value_of_one_mebibyte_is_kept
            value_over_the_limit_is_an_error_and_changes_nothing
            a_record_over_the_limit_is_an_error_and_changes_nothing
            one_field_too_many_is_an_error_and_changes_nothing
            rename_moves_the_session_with_its_changes
            rename_keeps_the_old_id_for_its_grace
            rename_by_a_sign_in_freezes_the_old_id
            rename_by_a_sign_out_ends_the_old_id
            rename_never_creates_and_never_overwrites
            a_conflict_stops_a_rename
            a_renewal_under_an_old_id_is_a_conflict_and_moves_nothing
            ending_either_id_ends_both
            list_shows_the_live_sessions_of_a_subject
            list_shows_a_renewed_session_once
            end_all_ends_every_session_of_a_subject_but_the_one_excepted
            an_exception_may_be_named_by_an_id_from_before_a_renewal
            end_all_does_not_touch_what_is_bound_later
            end_all_of_nobody_is_no_error
            no_late_commit_escapes_an_end_all
            a_walk_shows_every_session_that_was_there_throughout
            a_walk_shows_no_session_that_is_over
        }
    };
}

/// Makes a `#[tokio::test]` of every sentence of the contract, for the store that the expression's
/// future gives.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::every_sentence! { $crate::sentence_tests, $make }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! sentence_tests {
    ([$make:expr] $($sentence:ident)+) => {
        $(
            #[test]
            fn $sentence() {
                let runtime = $crate::tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    let store = $make.await;
                    $crate::$sentence(&store).await;
                });
            }
        )+
    };
}

macro_rules! table {
    ([] $($sentence:ident)+) => {
        /// Every sentence with its name, to run the suite by hand.
        pub const SENTENCES: &[Sentence] = &[
            $(Sentence::new(stringify!($sentence), |store| Box::pin($sentence(store)))),+
        ];
    };
}

every_sentence! { table }
