//! Random days in the life of a pool: whatever happens to servers, and whichever of two balancers is
//! asked, a visitor stays where he is for as long as his server may keep him, and goes only where
//! visitors may go.

use std::time::Duration;

use abide_affinity::{
    Admin, Algorithm, Balancer, Choice, CookieAction, Health, Lifetime, OnLost, Reason, Request,
    Server, Source, Sources, Sticky, View, decide,
};
use abide_cookie::CookieName;
use abide_keys::{Key, KeyRing};
use abide_time::Time;
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Clone, Debug)]
enum Event {
    /// The server of this name goes, or comes back.
    List(usize),
    Set(usize, Admin, Health),
    /// Ready, and drained from now on.
    Drain(usize, Duration),
    /// Which visitor asks which balancer.
    Ask(usize, usize),
    Wait(Duration),
}

fn event() -> impl Strategy<Value = Event> {
    let health = prop_oneof![Just(Health::Up), Just(Health::Down)];
    let admin = prop_oneof![Just(Admin::Ready), Just(Admin::Maintenance)];
    let span = (0_u64..20).prop_map(Duration::from_secs);
    prop_oneof![
        1 => (0..NAMES.len()).prop_map(Event::List),
        2 => (0..NAMES.len(), admin, health).prop_map(|(name, admin, health)| Event::Set(name, admin, health)),
        1 => (0..NAMES.len(), span.clone()).prop_map(|(name, span)| Event::Drain(name, span)),
        10 => (0_usize..3, 0_usize..2).prop_map(|(visitor, balancer)| Event::Ask(visitor, balancer)),
        1 => span.prop_map(Event::Wait),
    ]
}

struct Pool {
    now: Time,
    servers: Vec<(Server, bool)>,
    sources: Sources,
    balancers: [Balancer; 2],
    /// Cookie and home of each visitor.
    visitors: [Option<(String, Server)>; 3],
    asked: u32,
}

impl Pool {
    fn new() -> Self {
        let ring = KeyRing::new(vec![Key::new([7; Key::BYTES])]).expect("a key ring");
        let name = CookieName::new("abide").expect("a cookie name");
        let sticky = Sticky::new("shop", name, ring, Lifetime::default());
        let server = |name: &str| (Server::new(name.parse().expect("a server name")), true);
        Self {
            now: Time::from_secs(1_800_000_000),
            servers: NAMES.map(server).to_vec(),
            sources: Sources::new(vec![Source::Sticky], Some(sticky)).expect("sources"),
            balancers: [Algorithm::SmoothWeightedRoundRobin, Algorithm::LeastConnections]
                .map(Balancer::new),
            visitors: [const { None }; 3],
            asked: 0,
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::List(name) => self.servers[*name].1 = !self.servers[*name].1,
            Event::Set(name, admin, health) => {
                let server = &mut self.servers[*name].0;
                (server.admin, server.health) = (*admin, *health);
            }
            Event::Drain(name, span) => {
                self.servers[*name].0.admin = Admin::Draining { until: self.now.after(*span) };
            }
            Event::Wait(span) => self.now = self.now.after(*span),
            Event::Ask(visitor, balancer) => self.ask(*visitor, *balancer)?,
        }
        Ok(())
    }

    fn ask(&mut self, visitor: usize, balancer: usize) -> Result<(), TestCaseError> {
        self.asked += 1;
        let mut servers = self.listed();
        if balancer == 1 {
            servers.reverse();
        }
        let view = View::new(servers, OnLost::Move).expect("different names");
        let field = match &self.visitors[visitor] {
            Some((cookie, _)) => format!("abide={cookie}"),
            None => String::new(),
        };
        let request =
            Request { target: "/", cookies: &[field.as_bytes()], header: &|_| None, client: None };
        let keys = self.sources.keys(&request, self.now);
        let verdict = decide(&view, &keys, self.now, self.asked);
        let place = match verdict.choice {
            Choice::Server(place) => Some(place),
            Choice::Balance => {
                let picked = self.balancers[balancer].pick(&view, &[], self.asked.into());
                prop_assert!(picked.is_some(), "the verdict promised a server");
                picked
            }
            Choice::Nobody => None,
        };
        let answered_by = place.and_then(|place| view.server(place));
        self.check(visitor, answered_by, verdict.reason)?;
        if let (Some(place), Some(server), Some(sticky)) =
            (place, answered_by, self.sources.sticky())
        {
            match sticky.after(&view, &verdict, place, self.now) {
                CookieAction::Keep => prop_assert_eq!(verdict.reason, Reason::Sticky),
                CookieAction::Write(ticket) => {
                    let cookie = sticky.seal(&ticket, [0; Sticky::NONCE_BYTES]);
                    self.visitors[visitor] = Some((cookie, server.clone()));
                }
            }
        }
        Ok(())
    }

    fn listed(&self) -> Vec<Server> {
        let listed = self.servers.iter().filter(|(_, is_listed)| *is_listed);
        listed.map(|(server, _)| server.clone()).collect()
    }

    fn check(
        &self,
        visitor: usize,
        answered_by: Option<&Server>,
        reason: Reason,
    ) -> Result<(), TestCaseError> {
        let servers = self.listed();
        let at_home = self.visitors[visitor].as_ref().and_then(|(_, home)| {
            servers.iter().find(|server| server.name == home.name && server.keeps(self.now))
        });
        match (at_home, answered_by) {
            (Some(home), _) => {
                prop_assert_eq!(answered_by, Some(home));
                prop_assert_eq!(reason, Reason::Sticky);
            }
            (None, Some(server)) => {
                prop_assert!(server.takes_new());
                let is_new = self.visitors[visitor].is_none();
                let fits = if is_new { reason == Reason::New } else { reason.is_move() };
                prop_assert!(fits, "{} {}", visitor, reason);
            }
            (None, None) => {
                prop_assert!(!servers.iter().any(Server::takes_new));
                prop_assert_eq!(reason, Reason::None);
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn visitors_stay_as_long_as_they_may_and_go_only_where_they_may(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut pool = Pool::new();
        for event in &events {
            pool.happen(event)?;
        }
    }
}
