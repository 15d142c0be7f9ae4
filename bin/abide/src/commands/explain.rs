//! `abide explain`: where would this request go, and why?
//!
//! Decides by the same pure function as the balancer, on a snapshot made of the configuration.

use std::net::IpAddr;

use abide_affinity::{
    Admin, Choice, Health, Lifetime, OnLost, Reason, Request, Server, ServerName, Sources, Sticky,
    Verdict, View, decide, next,
};
use abide_balancer::config::Config;
use abide_time::Time;
use serde::Serialize;

use super::FlagReader;
use crate::arguments::Explain;
use crate::configuration::{Fault, Place, Problem, Problems, balance};
use crate::failure::Failure;
use crate::process;

/// Prints the verdict.
pub(crate) fn explain(arguments: &Explain) -> Result<(), Failure> {
    let config = balance::read(&arguments.source, false)?.balancer;
    let question = Question::read(arguments, &config)?;
    let now = process::wall_clock();
    let explanation = question.answer(&config, now)?;
    if arguments.json {
        return process::print_json(&explanation);
    }
    process::print(&explanation.to_text())
}

/// A request, and what is supposed about the servers.
#[derive(Debug)]
struct Question {
    target: String,
    cookies: Vec<String>,
    /// Names in lower case.
    header: Vec<(String, String)>,
    client: Option<IpAddr>,
    down: Vec<ServerName>,
    draining: Vec<ServerName>,
}

impl Question {
    fn read(arguments: &Explain, config: &Config) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut client = FlagReader::new(arguments.client.clone().map(|text| ("client", text)));
        let address = client.read("client", |text| {
            let fault =
                || Fault::new(format!("`{text}` is no address"), "write one such as 192.0.2.7");
            text.parse::<IpAddr>().map_err(|_error| fault())
        });
        problems.extend(client.into_problems());
        let mut known = |key: &str, names: &[String]| -> Vec<ServerName> {
            let servers = || config.servers.iter().map(|server| &server.name);
            let of_name = |name: &String| match servers().find(|known| known.as_str() == name) {
                Some(known) => Some(known.clone()),
                None => {
                    let all: Vec<&str> = servers().map(ServerName::as_str).collect();
                    let remedy = format!("write one of {}", all.join(", "));
                    let fault = format!("there is no server `{name}`");
                    problems.push(Problem::at(&Place::Flag, key, fault, remedy));
                    None
                }
            };
            names.iter().filter_map(of_name).collect()
        };
        let down = known("down", &arguments.down);
        let draining = known("draining", &arguments.draining);
        let mut header = Vec::new();
        for field in &arguments.header {
            match field.split_once(':') {
                Some((name, value)) => {
                    header.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => {
                    let fault = format!("`{field}` is no field");
                    let remedy = "write NAME: VALUE, as in X-Session-Id: 42".to_owned();
                    problems.push(Problem::at(&Place::Flag, "header", fault, remedy));
                }
            }
        }
        Problems::check(problems)?;
        let (target, cookies) = (arguments.target.clone(), arguments.cookie.clone());
        Ok(Self { target, cookies, header, client: address, down, draining })
    }

    fn answer(&self, config: &Config, now: Time) -> Result<Explanation, Failure> {
        let failed = |error| Failure::Other(format!("can not decide: {error}"));
        let on_lost = if config.strict { OnLost::Refuse } else { OnLost::Move };
        let server = |server: &abide_balancer::config::ServerConfig| Server {
            name: server.name.clone(),
            weight: server.weight,
            admin: if self.draining.contains(&server.name) {
                Admin::Draining { until: Time::MAX }
            } else {
                Admin::Ready
            },
            health: if self.down.contains(&server.name) { Health::Down } else { Health::Up },
        };
        let view =
            View::new(config.servers.iter().map(server).collect(), on_lost).map_err(failed)?;
        let sticky = &config.sticky;
        let lifetime = Lifetime { idle_max: sticky.idle, life_max: sticky.life };
        let sticky = Sticky::new(&config.pool, sticky.name.clone(), sticky.keys.clone(), lifetime);
        let sources = Sources::new(config.affinity.clone(), Some(sticky)).map_err(failed)?;
        let cookies: Vec<&[u8]> = self.cookies.iter().map(String::as_bytes).collect();
        let field = |wanted: &str| {
            let found = self.header.iter().find(|(name, _)| name == wanted)?;
            Some(found.1.as_bytes())
        };
        let request = Request {
            target: &self.target,
            cookies: &cookies,
            header: &field,
            client: self.client,
        };
        let verdict = decide(&view, &sources.keys(&request, now), now, 0);
        Ok(Explanation::new(&view, &verdict, config, now))
    }
}

/// The verdict in words.
#[derive(Debug, Serialize)]
struct Explanation {
    /// The server; none if any may be picked, or nobody can answer.
    server: Option<String>,
    /// The reason's word, as in the access log.
    verdict: &'static str,
    /// The reason in a sentence.
    because: &'static str,
    /// What kind of sticky cookie the request has.
    cookie: &'static str,
    /// How long ago a good cookie was sealed, in seconds.
    cookie_age_seconds: Option<u64>,
    /// Who comes after, in this order, should the server fail. Of a new visitor it is not known yet.
    next: Vec<String>,
    /// How a server is picked, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<&'static str>,
}

impl Explanation {
    fn new(view: &View, verdict: &Verdict, config: &Config, now: Time) -> Self {
        let name = |place: usize| view.server(place).map(|server| server.name.to_string());
        let chosen = if let Choice::Server(place) = verdict.choice { Some(place) } else { None };
        let mut tried: Vec<usize> = chosen.into_iter().collect();
        let mut after = Vec::new();
        while chosen.is_some()
            && let Some(place) = next(view, verdict.slot, &tried)
        {
            tried.push(place);
            after.extend(name(place));
        }
        Self {
            server: chosen.and_then(name),
            verdict: verdict.reason.as_str(),
            because: verdict.reason.explain(),
            cookie: verdict.presented.as_str(),
            cookie_age_seconds: verdict.ticket.map(|ticket| now.since(ticket.seen).as_secs()),
            next: after,
            balance: (verdict.choice == Choice::Balance).then(|| config.balance.as_str()),
        }
    }

    fn to_text(&self) -> String {
        let server = match (&self.server, self.balance) {
            (Some(server), _) => server.clone(),
            (None, Some(balance)) => format!("any that takes new visitors, by {balance}"),
            (None, None) => "none; the answer would be 503".to_owned(),
        };
        let cookie = match self.cookie_age_seconds {
            Some(age) => format!("{}, sealed {age} s ago", self.cookie),
            None => self.cookie.to_owned(),
        };
        let mut text = format!(
            "server   {server}\nverdict  {}\nbecause  {}\ncookie   {cookie}\n",
            self.verdict, self.because
        );
        if !self.next.is_empty() {
            text.push_str("then     ");
            text.push_str(&self.next.join(", "));
            text.push('\n');
        }
        // One key drawn for this question opens nothing that any balancer sealed.
        if self.verdict == Reason::Forged.as_str() {
            text.push_str(
                "hint     give the balancer's keys (--keys-file or ABIDE_KEYS) and pool\n",
            );
        }
        text
    }
}
