//! A suite that passes whatever it is given is worth nothing. Here it is given stores that are broken
//! in the ways real ones have been, and has to say which race each of them loses.

mod broken;

use std::collections::BTreeSet;

use abide::SessionLayer;
use abide_race_suite::{Kept, Outcome, Race, Server};

use broken::{BrokenStore, Common, Fault};

/// Rounds that are enough to lose a race in.
const ROUNDS: u32 = 100;

/// Which races are lost by which fault: every race by one at least.
const LOST: &[(Fault, &[&str])] = &[
    (
        Fault::Revives,
        &[
            "a_logout_is_final_against_a_slow_writer",
            "a_logout_is_final_against_five_slow_requests",
            "a_logout_is_final_whichever_store_call_it_overtakes",
            "a_logout_at_any_moment_is_final",
            "logging_out_everywhere_is_final_against_slow_writers",
            "logging_out_everywhere_at_any_moment_is_final",
        ],
    ),
    (
        Fault::KeepsCopies,
        &[
            "a_logout_on_one_server_holds_on_the_other",
            "a_logout_is_final_against_a_slow_reader",
            "a_writer_beside_a_reader_keeps_what_it_wrote",
        ],
    ),
    (
        Fault::SavesWholeRecords,
        &["two_writers_of_different_fields_both_keep_theirs", "writers_at_any_moment_lose_nothing"],
    ),
    (
        Fault::IgnoresExpectations,
        &[
            "twenty_increments_at_once_are_twenty",
            "increments_at_any_moment_are_all_there",
            "what_is_shown_once_is_given_to_one",
            "work_that_many_want_is_done_once",
        ],
    ),
    (
        Fault::AddsByItself,
        &["twenty_additions_at_once_are_twenty", "twenty_members_added_at_once_are_all_there"],
    ),
    (Fault::NeverFreezes, &["a_planted_id_is_not_signed_in_with_its_victim"]),
    (
        Fault::NoGrace,
        &[
            "requests_beside_a_renewal_stay_signed_in",
            "a_writer_beside_a_renewal_keeps_what_it_wrote",
        ],
    ),
    (
        Fault::RenewsTwice,
        &[
            "two_renewals_at_once_leave_the_browser_with_the_current_id",
            "a_sign_in_that_is_sent_twice_signs_in",
        ],
    ),
    (Fault::Adopts, &["a_made_up_id_is_not_adopted", "visitors_without_a_cookie_create_nothing"]),
    (Fault::TouchesOnRead, &["reading_writes_nothing"]),
    (
        Fault::TakesErrorsForNothing,
        &[
            "an_outage_signs_nobody_out_and_overwrites_nothing",
            "a_store_that_hangs_signs_nobody_out",
        ],
    ),
    (Fault::RepeatsCommits, &["an_answer_lost_on_the_way_loses_and_repeats_nothing"]),
];

async fn outcome(race: Race, fault: Option<Fault>) -> Outcome {
    let common = Common::default();
    let make = move |server: &Server| SessionLayer::new(BrokenStore::new(fault, &common, server));
    race.play(Kept::Store, make, ROUNDS).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_a_fault_loses_the_races_it_should() {
    for (fault, races) in LOST {
        for race in *races {
            let outcome = outcome(Race::named(race), Some(*fault)).await;
            println!("{fault:?}: {outcome}");
            assert!(outcome.bad > 0, "{fault:?} goes unnoticed: {outcome}");
            assert!(outcome.first_bad.is_some(), "{fault:?}: {outcome}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_loses_none() {
    for race in Race::all() {
        let outcome = outcome(race, None).await;
        assert_eq!(outcome.bad, 0, "{outcome}");
    }
}

#[test]
fn every_race_can_be_lost() {
    let lost: BTreeSet<&str> = LOST.iter().flat_map(|(_, races)| *races).copied().collect();
    let all: BTreeSet<&str> = Race::all().map(|race| race.name()).collect();
    assert_eq!(lost, all);
}
