//! A suite that passes whatever it is given is worth nothing. Here it is given stores that break
//! the contract in the ways real ones have, and has to say which sentence each of them breaks.

mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind};

use abide_store_suite::SENTENCES;

use plain::{Fault, PlainStore};

/// The sentences that do not hold for a store with this fault.
fn broken_by(fault: Option<Fault>) -> Vec<&'static str> {
    let broken = SENTENCES.iter().filter(|sentence| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = PlainStore::new(fault);
        let tried = || runtime.block_on(sentence.run(&store));
        catch_unwind(AssertUnwindSafe(tried)).is_err()
    });
    broken.map(abide_store_suite::Sentence::name).collect()
}

#[track_caller]
fn check(fault: Fault, sentence: &str) {
    let broken = broken_by(Some(fault));
    assert!(broken.contains(&sentence), "{fault:?} breaks only {broken:?}");
}

#[test]
fn a_sound_store_breaks_nothing() {
    assert_eq!(broken_by(None), [""; 0]);
}

#[test]
fn a_commit_that_revives_an_ended_session_is_caught() {
    check(Fault::CommitUpserts, "an_ended_session_stays_ended_whatever_comes_later");
    check(Fault::CommitUpserts, "a_commit_that_races_an_end_never_revives");
    check(Fault::CommitUpserts, "commit_never_creates");
}

#[test]
fn saving_whole_records_is_caught() {
    check(Fault::SavesWholeRecords, "concurrent_commits_to_different_fields_keep_both");
    check(Fault::SavesWholeRecords, "concurrent_additions_all_count_and_none_conflicts");
    check(Fault::SavesWholeRecords, "additions_while_a_session_is_being_made_all_count");
}

#[test]
fn never_expiring_is_caught() {
    check(Fault::NeverExpires, "expired_is_never_returned");
    check(Fault::NeverExpires, "the_hard_deadline_holds_however_much_a_session_is_used");
}

#[test]
fn not_looking_at_expectations_is_caught() {
    check(Fault::IgnoresExpectations, "twenty_concurrent_increments_give_twenty");
    check(Fault::IgnoresExpectations, "an_unmet_expectation_is_a_conflict_and_changes_nothing");
}

#[test]
fn not_looking_at_what_is_added_to_is_caught() {
    check(Fault::CountsFromZero, "concurrent_changes_of_a_set_all_count");
    check(Fault::CountsFromZero, "counting_what_is_no_number_is_an_error_and_changes_nothing");
}

#[test]
fn changing_some_fields_before_a_conflict_is_caught() {
    check(Fault::AppliesBeforeChecking, "an_unmet_expectation_is_a_conflict_and_changes_nothing");
}

#[test]
fn forgetting_ended_sessions_is_caught() {
    check(Fault::ForgetsEnded, "create_never_overwrites");
}

#[test]
fn an_end_that_goes_by_one_clock_is_found() {
    check(Fault::EndsByOneClock, "an_end_is_final_by_every_clock");
}

#[test]
fn an_old_id_that_sees_a_sign_in_is_caught() {
    check(Fault::NeverFreezes, "rename_by_a_sign_in_freezes_the_old_id");
}

#[test]
fn an_old_id_without_grace_is_caught() {
    check(Fault::NoGrace, "rename_keeps_the_old_id_for_its_grace");
}

#[test]
fn renewing_what_was_renewed_is_caught() {
    check(Fault::RenewsTwice, "a_renewal_under_an_old_id_is_a_conflict_and_moves_nothing");
}

#[test]
fn a_list_in_place_of_a_mark_is_caught() {
    check(
        Fault::EndAllForgetsTheExcepted,
        "end_all_ends_every_session_of_a_subject_but_the_one_excepted",
    );
}

#[test]
fn an_exception_that_is_meant_too_narrowly_is_caught() {
    check(Fault::ExceptsByTheVeryId, "an_exception_may_be_named_by_an_id_from_before_a_renewal");
}

#[test]
fn cutting_what_is_too_long_is_caught() {
    check(Fault::NoLimits, "value_over_the_limit_is_an_error_and_changes_nothing");
    check(Fault::NoLimits, "one_field_too_many_is_an_error_and_changes_nothing");
}
