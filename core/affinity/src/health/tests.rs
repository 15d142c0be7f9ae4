use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::fixture::NOW;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Input = Input::RequestFailed { is_last_up: false };

fn active() -> Monitor {
    Monitor::new(Some(ActivePolicy::default()), Some(PassivePolicy::default()), 1, NOW)
}

fn passive() -> Monitor {
    Monitor::new(None, Some(PassivePolicy::default()), 1, NOW)
}

fn outputs(monitor: &mut Monitor) -> Vec<Output> {
    core::iter::from_fn(|| monitor.poll()).collect()
}

fn feed(monitor: &mut Monitor, inputs: &[Input], now: Time) -> Health {
    for input in inputs {
        monitor.handle(*input, now);
    }
    monitor.health()
}

#[test]
fn the_first_probe_is_due_at_once_and_decides() {
    let mut monitor = active();
    assert_eq!(monitor.deadline(), NOW);
    monitor.handle(Input::Tick, NOW);
    assert_eq!(outputs(&mut monitor), [Output::Probe]);
    monitor.handle(Input::ProbeFailed, NOW);
    assert_eq!(outputs(&mut monitor), [Output::Became(Health::Down)]);
}

#[test]
fn a_proven_server_falls_after_three_failures_in_a_row_and_rises_after_two() {
    use Input::{ProbeFailed as Bad, ProbePassed as Good};
    for (inputs, expected) in [
        (&[Good, Bad, Bad][..], Health::Up),
        (&[Good, Bad, Bad, Good, Bad, Bad], Health::Up),
        (&[Good, Bad, Bad, Bad], Health::Down),
        (&[Bad, Good], Health::Down),
        (&[Bad, Good, Bad, Good], Health::Down),
        (&[Bad, Good, Good], Health::Up),
    ] {
        assert_eq!(feed(&mut active(), inputs, NOW), expected, "{inputs:?}");
    }
}

#[test]
fn probes_come_at_the_interval_give_or_take_a_tenth_and_faster_in_doubt() {
    let mut seen = Vec::new();
    let mut monitor = active();
    for _ in 0..50 {
        monitor.handle(Input::ProbePassed, NOW);
        seen.push(monitor.deadline().since(NOW));
    }
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!((1800..=1900).contains(&least.as_millis()), "{least:?}");
    assert!((2100..=2200).contains(&most.as_millis()), "{most:?}");
    monitor.handle(Input::ProbeFailed, NOW);
    let in_doubt = monitor.deadline().since(NOW);
    assert!((450..=550).contains(&in_doubt.as_millis()), "{in_doubt:?}");
}

#[test]
fn a_probe_that_is_never_reported_does_not_stop_the_next() {
    let mut monitor = active();
    let mut now = NOW;
    for _ in 0..3 {
        monitor.handle(Input::Tick, now);
        assert_eq!(outputs(&mut monitor), [Output::Probe]);
        assert!(monitor.deadline() > now);
        now = monitor.deadline();
    }
}

#[test]
fn three_requests_that_fail_in_a_row_take_a_server_out() {
    for (inputs, expected) in [
        (&[FAILED, FAILED][..], Health::Up),
        (&[FAILED, FAILED, Input::RequestAnswered, FAILED, FAILED], Health::Up),
        (&[FAILED, FAILED, FAILED], Health::Down),
    ] {
        assert_eq!(feed(&mut passive(), inputs, NOW), expected, "{inputs:?}");
    }
}

#[test]
fn many_failures_in_a_window_take_a_server_out_whatever_succeeds_between() {
    let fail = |spacing: Duration| {
        let mut monitor = passive();
        let mut now = NOW;
        for _ in 0..40 {
            feed(&mut monitor, &[FAILED, Input::RequestAnswered], now);
            now = now.after(spacing);
        }
        monitor.health()
    };
    assert_eq!(fail(SECOND / 10), Health::Down);
    // Neither half of the window alone has too many.
    assert_eq!(fail(Duration::from_millis(400)), Health::Down);
    assert_eq!(fail(Duration::from_millis(600)), Health::Up);
    assert_eq!(fail(SECOND), Health::Up);
}

#[test]
fn the_last_server_up_is_not_taken_out_by_failing_requests_but_by_probes() {
    let mut monitor = active();
    let last = Input::RequestFailed { is_last_up: true };
    assert_eq!(feed(&mut monitor, &[last; 100], NOW), Health::Up);
    // The next failure counts again as soon as another server is back.
    assert_eq!(feed(&mut monitor.clone(), &[FAILED], NOW), Health::Down);
    assert_eq!(feed(&mut monitor, &[Input::ProbeFailed], NOW), Health::Down);
}

#[test]
fn an_active_check_looks_at_once_at_a_server_whose_requests_fail() {
    let mut monitor = active();
    feed(&mut monitor, &[Input::ProbePassed, FAILED, FAILED, FAILED], NOW);
    assert_eq!(outputs(&mut monitor), [Output::Became(Health::Down)]);
    assert_eq!(monitor.deadline(), NOW);
    monitor.handle(Input::Tick, NOW);
    assert_eq!(outputs(&mut monitor), [Output::Probe]);
    assert_eq!(feed(&mut monitor, &[Input::ProbePassed], NOW), Health::Down);
    assert_eq!(feed(&mut monitor, &[Input::ProbePassed], NOW), Health::Up);
}

/// How long the server is out, time after time, if its first request after each return fails.
fn ejections(count: usize, up_between: Duration) -> Vec<u64> {
    let mut monitor = passive();
    let mut now = NOW;
    feed(&mut monitor, &[FAILED, FAILED], now);
    core::iter::repeat_with(|| {
        assert_eq!(feed(&mut monitor, &[FAILED], now), Health::Down);
        let length = monitor.deadline().since(now);
        now = monitor.deadline();
        assert_eq!(feed(&mut monitor, &[Input::Tick], now), Health::Up);
        now = now.after(up_between);
        length.as_secs()
    })
    .take(count)
    .collect()
}

#[test]
fn without_active_checks_a_server_is_out_for_longer_each_time() {
    assert_eq!(ejections(8, SECOND), [5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(ejections(3, SECOND * 301), [5, 5, 5]);
}

#[test]
fn an_answered_request_ends_the_probation() {
    let mut monitor = passive();
    feed(&mut monitor, &[FAILED, FAILED, FAILED], NOW);
    let back = monitor.deadline();
    let inputs = [Input::Tick, Input::RequestAnswered, FAILED, FAILED];
    assert_eq!(feed(&mut monitor, &inputs, back), Health::Up);
}

#[test]
fn without_policies_nothing_ever_happens() {
    let mut monitor = Monitor::new(None, None, 1, NOW);
    let inputs = [FAILED, Input::ProbeFailed, Input::Tick, FAILED, FAILED, FAILED];
    assert_eq!(feed(&mut monitor, &inputs, NOW), Health::Up);
    assert_eq!((monitor.deadline(), outputs(&mut monitor)), (Time::MAX, vec![]));
}

proptest! {
    #[test]
    fn a_server_that_answers_always_comes_back(
        with_active in any::<bool>(),
        inputs in prop::collection::vec((0_usize..5, 0_u64..20_000), 0..60),
        seed in any::<u64>(),
    ) {
        let policy = with_active.then(ActivePolicy::default);
        let mut monitor = Monitor::new(policy, Some(PassivePolicy::default()), seed, NOW);
        let mut now = NOW;
        let kinds =
            [Input::Tick, Input::ProbePassed, Input::ProbeFailed, Input::RequestAnswered, FAILED];
        for (kind, later_ms) in inputs {
            now = now.after(Duration::from_millis(later_ms));
            monitor.handle(kinds[kind], now);
            outputs(&mut monitor);
        }
        for _ in 0..3 {
            now = now.max(monitor.deadline().min(now.after(Duration::from_mins(10))));
            monitor.handle(Input::Tick, now);
            if outputs(&mut monitor).contains(&Output::Probe) {
                monitor.handle(Input::ProbePassed, now);
            }
        }
        prop_assert_eq!(monitor.health(), Health::Up);
    }
}
