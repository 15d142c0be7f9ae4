//! Runs of many seeds, which cut, stop and kill without pity, or restart one machine after another.

use std::collections::BTreeMap;

use abide_sim::{Mutant, Plan, Report, run};

/// A run, or with `SIM_SEED` that one only, whatever was asked for.
fn plan(seed: u64, seconds: u64) -> Plan {
    let wanted = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = wanted.unwrap_or(seed);
    Plan {
        seed,
        nodes: Plan::nodes_of(seed),
        joiners: 0,
        lists_stay: false,
        seconds,
        mutant: None,
        is_rolling: false,
        is_told: false,
    }
}

fn is_one_wanted() -> bool {
    std::env::var("SIM_SEED").is_ok()
}

fn all_is_well(plan: Plan) -> Report {
    let report = run(plan);
    if let Some(violation) = &report.violation {
        let told = run(Plan { is_told: true, ..plan });
        let last = told.story.len().saturating_sub(60);
        panic!("{}\n{violation}\n{plan}", told.story[last..].join("\n"));
    }
    report
}

/// So many seeds are played by each of the tests that the runner spreads over its cores, 2,000 in all.
const SEEDS: u64 = 250;

macro_rules! batches {
    ($($name:ident: $number:literal,)*) => {
        $(
            #[test]
            fn $name() {
                nothing_breaks_and_everything_was_tried(($number - 1) * SEEDS);
            }
        )*
    };
}

batches! {
    nothing_breaks_in_batch_1: 1,
    nothing_breaks_in_batch_2: 2,
    nothing_breaks_in_batch_3: 3,
    nothing_breaks_in_batch_4: 4,
    nothing_breaks_in_batch_5: 5,
    nothing_breaks_in_batch_6: 6,
    nothing_breaks_in_batch_7: 7,
    nothing_breaks_in_batch_8: 8,
}

#[track_caller]
fn nothing_breaks_and_everything_was_tried(after: u64) {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in after + 1..=after + SEEDS {
        for (what, count) in all_is_well(plan(seed, 60)).counts {
            *counts.entry(what).or_default() += count;
        }
        if is_one_wanted() {
            return;
        }
    }
    // P33: a run in which nothing happens proves nothing.
    for what in [
        "answers: degraded",
        "answers: full",
        "answers: sole",
        "answers: spilled",
        "answers: unavailable",
        "balancers that see one machine",
        "blackouts",
        "broken connections",
        "calls sent again",
        "calls that nobody answered",
        "claims",
        "claims as sole",
        "clocks far ahead",
        "clocks far behind",
        "clocks set back",
        "clocks set forward",
        "copies forgotten",
        "cuts",
        "cuts in one direction",
        "deaths",
        "end-alls",
        "end-alls as sole",
        "fills",
        "hand-overs",
        "isolations",
        "kills",
        "kills as soon as it is safe",
        "leaves",
        "long pauses",
        "machines that die again and again",
        "machines that hear nobody",
        "machines that left",
        "machines that nobody hears",
        "machines that stutter",
        "merges",
        "pauses",
        "reads waited for a grant",
        "reads waited for a write",
        "releases",
        "silences",
        "slow networks",
        "slow paths",
        "splits",
        "stale tables of balancers",
        "steps down",
        "surveys answered",
        "surveys that nobody could answer",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in {counts:?}");
    }
}

#[test]
fn machines_are_restarted_one_after_another_and_nothing_fails() {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 1..=10 {
        for (what, count) in all_is_well(Plan { is_rolling: true, ..plan(seed, 30) }).counts {
            *counts.entry(what).or_default() += count;
        }
    }
    let count = |what| counts.get(what).copied().unwrap_or_default();
    assert!(count("machines that were ready again") > 200, "{counts:?}");
    for what in ["answers: sole", "answers: unavailable", "calls that nobody answered"] {
        assert_eq!(count(what), 0, "{what} in {counts:?}");
    }
}

/// Two or three machines that know each other, and one or two that nobody was told of.
fn plan_of_joins(seed: u64, seconds: u64) -> Plan {
    let joiners = if seed.is_multiple_of(3) { 2 } else { 1 };
    let nodes = if seed % 4 == 1 { 3 } else { 2 };
    Plan { nodes: nodes + joiners, joiners, ..plan(seed, seconds) }
}

fn counts_of(plans: impl Iterator<Item = Plan>) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (what, count) in plans.flat_map(|plan| all_is_well(plan).counts) {
        *counts.entry(what).or_default() += count;
    }
    counts
}

#[test]
fn machines_that_nobody_was_told_of_join_and_leave_whatever_goes_wrong() {
    let counts = counts_of((1..=60).map(|seed| plan_of_joins(seed, 30)));
    for what in [
        "admissions",
        "blackouts of machines that joined",
        "joiners left alone with who did not know them",
        "joins",
        "joiners that come back to their disks",
        "joins in a cut",
        "machines that left",
        "names forgotten",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "no {what} in {counts:?}");
    }
}

#[test]
fn machines_that_are_restarted_with_their_old_list_hear_of_the_others_in_time() {
    let of_old_lists = |seed| Plan { lists_stay: true, ..plan_of_joins(seed, 30) };
    let counts = counts_of((1..=30).map(of_old_lists));
    assert!(counts.get("kills").is_some_and(|count| *count > 30), "{counts:?}");
    let of_disks = counts.get("joiners that come back to their disks");
    assert!(of_disks.is_some_and(|count| *count > 0), "{counts:?}");
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let hash = |seed| all_is_well(plan(seed, 10)).hash;
    let (first, again) = (hash(7), hash(7));
    assert_eq!(first, again);
    if !is_one_wanted() {
        assert_ne!(first, hash(8));
    }
}

#[test]
fn every_mistake_is_found_within_500_seeds() {
    for mutant in Mutant::ALL {
        let is_found = |seed: &u64| {
            let is_of_joins = mutant == Mutant::TakesOverBeforeAllKnow;
            let plan = if is_of_joins { plan_of_joins(*seed, 60) } else { plan(*seed, 60) };
            let plan = Plan { mutant: Some(mutant), ..plan };
            run(plan).violation.is_some()
        };
        let found = (1..=500).find(is_found);
        let seeds =
            found.unwrap_or_else(|| panic!("{mutant:?} survives: the checkers have a hole"));
        println!("{mutant:?}: {seeds} seeds");
    }
}
