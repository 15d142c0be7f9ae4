//! Every state within bounds, and mistakes that have to be found: less than a minute of two cores in all.

use std::time::Duration;

use abide_models::{Bounds, Limits, Mutant, Report, Verdict, explore};

const EVERY: Limits = Limits { depth: None, time: None, threads: 1 };

/// There are no more states than those that were seen, and all are what they must be.
#[track_caller]
fn every_state_is_right(bounds: Bounds) {
    let report = explore(bounds, EVERY, |_| {});
    let Report { is_complete, story, .. } = &report;
    if let Some(story) = story {
        panic!("{bounds}: {:?}\n{story}", report.of(Verdict::Broken));
    }
    assert!(is_complete, "{bounds}");
    assert_eq!(report.of(Verdict::Unseen), [""; 0], "{bounds} says nothing of this");
}

/// A mistake leads to a state that is wrong in this way.
#[track_caller]
fn is_found(mutant: Mutant, bounds: Bounds, wrong: &str) {
    // It takes less than a second; without an end, who is not found would be looked for in all states.
    let limits = Limits { time: Some(Duration::from_mins(5)), ..EVERY };
    let report = explore(Bounds { mutant: Some(mutant), ..bounds }, limits, |_| {});
    let broken = report.of(Verdict::Broken);
    assert!(report.story.is_some(), "{mutant:?} survives: the model has a hole");
    assert!(broken.contains(&wrong), "{mutant:?} is found by {broken:?} only");
}

/// Two nodes and a session, and nothing happens.
const TWO: Bounds = Bounds { puts: 0, ..Bounds::calm(2) };
const THREE: Bounds = Bounds { puts: 0, ..Bounds::calm(3) };

const ONE_IS_SURE: &str = "P10: one node is sure";
const NOBODY_WENT_ON: &str = "P10: nobody counted on went on";
const READS_SHOW: &str = "P10: a read shows what was acknowledged";
const TWO_HOLD: &str = "P9: two processes hold what is acknowledged";
const IN_SYNC: &str = "P14: all in sync hold the same";
const SURVIVES: &str = "P8: what was acknowledged survives";

#[test]
fn a_calm_cluster_is_one_state_that_comes_again_and_again() {
    for bounds in [TWO, THREE] {
        let report = explore(bounds, EVERY, |_| {});
        assert_eq!((report.progress.states, report.is_complete), (1, true), "{bounds}");
    }
}

#[test]
fn nothing_goes_wrong() {
    every_state_is_right(Bounds { puts: 2, ends: 1, ..TWO });
    every_state_is_right(Bounds { puts: 1, ends: 1, loads: 1, ..TWO });
    every_state_is_right(Bounds { puts: 1, ends: 1, ..THREE });
}

#[test]
fn a_connection_breaks() {
    every_state_is_right(Bounds { puts: 1, ends: 1, breaks: 1, ..TWO });
    every_state_is_right(Bounds { puts: 1, breaks: 1, ..THREE });
}

#[test]
fn a_process_is_stopped_and_goes_on() {
    every_state_is_right(Bounds { puts: 1, pauses: 1, ..TWO });
    every_state_is_right(Bounds { ends: 1, pauses: 1, is_reversed: true, ..TWO });
    every_state_is_right(Bounds { pauses: 1, ..THREE });
}

#[test]
fn a_process_is_killed_and_another_starts() {
    every_state_is_right(Bounds { puts: 1, kills: 1, ..TWO });
    every_state_is_right(Bounds { ends: 1, kills: 1, ..TWO });
    every_state_is_right(Bounds { puts: 1, kills: 1, is_reversed: true, ..TWO });
}

#[test]
fn processes_are_killed_twice() {
    every_state_is_right(Bounds { kills: 2, ..TWO });
}

#[test]
fn paths_are_cut_while_the_session_is_written_to() {
    every_state_is_right(Bounds { puts: 1, cuts: 1, ..TWO });
}

#[test]
fn paths_are_cut_while_the_session_is_ended() {
    every_state_is_right(Bounds { ends: 1, cuts: 1, is_reversed: true, ..TWO });
}

#[test]
fn paths_are_cut_among_three() {
    every_state_is_right(Bounds { cuts: 1, ..THREE });
}

#[test]
fn who_answers_before_others_hold_it_is_found() {
    is_found(Mutant::AnswersBeforeOthersHoldIt, Bounds { puts: 1, ..TWO }, TWO_HOLD);
}

#[test]
fn who_shows_what_is_under_way_is_found() {
    is_found(Mutant::ShowsWhatIsUnderWay, Bounds { puts: 1, ..TWO }, IN_SYNC);
}

#[test]
fn who_takes_silence_for_death_is_found() {
    is_found(Mutant::TakesSilenceForDeath, Bounds { breaks: 1, ..TWO }, ONE_IS_SURE);
}

#[test]
fn who_reads_without_a_grant_is_found() {
    is_found(Mutant::ReadsWithoutGrant, Bounds { pauses: 1, ..TWO }, NOBODY_WENT_ON);
}

#[test]
fn who_takes_any_message_for_a_grant_is_found() {
    is_found(Mutant::TakesAnyMessageForAGrant, Bounds { cuts: 1, ..TWO }, NOBODY_WENT_ON);
}

#[test]
fn who_claims_without_asking_is_found() {
    is_found(Mutant::ClaimsWithoutAsking, Bounds { kills: 1, ..TWO }, READS_SHOW);
}

#[test]
fn who_trusts_an_empty_copy_is_found() {
    is_found(Mutant::TrustsAnEmptyCopy, Bounds { kills: 1, ..TWO }, IN_SYNC);
}

#[test]
fn who_counts_who_is_being_filled_is_found() {
    is_found(Mutant::CountsWhoIsBeingFilled, Bounds { kills: 1, ..TWO }, IN_SYNC);
}

#[test]
fn who_takes_absence_for_an_end_is_found() {
    is_found(Mutant::TakesAbsenceForAnEnd, Bounds { kills: 1, ..TWO }, READS_SHOW);
}

#[test]
fn who_judges_only_what_it_leads_is_found() {
    is_found(Mutant::JudgesOnlyWhatItLeads, Bounds { kills: 2, ..TWO }, SURVIVES);
}
