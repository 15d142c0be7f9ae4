//! A client: a browser whose user remembers what was acknowledged.

mod audit;
mod ending;
mod renewal;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::browser::{Answer, Browser, Cookies};
use crate::known::{Pass, Random, SESSION_COOKIE, Session, UNSAFE_FOR, Verdict, Whence};
use crate::places::{Orders, Place, Places};
use crate::tally::{Counts, HUNG, Tally, Way};
use ending::Ended;

/// The longest that a client thinks before it asks again; half as long on average. 24 of them ask some
/// 600 times a second, which leaves two processors time for the servers.
const THOUGHT_MS: u64 = 80;
/// How often a client of whose session an older id is good uses that one, as a browser does whose requests
/// were on their way already, in percent.
const BY_AN_OLD_ID: usize = 30;

/// One of them.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    random: Random,
    browser: Browser,
    cookies: Cookies,
    places: Arc<Places>,
    orders: Arc<Orders>,
    tally: Arc<Tally>,
    sign_ins: u64,
    session: Option<Session>,
    /// Sessions of which an answer was wrong. Nothing is written to them, so an audit can tell what is
    /// lost from what was only late.
    suspects: Vec<Session>,
    ended: Vec<Ended>,
    audits: u64,
    way: Way,
    /// When all servers were last killed at once, as far as it has heard.
    killed_all: Option<Instant>,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        seed: u64,
        places: Arc<Places>,
        orders: Arc<Orders>,
        tally: Arc<Tally>,
    ) -> Self {
        let mixed = seed.wrapping_mul(1_000).wrapping_add(u64::try_from(number).unwrap_or(0));
        Self {
            number,
            random: Random::new(mixed),
            browser: Browser::default(),
            cookies: Cookies::new(),
            places,
            orders,
            tally,
            sign_ins: 0,
            session: None,
            suspects: Vec::new(),
            ended: Vec::new(),
            audits: 0,
            way: Way::default(),
            killed_all: None,
        }
    }

    /// Goes on until all is over.
    pub(crate) async fn work(mut self) -> Self {
        self.choose_way();
        while !self.orders.is_over.load(Ordering::Relaxed) {
            // Not in step with each other: a blow has to meet them at anything that they do.
            let due = Instant::now() + Duration::from_millis(self.random.next() % THOUGHT_MS);
            sleep_until(due).await;
            self.tally.behind(due.elapsed());
            self.forget_the_last_moment();
            let audits = self.orders.audits.load(Ordering::Relaxed);
            if audits > self.audits {
                self.audits = audits;
                self.audit().await;
                self.choose_way();
                self.orders.audited.fetch_add(1, Ordering::Relaxed);
            }
            self.step().await;
        }
        self
    }

    /// Half of the clients go one way until the next audit, and half the other: a client that the
    /// balancer keeps waiting could not say how long servers do.
    fn choose_way(&mut self) {
        self.way = if self.random.below(2) == 0 { Way::Balanced } else { Way::Direct };
        self.tally.takes(self.number, self.way);
    }

    /// All servers were killed in one moment: what was acknowledged just before it may be on no disk.
    fn forget_the_last_moment(&mut self) {
        let killed_all = self.places.killed_all();
        if killed_all == self.killed_all {
            return;
        }
        self.killed_all = killed_all;
        let Some(from) = killed_all.and_then(|at| at.checked_sub(UNSAFE_FOR)) else { return };
        self.session = self.session.take().filter(|session| session.named.at < from);
        self.suspects.retain(|session| session.named.at < from);
        for session in self.session.iter_mut().chain(&mut self.suspects) {
            session.fields.iter_mut().for_each(|field| field.forget(from));
        }
        self.ended.retain(|ended| ended.at < from);
    }

    async fn step(&mut self) {
        let session = self.session.take().filter(|session| session.pass().is_good());
        let Some(session) = session else { return self.sign_in().await };
        let is_full = session.is_full();
        match self.random.below(100) {
            _ if is_full => self.sign_out(session).await,
            0..46 => self.write(session).await,
            46..80 => self.read(session).await,
            80..86 => self.look_who(session).await,
            86..89 => self.sign_out(session).await,
            89..93 if session.can_be_renewed() => self.renew(session).await,
            _ => {
                self.session = Some(session);
                self.try_an_ended_one().await;
            }
        }
    }

    async fn sign_in(&mut self) {
        self.sign_ins += 1;
        let user = format!("u{}-{}", self.number, self.sign_ins);
        self.cookies.remove(SESSION_COOKIE);
        // If the answer is lost nobody knows the session's name, and it is nobody's.
        let target = format!("/api/login?user={user}");
        let Some((answer, whence)) = self.ask(Method::POST, &target).await else { return };
        match self.cookies.get(SESSION_COOKIE) {
            Some(id) if answer.text("user").as_deref() == Some(user.as_str()) => {
                self.session = Some(Session::new(user, id.clone(), whence));
                self.acknowledged();
            }
            _ => {
                let what = format!("{user} signed in and is told {answer:?}");
                self.wrong(|counts| &mut counts.invented, &what);
            }
        }
    }

    async fn write(&mut self, mut session: Session) {
        let (place, number) = session.next_write(self.random.below(usize::MAX));
        let target = format!("/api/set?k={}&v={number}", Session::name(place));
        let pass = self.any_pass(&session);
        let Some((_, whence)) = self.ask_by(&pass, Method::POST, &target).await else {
            self.session = Some(session);
            return;
        };
        if self.has_lost(&pass) {
            return self.miss(session, &whence, "a write got another session");
        }
        session.fields[place].acknowledge(whence);
        self.acknowledged();
        self.session = Some(session);
    }

    async fn read(&mut self, mut session: Session) {
        let place = self.random.below(session.fields.len());
        let target = format!("/api/get?k={}", Session::name(place));
        let pass = self.any_pass(&session);
        let answered = self.ask_by(&pass, Method::GET, &target).await;
        let Some((answer, whence)) = answered else { return self.session = Some(session) };
        if self.has_lost(&pass) {
            return self.miss(session, &whence, "a read took the cookie back");
        }
        let number = number_in(&answer);
        let known = session.fields[place].clone();
        match session.fields[place].see(number, whence.clone()) {
            Verdict::Right => self.session = Some(session),
            Verdict::Old => {
                let what = format!("n{place} is {number} {whence}, known is {known}");
                let is_of_the_other_side = known.is_known_beyond_the_cut(&whence)
                    || session.named.whence.is_beyond_the_cut(&whence);
                self.suspect(session, is_of_the_other_side, &what);
            }
            Verdict::Invented => {
                let what = format!("n{place} is {number} {whence}, known is {known}");
                self.wrong(|counts| &mut counts.invented, &what);
            }
        }
    }

    async fn look_who(&mut self, session: Session) {
        let pass = self.any_pass(&session);
        let Some((answer, whence)) = self.ask_by(&pass, Method::GET, "/api/me").await else {
            return self.session = Some(session);
        };
        let is_user = answer.text("user").as_deref() == Some(session.user.as_str());
        if is_user && !self.has_lost(&pass) {
            self.session = Some(session);
        } else {
            self.miss(session, &whence, "no user");
        }
    }

    /// Most often the id that a session has.
    fn any_pass(&mut self, session: &Session) -> Pass {
        let mut passes = session.passes();
        if passes.len() > 1 && self.random.below(100) < BY_AN_OLD_ID {
            return passes.swap_remove(1 + self.random.below(passes.len() - 1));
        }
        session.pass()
    }

    /// Asks as the browser that this is, anywhere, by an id of its session. None if the outcome is unknown, as is
    /// what comes when that id is good no more.
    async fn ask_by(
        &mut self,
        pass: &Pass,
        method: Method,
        target: &str,
    ) -> Option<(Answer, Whence)> {
        self.cookies.append(&mut pass.cookies());
        self.ask(method, target).await.filter(|_| pass.is_good())
    }

    /// Asks as the browser that this is, anywhere. None if the outcome is unknown.
    async fn ask(&mut self, method: Method, target: &str) -> Option<(Answer, Whence)> {
        let address = self.any_place();
        let cookies = self.cookies.clone();
        let answer = self.ask_as(&cookies, address, method, target).await.ok()?;
        answer.give_cookies(&mut self.cookies);
        let whence = self.whence(address, &answer);
        Some((answer, whence))
    }

    /// Asks and counts how that fared. An answer that is not good is an error.
    async fn ask_as(
        &mut self,
        cookies: &Cookies,
        address: SocketAddr,
        method: Method,
        target: &str,
    ) -> Result<Answer, ()> {
        let begin = Instant::now();
        self.tally.asks(self.number, begin);
        let asked = self.browser.ask(address, method, target, cookies).await;
        let took = begin.elapsed();
        let is_balancer = address == self.places.balancer;
        let kind = match &asked {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("status {}", answer.status)),
            Err(kind) => Some((*kind).to_owned()),
        };
        if took > HUNG {
            let client = self.number;
            let kind = kind.as_deref().unwrap_or("good");
            let name = self.places.name(address);
            let ms = took.as_millis();
            self.tally
                .tell_slow(&format!("client {client}: {target} at {name} took {ms} ms: {kind}"));
        }
        self.tally.count(|counts| {
            counts.requests += 1;
            counts.hung += u64::from(took > HUNG);
            if let Some(kind) = &kind {
                let via = if is_balancer { "through the balancer" } else { "directly" };
                *counts.errors.entry(format!("{kind} {via}")).or_default() += 1;
            }
        });
        match asked {
            Ok(answer) if answer.status == 200 => {
                let served_by = answer.text("server").filter(|_| is_balancer);
                self.tally.good(self.number, begin, served_by);
                Ok(answer)
            }
            _ => Err(()),
        }
    }

    /// Where it asks next.
    fn any_place(&mut self) -> SocketAddr {
        let open = self.open_places();
        let is_cut = self.places.cut().is_some();
        if open.is_empty() || (self.way == Way::Balanced && !is_cut) {
            return self.places.balancer;
        }
        open[self.random.below(open.len())]
    }

    /// Servers that can be asked: during a cut those of this client's side.
    fn open_places(&self) -> Vec<SocketAddr> {
        let is_cut = self.places.cut().is_some();
        let is_far = !self.number.is_multiple_of(2);
        let open = |place: &&Place| {
            place.is_open.load(Ordering::Relaxed)
                && (!is_cut || place.is_far.load(Ordering::Relaxed) == is_far)
        };
        self.places.servers.iter().filter(open).map(|place| place.address).collect()
    }

    fn whence(&self, address: SocketAddr, answer: &Answer) -> Whence {
        let server = answer.text("server").unwrap_or_default();
        let (is_balanced, side) = (address == self.places.balancer, self.places.side(&server));
        Whence { server, is_balanced, side }
    }

    /// Whether the browser has the cookie no more that it came with. A sign-out without it would end nothing.
    fn has_lost(&self, pass: &Pass) -> bool {
        self.cookies.get(SESSION_COOKIE) != Some(&pass.id)
    }

    fn acknowledged(&self) {
        self.tally.count(|counts| counts.acknowledged += 1);
    }

    /// A session was not there.
    fn miss(&mut self, session: Session, whence: &Whence, what: &str) {
        let what = format!("{what} {whence}, it has {}", session.named);
        let is_of_the_other_side = session.named.whence.is_beyond_the_cut(whence);
        self.suspect(session, is_of_the_other_side, &what);
    }

    /// An answer lacked what was acknowledged, perhaps by the other side of a cut: what becomes of the session,
    /// the next audit says.
    fn suspect(&mut self, session: Session, is_of_the_other_side: bool, what: &str) {
        if is_of_the_other_side {
            self.tally.count(|counts| counts.stale_cut += 1);
        } else {
            self.wrong(
                |counts| &mut counts.stale,
                &format!("{} in slot {}: {what}", session.user, session.slot()),
            );
        }
        self.suspects.push(session);
    }

    fn wrong(&self, what: impl FnOnce(&mut Counts) -> &mut u64, story: &str) {
        self.tally.count(|counts| *what(counts) += 1);
        self.tally.tell(story);
    }
}

/// The number that a field holds: 0 if it is not there.
fn number_in(answer: &Answer) -> u64 {
    match answer.json("value") {
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::String(text) => text.parse().unwrap_or(0),
        _ => 0,
    }
}
