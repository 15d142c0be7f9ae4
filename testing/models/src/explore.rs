//! Going through all states, and saying what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker as _, HasDiscoveries, Model as _, Path};

use crate::action::Action;
use crate::bounds::Bounds;
use crate::model::Model;
use crate::state::State;

/// When to end although there are more states.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// States that are more steps away from the first are left out.
    pub depth: Option<usize>,
    /// For how long.
    pub time: Option<Duration>,
    /// How many threads look for states. One finds a shortest way to what is wrong.
    pub threads: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// States that differ.
    pub states: usize,
    /// Steps from one to another that were tried.
    pub steps: usize,
    /// Steps from the first state to the last that was seen, by the shortest way that was found.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
}

/// What was found of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It must be true of every state, and was.
    Holds,
    /// It must be true of every state, and there is one of which it is not.
    Broken,
    /// It must be true of some state, and was.
    Seen,
    /// It must be true of some state, and none was found.
    Unseen,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far it went.
    pub progress: Progress,
    /// Whether there are no more states.
    pub is_complete: bool,
    /// What was found of each property.
    pub verdicts: Vec<(&'static str, Verdict)>,
    /// How it comes to what is wrong, if anything is.
    pub story: Option<String>,
}

impl Report {
    /// The properties of which this was found.
    pub fn of(&self, verdict: Verdict) -> Vec<&'static str> {
        let found = self.verdicts.iter().filter(|(_, found)| *found == verdict);
        found.map(|(name, _)| *name).collect()
    }
}

struct Listener<F>(F, Progress);

impl<F: FnMut(&Progress)> Reporter<Model> for Listener<F> {
    fn report_checking(&mut self, data: ReportData) {
        let ReportData { total_states, unique_states, max_depth, duration, .. } = data;
        self.1 = Progress {
            states: unique_states,
            steps: total_states,
            depth: max_depth,
            took: duration,
        };
        (self.0)(&self.1);
    }

    fn report_discoveries(&mut self, _: &Model, _: BTreeMap<&'static str, ReportDiscovery<Model>>) {
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(200)
    }
}

/// Goes through all states within the bounds, until there are no more, or one is wrong.
pub fn explore(bounds: Bounds, limits: Limits, listens: impl FnMut(&Progress) + Send) -> Report {
    let mut checker = Model::new(bounds).checker().threads(limits.threads);
    checker = checker.finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = limits.depth {
        checker = checker.target_max_depth(depth);
    }
    if let Some(time) = limits.time {
        checker = checker.timeout(time);
    }
    let nothing = Progress { states: 0, steps: 0, depth: 0, took: Duration::ZERO };
    let mut listener = Listener(listens, nothing);
    let checker = checker.spawn_bfs().join_and_report(&mut listener);
    let progress = listener.1;
    let model = checker.model();
    let mut found = checker.discoveries();
    let mut story = None;
    let verdicts: Vec<_> = model
        .properties()
        .into_iter()
        .map(|property| {
            let path = found.remove(property.name);
            let verdict = match (property.expectation.discovery_is_failure(), &path) {
                (true, Some(_)) => Verdict::Broken,
                (true, None) => Verdict::Holds,
                (false, Some(_)) => Verdict::Seen,
                (false, None) => Verdict::Unseen,
            };
            if verdict == Verdict::Broken {
                story = path.map(|path| told(model, path));
            }
            (property.name, verdict)
        })
        .collect();
    let is_in_time = limits.time.is_none_or(|time| progress.took < time);
    let is_complete =
        story.is_none() && is_in_time && limits.depth.is_none_or(|depth| progress.depth < depth);
    Report { progress, is_complete, verdicts, story }
}

/// What happens on a way, and how it looks in the end.
fn told(model: &Model, path: Path<State, Action>) -> String {
    let mut story = String::new();
    for (state, action) in path.into_vec() {
        // A string takes every text.
        let _ = match action {
            Some(action) => writeln!(story, "{}", model.told(&state, action)),
            None => writeln!(story, "{state:#?}"),
        };
    }
    story
}
