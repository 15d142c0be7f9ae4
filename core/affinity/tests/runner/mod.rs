//! A small world for stories: balancers, visitors with their cookies, and a clock.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use abide_affinity::{
    Admin, Algorithm, Balancer, Choice, CookieAction, Health, Keys, Lifetime, OnLost, Presented,
    Request, Server, ServerName, Source, Sources, Sticky, Verdict, View, Weight, decide, retry,
};
use abide_cookie::{CookieName, Without, without};
use abide_keys::{Key, KeyRing};
use abide_time::Time;

/// The story once more, with the answers that its commands give now.
pub(crate) fn run(story: &str) -> String {
    let mut world = World {
        now: Time::from_secs(1_800_000_000),
        balancers: BTreeMap::from([("one".into(), Node::default())]),
        current: "one".into(),
        jars: BTreeMap::new(),
        drawn: 0,
    };
    let mut told = String::new();
    for line in story.lines().filter(|line| !line.starts_with("->")) {
        told.push_str(line);
        told.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            for answer in world.command(&words(line)) {
                writeln!(told, "-> {answer}").expect("a string takes everything");
            }
        }
    }
    told
}

struct World {
    now: Time,
    balancers: BTreeMap<String, Node>,
    current: String,
    /// Each visitor's sticky cookie.
    jars: BTreeMap<String, String>,
    /// How many random numbers were drawn.
    drawn: u64,
}

/// One balancer.
#[derive(Clone)]
struct Node {
    pool: String,
    on_lost: OnLost,
    servers: Vec<Server>,
    sources: Vec<Source>,
    keys: Vec<u8>,
    lifetime: Lifetime,
    ahead: Duration,
    behind: Duration,
    view: Option<View>,
    balancer: Balancer,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            pool: "shop".into(),
            on_lost: OnLost::Move,
            servers: Vec::new(),
            sources: vec![Source::Sticky],
            keys: vec![1],
            lifetime: Lifetime::default(),
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            view: None,
            balancer: Balancer::new(Algorithm::SmoothWeightedRoundRobin),
        }
    }
}

impl World {
    fn command(&mut self, words: &[String]) -> Vec<String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let now = self.now;
        match words.as_slice() {
            ["balancer", name] => {
                let first = self.balancers["one"].clone();
                self.balancers.entry((*name).into()).or_insert(first);
                self.current = (*name).into();
            }
            ["advance", span] => self.now = now.after(duration(span)),
            ["give", visitor, cookie] => {
                self.jars.insert((*visitor).into(), (*cookie).into());
            }
            ["copy", visitor, other] => {
                self.jars.insert((*other).into(), self.jars[*visitor].clone());
            }
            ["cut", visitor, count] => {
                let jar = self.jars.get_mut(*visitor).expect("a visitor with a cookie");
                jar.truncate(jar.len() - count.parse::<usize>().expect("a number"));
            }
            ["request", visitor, options @ ..] => return self.requests(visitor, options),
            ["seen", visitor, options @ ..] => return vec![self.seen(visitor, options)],
            words => self.node().configure(words, now),
        }
        Vec::new()
    }

    fn node(&mut self) -> &mut Node {
        self.balancers.get_mut(&self.current).expect("the current balancer")
    }

    fn requests(&mut self, visitor: &str, options: &[&str]) -> Vec<String> {
        let times = option(options, "times").map_or(1, |times| times.parse().expect("a number"));
        (0..times).map(|_| self.request(visitor, options)).collect()
    }

    fn request(&mut self, visitor: &str, options: &[&str]) -> String {
        let fields = self.fields(visitor, options);
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        let header = option(options, "header");
        let request = Request {
            target: option(options, "target").unwrap_or("/"),
            cookies: &fields,
            header: &|name| header.filter(|_| name == "x-session-id").map(str::as_bytes),
            client: option(options, "address")
                .map(|address| address.parse::<IpAddr>().expect("an address")),
        };
        self.drawn += 1;
        let (drawn, now) = (self.drawn, self.now);
        let failing: Vec<&str> =
            option(options, "failing").map_or(Vec::new(), |names| names.split(',').collect());
        let node = self.node();
        let now = node.clock(now);
        let keys = node.sources().keys(&request, now);
        let (verdict, answered_by) = node.answer(&keys, now, drawn, &failing);
        let mut told = match answered_by {
            Some(place) => node.name(place),
            None => "nobody".into(),
        };
        write!(told, " ({})", verdict.reason).expect("a string takes everything");
        if let (Some(place), Some(sticky)) = (answered_by, node.sources().sticky())
            && let CookieAction::Write(ticket) = sticky.after(node.view(), &verdict, place, now)
        {
            let mut nonce = [0; Sticky::NONCE_BYTES];
            nonce[..8].copy_from_slice(&drawn.to_le_bytes());
            let cookie = sticky.seal(&ticket, nonce);
            write!(told, ", cookie {}", node.name(place)).expect("a string takes everything");
            self.jars.insert(visitor.into(), cookie);
        }
        if matches!(verdict.presented, Presented::Forged | Presented::Expired) {
            write!(told, ", was {}", verdict.presented.as_str())
                .expect("a string takes everything");
        }
        told
    }

    /// The visitor's `Cookie` fields: what the story says, and the sticky cookie in one of its own.
    fn fields(&self, visitor: &str, options: &[&str]) -> Vec<String> {
        let own = option(options, "cookie").map(Into::into);
        let sticky = self.jars.get(visitor).map(|cookie| format!("abide={cookie}"));
        own.into_iter().chain(sticky).collect()
    }

    fn seen(&self, visitor: &str, options: &[&str]) -> String {
        let field = self.fields(visitor, options).join("; ");
        match without(field.as_bytes(), b"abide") {
            Without::Unchanged => field,
            Without::Empty => "no cookie".into(),
            Without::Changed(left) => String::from_utf8(left).expect("text stays text"),
        }
    }
}

impl Node {
    fn configure(&mut self, words: &[&str], now: Time) {
        match words {
            ["pool", name] => self.pool = (*name).into(),
            ["strict"] => self.on_lost = OnLost::Refuse,
            ["servers", servers @ ..] => self.list(servers),
            ["server", name, state @ ..] => {
                let server = self.servers.iter_mut().find(|server| server.name.as_str() == *name);
                set_state(server.expect("a server of the list"), state, now);
            }
            ["sources", sources @ ..] => {
                let parse = |source: &&str| source.parse().expect("a source");
                self.sources = sources.iter().map(parse).collect();
            }
            ["keys", keys @ ..] => {
                self.keys = keys.iter().map(|key| key.parse().expect("a number")).collect();
            }
            ["lifetime", idle, life] => {
                self.lifetime = Lifetime { idle_max: duration(idle), life_max: duration(life) };
            }
            ["skew", span, "ahead"] => self.ahead = duration(span),
            ["skew", span, "behind"] => self.behind = duration(span),
            _ => panic!("unknown command: {}", words.join(" ")),
        }
        let servers = self.servers.clone();
        let view = match &self.view {
            Some(view) => view.succeed(servers, self.on_lost),
            None => View::new(servers, self.on_lost),
        };
        self.view = Some(view.expect("different names"));
    }

    /// A new list: servers that were there before keep their state.
    fn list(&mut self, servers: &[&str]) {
        let known = std::mem::take(&mut self.servers);
        for text in servers {
            let (name, weight) = text.split_once('*').unwrap_or((text, "1"));
            let before = known.iter().find(|server| server.name.as_str() == name).cloned();
            let name = ServerName::new(name).expect("a server name");
            let mut server = before.unwrap_or_else(|| Server::new(name));
            server.weight = Weight::new(weight.parse().expect("a number")).expect("a weight");
            self.servers.push(server);
        }
    }

    /// What a shell does with a request: decide, pick, and try the next while servers fail.
    fn answer(
        &mut self,
        keys: &Keys<'_>,
        now: Time,
        drawn: u64,
        failing: &[&str],
    ) -> (Verdict, Option<usize>) {
        let view = self.view().clone();
        let visitor = u32::try_from(drawn).expect("few requests");
        let mut verdict = decide(&view, keys, now, visitor);
        let mut tried = Vec::new();
        loop {
            let place = match verdict.choice {
                Choice::Server(place) => place,
                Choice::Balance => {
                    self.balancer.pick(&view, &[], drawn).expect("the verdict said so")
                }
                Choice::Nobody => return (verdict, None),
            };
            if !failing.contains(&self.name(place).as_str()) {
                return (verdict, Some(place));
            }
            tried.push(place);
            verdict = retry(&view, &verdict, &tried);
        }
    }

    fn view(&self) -> &View {
        self.view.as_ref().expect("a list of servers")
    }

    fn name(&self, place: usize) -> String {
        self.servers[place].name.to_string()
    }

    fn clock(&self, now: Time) -> Time {
        let behind = u64::try_from(self.behind.as_millis()).expect("a short time");
        Time::from_millis(now.after(self.ahead).as_millis() - behind)
    }

    fn sources(&self) -> Sources {
        let keys = self.keys.iter().map(|number| Key::new([*number; Key::BYTES])).collect();
        let ring = KeyRing::new(keys).expect("a key ring");
        let name = CookieName::new("abide").expect("a cookie name");
        let sticky = Sticky::new(&self.pool, name, ring, self.lifetime);
        Sources::new(self.sources.clone(), Some(sticky)).expect("sources")
    }
}

fn set_state(server: &mut Server, state: &[&str], now: Time) {
    match state {
        ["up"] => server.health = Health::Up,
        ["down"] => server.health = Health::Down,
        ["ready"] => server.admin = Admin::Ready,
        ["maintenance"] => server.admin = Admin::Maintenance,
        ["draining"] => server.admin = Admin::Draining { until: Time::MAX },
        ["draining", span] => server.admin = Admin::Draining { until: now.after(duration(span)) },
        _ => panic!("unknown state: {}", state.join(" ")),
    }
}

fn option<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("a number and a unit");
    match unit {
        "s" => Duration::from_secs(number),
        "m" => Duration::from_mins(number),
        "h" => Duration::from_hours(number),
        _ => panic!("unknown unit: {text}"),
    }
}

/// Words between spaces; a space between quotes does not count, and the quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().expect("a first word").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
