//! What a race is played on: servers that share what keeps the sessions, and who counts.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use abide::{SessionLayer, Store};
use futures_util::StreamExt;

use crate::app;
use crate::browser::{Browser, get, post};
use crate::connections::Connections;
use crate::gate::{Gate, Gates};
use crate::race::{Bad, Kept, Round, Tally, ensure};
use crate::random::Random;
use crate::watch::{Watch, Watched};

/// Two servers that are well.
pub(crate) const A: usize = 0;
/// The other one.
pub(crate) const B: usize = 1;
/// A server that is well until a race says otherwise.
pub(crate) const SHAKY: usize = 2;
/// A server that no answer of the store reaches, and that does not wait long for it.
pub(crate) const CUT_OFF: usize = 3;
const SERVERS: usize = 4;

/// How long the server waits that is cut off from the store. What it waits for never comes, so this
/// can not be too short.
const CUT_OFF_TIMEOUT: Duration = Duration::from_millis(50);

/// One of the servers that need a session layer.
#[derive(Debug)]
pub struct Server {
    number: usize,
    watch: Watch,
}

impl Server {
    /// Which of them it is; they count from 0.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// The store to give to the layer of this server in place of this one, so that the suite can
    /// count its calls, hold one, or be an outage.
    pub fn watch<S: Store>(&self, store: S) -> Watched<S> {
        self.watch.over(store)
    }
}

/// What a race is played on.
#[derive(Debug)]
pub(crate) struct Course {
    kept: Kept,
    servers: Arc<[Connections]>,
    watches: Vec<Watch>,
    gates: Arc<Gates>,
    rounds: u32,
    seed: u64,
}

impl Course {
    pub(crate) async fn open(
        kept: Kept,
        make: impl Fn(&Server) -> SessionLayer,
        rounds: u32,
    ) -> Self {
        let seed = number_in("ABIDE_RACE_SEED")
            .unwrap_or_else(|| RandomState::new().hash_one("a seed") >> 16);
        let gates = Arc::<Gates>::default();
        let (mut servers, mut watches) = (Vec::new(), Vec::new());
        for number in 0..SERVERS {
            let server = Server { number, watch: Watch::new() };
            let mut layer = make(&server);
            if number == CUT_OFF {
                layer = layer.store_timeout(CUT_OFF_TIMEOUT);
            }
            let address = app::serve(layer, Arc::clone(&gates)).await;
            servers.push(Connections::to(address));
            watches.push(server.watch);
        }
        let course = Self { kept, servers: servers.into(), watches, gates, rounds, seed };
        course.check().await;
        course
    }

    pub(crate) const fn kept(&self) -> Kept {
        self.kept
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.servers)
    }

    /// A gate at which requests of any server can wait.
    pub(crate) fn gate(&self) -> Gate {
        self.gates.build()
    }

    /// The store calls of a server.
    pub(crate) fn watch(&self, server: usize) -> &Watch {
        self.watches.get(server).expect("there are as many servers as races use")
    }

    /// Calls that changed something in the store, of all servers.
    pub(crate) fn writes(&self) -> u64 {
        self.watches.iter().map(Watch::writes).sum()
    }

    /// Lets other tasks go first around every store call, at random.
    pub(crate) fn shake(&self) {
        for (server, watch) in (0..).zip(&self.watches) {
            watch.shake(self.seed ^ server);
        }
    }

    /// Plays all rounds, so many at once; each has its number and numbers of its own to draw.
    pub(crate) async fn play(
        &self,
        at_once: usize,
        round: impl AsyncFn(u32, &mut Random) -> Round,
    ) -> Tally {
        let round = &round;
        let outcomes = (0..self.rounds).map(|number| async move {
            let mut random = Random::of_round(self.seed, number);
            (number, round(number, &mut random).await)
        });
        let mut tally = Tally::default();
        let mut outcomes = futures_util::stream::iter(outcomes).buffer_unordered(at_once);
        while let Some((number, outcome)) = outcomes.next().await {
            if let Err(what) = outcome {
                tally.bad += 1;
                if tally.first.as_ref().is_none_or(|(first, _)| number < *first) {
                    tally.first = Some((number, what));
                }
            }
        }
        tally
    }

    /// Finds out whether the suite sees the store at all.
    async fn check(&self) {
        let browser = self.browser();
        browser.send(A, post("/login?v=starter")).await;
        let answer = browser.send(B, get("/me")).await;
        assert_eq!(answer.body, "starter", "two servers do not share what keeps the sessions");
        if self.kept >= Kept::Revocable {
            assert!(
                self.watch(B).calls() > 0,
                "the layer of a server has to stand on `server.watch(store)`"
            );
        }
    }
}

/// What races say again and again.
impl Course {
    /// A user whom no other round has.
    pub(crate) fn user(&self, round: u32) -> String {
        format!("user-{:x}-{round}", self.seed)
    }

    /// A browser in which this user is signed in.
    pub(crate) async fn signed_in(&self, user: &str) -> Result<Browser, Bad> {
        let browser = self.browser();
        let answer = browser.send(A, post(format!("/login?v={user}"))).await;
        ensure!(answer.status.is_success(), "a sign-in failed: {answer:?}");
        Ok(browser)
    }
}

/// Makes sure that this user is signed in, wherever one asks.
pub(crate) async fn is_user(browser: &Browser, user: &str) -> Round {
    for server in [B, A] {
        let answer = browser.send(server, get("/me")).await;
        ensure!(
            answer.status.is_success() && answer.body == user,
            "{user:?} should be signed in, server {server} says {answer:?}"
        );
    }
    Ok(())
}

/// Makes sure that nobody is signed in, wherever one asks.
pub(crate) async fn is_nobody(browser: &Browser) -> Round {
    is_user(browser, "").await
}

/// Makes sure that a field holds this, wherever one asks.
pub(crate) async fn holds(browser: &Browser, field: &str, value: &str) -> Round {
    for server in [B, A] {
        let answer = browser.send(server, get(format!("/get?k={field}"))).await;
        ensure!(
            answer.status.is_success() && answer.body == value,
            "{field} should hold {value:?}, server {server} says {answer:?}"
        );
    }
    Ok(())
}

/// The number in an environment variable, if there is one.
pub(crate) fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Lets others go first until so much time has passed.
pub(crate) async fn pass(time: Duration) {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < time {
        tokio::task::yield_now().await;
    }
}
