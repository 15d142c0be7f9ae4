//! Plays the stories in `tests/scenarios/*.txt` with real nodes.
//!
//! A story is a list of steps, one on a line, that reads beside `docs/design/replication.md`. What comes
//! back from a step stands behind its `->`; `UPDATE=1` writes that anew. Comments begin with `#`. A story is
//! always the same one: letters arrive at once and in order unless a step holds them back, time
//! goes on only where a step says so, and nothing is random. A step that fails shows what went
//! between the nodes before it.
//!
//! ```text
//! nodes a b c               the roster; before anything else
//! joins c                   c is in no other's list, and has those of the others in its own
//! disks                     each has one, which keeps all that its processes hold
//! copies 3                  on how many of them a session is to be, if not on two
//! sessions s1 s2 at b a     ids in one slot, the owners of which are b, then a, then the others
//!
//! start a b                 processes begin at once, with nothing in them but what was on their disks
//! kill a                    a process ends; the others hear of it if they can
//! pause a / resume a        it is stopped, and what comes for it waits until it goes on
//! leave a                   it is told that it is to be ended
//! lost b at a               a is told that nothing comes back of b
//! refuse a / accept a       whoever dials a finds nobody there, though it runs / finds it again
//! break a b                 the connection ends, and letters on it are lost; nodes dial again by themselves
//! cut a b | c               no letters between those on the left and those on the right, and dials fail
//! cut a to b                the same in one direction
//! heal                      nothing is cut any more, and letters that waited arrive
//! hold a to b               letters wait, in their order
//! deliver a to b            those that wait arrive; `deliver a to b up to replicate`: also up to the first of a kind
//! release a to b            those that wait arrive, and later ones as they come
//!
//! wait 300 ms               also `2 s`
//! within 600 ms: WHAT       time goes on until this is so (below), which it has to be by then
//!
//! a: create s1 of alice cart=1 visits+1 -> created, full
//! a: load s1 -> live cart=1 visits=1, full
//! a: commit s1 cart=2 -> committed, full
//! a: rename s1 to s2 -> committed, full            the old id follows for a minute
//! a: rename s1 to s2 and end s1 -> committed, full     also `and freeze s1`
//! a: end s1 -> ended, full
//! a: find alice -> s1 s2, full                     a survey of all slots
//! a: walk s1 -> s1 s2, full                        all that is live in its slot
//! a: load s1 as read -> waits                      a call with a name is looked at again:
//! read -> live cart=1, full
//! a: load s1 4096 times as reads -> waits          and so are many
//! letters -> a>b replicate, b>a kept               what the last step that was no look made nodes send,
//!                                                  without the pings and their answers
//!
//! a leads s1                also `does not lead`; s1 stands for its slot
//! a is sure of s1           leads, and would answer a read without a flag; also `is not sure`
//! b follows a in s1
//! in sync in s1: a b        as the leader knows it
//! a holds s1                also `does not hold`
//! a and b are equal in s1
//! a is ready                also `is not ready`
//! a is safe to stop         also `is not safe to stop`
//! a has left                also `has not left`
//! a takes b for dead        also `does not take b for dead`
//! a has begun again         under another birth
//! ```
//!
//! An answer is a reply and how well that is kept: *full*, *spilled*, *degraded* or *sole*. Of
//! *unavailable* nothing is kept, and a call is *lost* with the process that it was made to.

mod runner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One test for each story.
macro_rules! stories {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*

        const STORIES: &[&str] = &[$(stringify!($name)),*];
    };
}

stories! {
    a_calm_write_and_read
    a_counter_on_both_sides_of_a_cut_keeps_one_sum
    a_change_that_was_missed_is_sent_again
    a_cut_in_one_direction_is_a_cut_in_both
    a_dead_leader_has_an_heir_at_once
    a_flood_of_calls_ends_at_the_limit
    a_fresh_cluster_waits_for_who_is_silent
    a_paused_leader_listens_before_it_judges
    a_process_that_is_taken_for_dead_begins_again
    a_read_waits_for_the_write_that_it_would_show
    a_renewal_across_a_cut_loses_what_it_ended
    a_restart_that_is_empty_takes_nothing_away
    a_short_silence_costs_a_wait_and_nothing_else
    a_sign_out_in_a_cut_is_final_after_it
    a_slot_goes_back_to_its_first_owner
    a_third_that_hears_both_keeps_the_leader
    all_sessions_of_a_subject_are_found_and_ended
    an_end_and_a_renewal_that_cross_leave_the_new_id
    an_outsider_that_claims_a_slot_says_so
    both_sides_of_a_cut_go_on_and_become_one
    creating_twice_makes_one_session
    doubt_ends_with_the_death_of_who_is_in_doubt
    nothing_of_a_lower_reign_is_taken
    nothing_there_is_said_only_by_who_knows
    servers_leave_and_come_back_one_after_the_other
    the_second_is_killed_when_it_is_safe_to_stop
    two_owners_that_die_at_once_take_it_with_them
    what_is_there_is_shown_when_who_is_in_doubt_has_told
    who_comes_back_from_a_disk_waits_for_the_others
    who_hears_again_says_so_before_it_passes_calls_on
    who_goes_over_to_a_later_reign_waits_until_the_one_before_is_over
    who_is_no_owner_is_released
    who_joins_hears_who_is_missed
    who_joins_holds_nothing_until_all_know_it
}

#[test]
fn every_story_of_the_folder_is_played() {
    let entries = std::fs::read_dir(folder()).expect("the folder of stories can be read");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let stems = paths.map(|path| path.file_stem().expect("a name").display().to_string());
    let files: BTreeSet<String> = stems.collect();
    let played: BTreeSet<String> = STORIES.iter().map(ToString::to_string).collect();
    assert_eq!(files, played, "the list in scenarios.rs is to be that of the folder");
}

#[test]
fn a_step_that_fails_names_its_line_and_shows_the_letters_before_it() {
    let story = "# Wrong.\nnodes a b\nsessions s1 at a b\nstart a b\na: create s1 -> taken, full\n";
    let failure = runner::run(story, false).expect_err("the session is new");
    assert_eq!(failure.line, 5);
    assert!(failure.what.contains("created, full"), "{}", failure.what);
    assert!(failure.trace.contains("a -> b  replicate"), "{}", failure.trace);
}

#[test]
fn a_story_may_leave_no_call_unanswered_and_no_answer_unread() {
    let begin = "nodes a b\nsessions s1 at a b\nstart a b\nhold a to b\n";
    for end in ["a: create s1 as it -> waits", "a: create s1", "a: create s1 -> waits", "sing"] {
        let failed = runner::run(&format!("{begin}{end}\n"), false);
        assert!(failed.is_err_and(|failure| failure.line == 5), "{end}");
    }
}

/// A story that goes the same way whatever a node does tells nothing.
#[cfg(feature = "mutants")]
#[test]
fn every_mistake_that_a_node_can_be_told_to_make_spoils_a_story() {
    // The flood takes long, and is about a limit, not about mistakes.
    let quick = STORIES.iter().filter(|name| !name.contains("flood"));
    let stories: Vec<String> = quick.map(|name| text_of(name)).collect();
    for mutant in abide_replica::Mutant::ALL {
        let is_found = stories.iter().any(|story| runner::run_with(mutant, story).is_err());
        assert!(is_found, "no story shows {mutant:?}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn path_of(name: &str) -> PathBuf {
    folder().join(name).with_extension("txt")
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).expect("a story can be read")
}

#[track_caller]
fn play(name: &str) {
    let (path, story) = (path_of(name), text_of(name));
    assert!(story.starts_with("# "), "{}: begin with the story in a comment", path.display());
    let is_update = std::env::var_os("UPDATE").is_some();
    match runner::run(&story, is_update) {
        Ok(told) if is_update => std::fs::write(&path, told).expect("a story can be written"),
        Ok(_) => {}
        Err(failure) => panic!("{}:{failure}", path.display()),
    }
}
