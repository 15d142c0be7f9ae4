//! Reads a story line by line and does what it says.

mod claims;
mod roads;
mod words;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use abide_replica::{Event, NodeId, Operation, Sought, Survey};
use abide_session::{Id, IdHash, RANDOM_BYTES, Slot, Subject};
use abide_slots::{Member, owners};

use world::World;

/// A step that did not go as written.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its line, from 1.
    pub(crate) line: usize,
    pub(crate) step: String,
    pub(crate) what: String,
    /// What went between the nodes.
    pub(crate) trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, step, what, trace } = self;
        write!(f, "{line}: {step}\n  {what}\n\nBefore that:\n{trace}")
    }
}

/// The story once more, with what comes back from its steps now. Unless that is to be written, it has to be
/// what stands there.
pub(crate) fn run(story: &str, is_update: bool) -> Result<String, Failure> {
    play(Scenario::default(), story, is_update)
}

/// The same with nodes that make a mistake.
#[cfg(feature = "mutants")]
pub(crate) fn run_with(mutant: abide_replica::Mutant, story: &str) -> Result<String, Failure> {
    let mut scenario = Scenario::default();
    scenario.world.mutant = Some(mutant);
    play(scenario, story, false)
}

fn play(mut scenario: Scenario, story: &str, is_update: bool) -> Result<String, Failure> {
    let mut told = String::new();
    let mut last = (0, "");
    for (number, line) in (1..).zip(story.lines()) {
        let mut answer = None;
        if !line.is_empty() && !line.starts_with('#') {
            last = (number, line);
            scenario.world.trace.push(format!("{number}: {line}"));
            answer = scenario
                .line(line, is_update)
                .map_err(|what| scenario.failure(number, line, what))?;
        }
        told.push_str(&answer.unwrap_or_else(|| line.to_owned()));
        told.push('\n');
    }
    scenario.end().map_err(|what| scenario.failure(last.0, last.1, what))?;
    Ok(told)
}

/// A story as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Scenario {
    world: World,
    sessions: BTreeMap<String, IdHash>,
    calls: BTreeMap<String, Named>,
}

/// Calls of one name.
#[derive(Debug)]
struct Named {
    numbers: Vec<u64>,
    is_seen: bool,
}

type Step<T = ()> = Result<T, String>;

impl Scenario {
    fn failure(&self, line: usize, step: &str, what: String) -> Failure {
        Failure { line, step: step.to_owned(), what, trace: self.world.last_of_the_trace() }
    }

    /// Does one step. What it is in the end, if something comes back from it.
    fn line(&mut self, line: &str, is_update: bool) -> Step<Option<String>> {
        let (head, expected) = match line.split_once(" -> ") {
            Some((head, expected)) => (head, Some(expected)),
            None => (line, None),
        };
        let words: Vec<&str> = head.split_whitespace().collect();
        let told = match words.as_slice() {
            ["within", number, unit, what @ ..] => {
                let span = words::span(number, unit.trim_end_matches(':'))?;
                self.within(span, what, expected)?
            }
            words => self.step(words)?,
        };
        match (told, expected) {
            (None, None) => Ok(None),
            (Some(told), Some(expected)) if told == expected || is_update => {
                Ok(Some(format!("{head} -> {told}")))
            }
            (Some(told), Some(_)) => Err(format!("what comes back is: {told}\n{}", self.state())),
            (Some(told), None) => Err(format!("write behind `->` what comes back: {told}")),
            (None, Some(_)) => Err("nothing comes back from this".to_owned()),
        }
    }

    fn step(&mut self, words: &[&str]) -> Step<Option<String>> {
        match words {
            ["letters"] => Ok(Some(self.world.sent_in_words())),
            [who, call @ ..] if who.ends_with(':') => {
                self.world.sent.clear();
                self.call(who.trim_end_matches(':'), call).map(Some)
            }
            [name] if self.calls.contains_key(*name) => Ok(Some(self.told_of(name))),
            words => match self.claims(words) {
                Some(is_so) => self.hold_true(is_so?),
                None => {
                    self.world.sent.clear();
                    self.happen(words).map(|()| None)
                }
            },
        }
    }

    /// What is done to nodes, and to what lies between them.
    fn happen(&mut self, words: &[&str]) -> Step {
        let world = &mut self.world;
        match words {
            ["nodes", names @ ..] => world.list(names),
            ["joins", names @ ..] => world.join(names),
            ["disks"] => world.give_disks(),
            ["copies", count] => world.copy(count),
            ["sessions", rest @ ..] => self.place(rest),
            ["start", names @ ..] => world.start(names),
            ["kill", name] => world.kill(name),
            ["pause", name] => world.pause(name),
            ["resume", name] => world.resume(name),
            ["leave", name] => world.event(name, Event::Leave),
            ["lost", name, "at", at] => {
                let node = world.id(name)?;
                world.event(at, Event::Lost(node))
            }
            ["refuse", name] => world.accept(name, false),
            ["accept", name] => world.accept(name, true),
            ["break", one, other] => world.sever(one, other),
            ["cut", from, "to", to] => world.cut(&[*from], &[*to], false),
            ["cut", rest @ ..] => {
                let bar = rest.iter().position(|word| *word == "|");
                let (left, right) = rest.split_at(bar.ok_or("write `cut a b | c`")?);
                world.cut(left, right.get(1..).unwrap_or_default(), true)
            }
            ["heal"] => world.heal(),
            ["hold", from, "to", to] => world.hold(from, to),
            ["deliver", from, "to", to] => world.deliver(from, to, None),
            ["deliver", from, "to", to, "up", "to", kind] => world.deliver(from, to, Some(kind)),
            ["release", from, "to", to] => world.release(from, to),
            ["wait", number, unit] => world.wait(words::span(number, unit)?),
            _ => Err("there is no such step: tests/scenarios.rs lists them".to_owned()),
        }
    }

    /// Time goes on until a call has this answer, or something is true.
    fn within(
        &mut self,
        span: Duration,
        what: &[&str],
        expected: Option<&str>,
    ) -> Step<Option<String>> {
        self.world.sent.clear();
        let until = self.world.now() + span;
        loop {
            let is_over = self.world.now() >= until;
            match (what, expected) {
                ([name], Some(expected)) if self.calls.contains_key(*name) => {
                    let told = self.told_of(name);
                    if is_over || told == expected {
                        return Ok(Some(told));
                    }
                }
                (claim, _) => {
                    let is_so = self.claims(claim).ok_or("this can not be waited for")??;
                    if is_over || is_so {
                        return self.hold_true(is_so);
                    }
                }
            }
            self.world.go_on(until)?;
        }
    }

    /// Ids in the first slot with such owners that has no name yet.
    fn place(&mut self, words: &[&str]) -> Step {
        let at = words.iter().position(|word| *word == "at");
        let (ids, rest) = words.split_at(at.ok_or("write `sessions s1 s2 at a b`")?);
        let first: Vec<usize> =
            rest.iter().skip(1).map(|name| self.world.place(name)).collect::<Step<_>>()?;
        let members: Vec<Member<'_>> =
            self.world.names().filter_map(|name| Member::new(name, 1).ok()).collect();
        let is_free = |slot: &Slot| self.sessions.values().all(|id| id.slot() != *slot);
        let slot = Slot::all()
            .filter(is_free)
            .find(|slot| owners(*slot, &members).starts_with(&first))
            .ok_or("no slot has these owners")?;
        for name in ids {
            let mut random = [0; RANDOM_BYTES];
            for (to, from) in random.iter_mut().skip(2).zip(name.bytes()) {
                *to = from;
            }
            let id = Id::from_random_in(slot, random).hash();
            if self.sessions.insert((*name).to_owned(), id).is_some() {
                return Err(format!("{name} has a slot already"));
            }
        }
        self.world.open(slot)
    }

    fn call(&mut self, who: &str, words: &[&str]) -> Step<String> {
        let (words, name) = match words {
            [words @ .., "as", name] => (words, Some(*name)),
            words => (words, None),
        };
        let (words, times) = match words {
            [words @ .., count, "times"] => (words, words::number(count)?),
            words => (words, 1),
        };
        let numbers = (0..times).map(|_| self.begin(who, words)).collect::<Step<Vec<u64>>>()?;
        let told = self.told(&numbers);
        let Some(name) = name else {
            let is_done = numbers.iter().all(|number| self.world.is_done(*number));
            return if is_done {
                Ok(told)
            } else {
                Err(format!("{told}: give it a name (`as read`), and say later what comes of it"))
            };
        };
        let is_seen = numbers.iter().all(|number| self.world.is_done(*number));
        match self.calls.insert(name.to_owned(), Named { numbers, is_seen }) {
            Some(_) => Err(format!("there is another call of the name {name}")),
            None => Ok(told),
        }
    }

    fn begin(&mut self, who: &str, words: &[&str]) -> Step<u64> {
        let sought = match words {
            ["find", subject] => {
                let subject = Subject::new(*subject);
                Sought::OfSubject(subject.map_err(|fault| format!("no subject: {fault}"))?)
            }
            ["walk", id] => Sought::Page(self.slot(id)?, None),
            words => {
                let operation = self.operation(words)?;
                return self.world.call(who, operation);
            }
        };
        self.world.survey(who, Survey { sought, now: self.world.wall() })
    }

    fn operation(&self, words: &[&str]) -> Step<Operation> {
        let wall = self.world.wall();
        match words {
            ["create", id, changes @ ..] => {
                Ok(Operation::Create(self.id(id)?, words::new_session(changes, wall)?))
            }
            ["load", id] => Ok(Operation::Load(self.id(id)?)),
            ["commit", id, changes @ ..] => {
                Ok(Operation::Commit(self.id(id)?, words::changes(changes)?))
            }
            ["end", id] => Ok(Operation::End(self.id(id)?)),
            ["rename", id, "to", to, old @ ..] => {
                let rename = words::rename(self.id(to)?, id, old, wall)?;
                Ok(Operation::Rename(self.id(id)?, rename))
            }
            _ => Err("there is no such call: tests/scenarios.rs lists them".to_owned()),
        }
    }

    fn id(&self, name: &str) -> Step<IdHash> {
        self.sessions.get(name).copied().ok_or_else(|| format!("{name} has no slot: `sessions`"))
    }

    fn slot(&self, name: &str) -> Step<Slot> {
        self.id(name).map(IdHash::slot)
    }

    fn told_of(&mut self, name: &str) -> String {
        let Some(named) = self.calls.get(name) else { return String::new() };
        let is_seen = named.numbers.iter().all(|number| self.world.is_done(*number));
        let told = self.told(&named.numbers);
        if let Some(named) = self.calls.get_mut(name) {
            named.is_seen = is_seen;
        }
        told
    }

    /// What has come back from these calls. If that is not the same for all, how often each.
    fn told(&self, numbers: &[u64]) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for number in numbers {
            let told = self.world.told(*number, &self.sessions);
            *counts.entry(told).or_default() += 1;
        }
        match counts.len() {
            1 => counts.into_keys().collect(),
            _ => {
                let several = counts.iter().map(|(told, count)| format!("{count} times {told}"));
                several.collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Nothing is left open.
    fn end(&self) -> Step {
        let open = self.calls.iter().find(|(_, named)| !named.is_seen);
        match open {
            Some((name, _)) => Err(format!("the story ends, and does not say what came of {name}")),
            None => Ok(()),
        }
    }

    /// How things are, for who looks for what went wrong.
    fn state(&self) -> String {
        let mut lines = Vec::new();
        for (name, id) in &self.sessions {
            for (place, node) in self.world.nodes() {
                let slot = id.slot();
                let leads = match (node.in_sync(slot), node.reign(slot)) {
                    (Some(set), _) => format!("leads, in sync: {}", self.world.list_of(&set)),
                    (None, Some(reign)) => format!("follows {}", self.world.name_of(reign.leader)),
                    (None, None) => "knows no leader".to_owned(),
                };
                let holds = if node.table().get(*id).is_some() { "holds" } else { "does not hold" };
                let own = self.world.name_of(NodeId(u16::try_from(place).unwrap_or_default()));
                lines.push(format!("  {own} {holds} {name}, {leads}"));
            }
        }
        lines.join("\n")
    }
}
