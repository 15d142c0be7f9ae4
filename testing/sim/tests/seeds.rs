//! Runs of many seeds, which cut, stop and kill without pity, or restart one machine after another: about
//! two minutes of one core in all.

use std::collections::BTreeMap;

use abide_sim::{Mutant, Plan, Report, run};

/// A run, or with `SIM_SEED` that one only, whatever was asked for.
fn plan(seed: u64, seconds: u64) -> Plan {
    let wanted = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = wanted.unwrap_or(seed);
    Plan {
        seed,
        nodes: Plan::nodes_of(seed),
        seconds,
        mutant: None,
        is_rolling: false,
        is_told: false,
    }
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

#[test]
fn nothing_breaks_and_everything_was_tried() {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 1..=60 {
        for (what, count) in all_is_well(plan(seed, 40)).counts {
            *counts.entry(what).or_default() += count;
        }
    }
    // P33: a run in which nothing happens proves nothing.
    for what in [
        "answers: full",
        "answers: spilled",
        "answers: degraded",
        "answers: sole",
        "answers: unavailable",
        "calls sent again",
        "claims",
        "claims as sole",
        "copies forgotten",
        "cuts in one direction",
        "deaths",
        "fills",
        "end-alls",
        "hand-overs",
        "kills",
        "kills as soon as it is safe",
        "machines that left",
        "merges",
        "pauses",
        "reads waited for a grant",
        "reads waited for a write",
        "releases",
        "silences",
        "steps down",
        "surveys answered",
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

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let hash = |seed| all_is_well(plan(seed, 10)).hash;
    let (first, again) = (hash(7), hash(7));
    assert_eq!(first, again);
    if std::env::var("SIM_SEED").is_err() {
        assert_ne!(first, hash(8));
    }
}

#[test]
fn every_mistake_is_found_within_500_seeds() {
    for mutant in Mutant::ALL {
        let is_found = |seed: &u64| {
            let plan = Plan { mutant: Some(mutant), ..plan(*seed, 20) };
            run(plan).violation.is_some()
        };
        let found = (1..=500).find(is_found);
        let seeds =
            found.unwrap_or_else(|| panic!("{mutant:?} survives: the checkers have a hole"));
        println!("{mutant:?}: {seeds} seeds");
    }
}
