//! What one decision costs: from the fields of a request to the verdict and the cookie to write.
//!
//! `cargo bench -p abide-affinity`. The balancer does this once per request.

use std::hint::black_box;

use abide_affinity::{
    Admin, Algorithm, Balancer, CookieAction, Lifetime, OnLost, Request, Server, ServerName,
    Source, Sources, Sticky, Ticket, View, decide,
};
use abide_cookie::CookieName;
use abide_keys::{Key, KeyRing};
use abide_time::Time;
use divan::{AllocProfiler, Bencher};

/// Shows that a good sticky cookie allocates nothing.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const NOW: Time = Time::from_secs(1_800_000_000);
const POOL_SIZES: [usize; 2] = [3, 200];

fn main() {
    divan::main();
}

/// A good cookie among others, as a returning visitor has it.
#[divan::bench(args = POOL_SIZES)]
fn sticky_cookie(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = Pool::new(servers, &["sticky", "cookie:sid"]);
    let cookie = format!("theme=dark; __Host-abide={}; lang=en", pool.cookie(servers / 2));
    bencher.bench(|| pool.request(black_box(&cookie)));
}

/// A cookie of the right shape that does not open.
#[divan::bench(args = POOL_SIZES)]
fn forged_cookie(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = Pool::new(servers, &["sticky"]);
    let mut value = pool.cookie(0);
    value.replace_range(60..62, "xx");
    let cookie = format!("__Host-abide={value}");
    bencher.bench(|| pool.request(black_box(&cookie)));
}

/// No cookie at all: the decision, the balancer's pick, and the ticket.
#[divan::bench(args = POOL_SIZES)]
fn new_visitor(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = Pool::new(servers, &["sticky", "cookie:sid"]);
    let mut balancer = Balancer::new(Algorithm::SmoothWeightedRoundRobin);
    bencher.bench_local(|| {
        let action = pool.request(black_box("theme=dark"));
        (action, balancer.pick(&pool.view, &[], 7))
    });
}

/// A session id in the application's cookie, whose slot has been asked for before.
#[divan::bench(args = POOL_SIZES)]
fn owner_by_id(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = Pool::new(servers, &["cookie:sid"]);
    let cookie = "theme=dark; sid=1a2zzzzzzzzzzzzzzzzzzzzzzzzzzz; lang=en";
    bencher.bench(|| pool.request(black_box(cookie)));
}

/// Sealing a ticket: once per visitor, and once per quarter of the idle time.
#[divan::bench]
fn seal(bencher: Bencher<'_, '_>) {
    let pool = Pool::new(3, &["sticky"]);
    bencher.bench(|| pool.cookie(black_box(1)));
}

/// The first request of a slot after the list of servers has changed.
#[divan::bench(args = POOL_SIZES)]
fn first_owner_of_a_slot(bencher: Bencher<'_, '_>, servers: usize) {
    let pool = Pool::new(servers, &["sticky"]);
    let slot = abide_slots::slot_of_id(b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzzz");
    bencher.bench(|| abide_slots::first_owners::<4>(black_box(slot), pool.members()));
}

struct Pool {
    view: View,
    sources: Sources,
    names: Vec<String>,
}

impl Pool {
    fn new(servers: usize, sources: &[&str]) -> Self {
        let names: Vec<String> = (0..servers).map(|number| format!("server-{number}")).collect();
        let of_name = |name: &String| Server {
            admin: Admin::Ready,
            ..Server::new(ServerName::new(name).expect("a server name"))
        };
        let view = View::new(names.iter().map(of_name).collect(), OnLost::Move);
        let name = CookieName::new("__Host-abide").expect("a cookie name");
        let ring = KeyRing::new(vec![Key::new([7; 32])]).expect("a ring of one key");
        let sticky = Sticky::new("shop", name, ring, Lifetime::default());
        let order: Vec<Source> =
            sources.iter().map(|source| source.parse().expect("a source")).collect();
        Self {
            view: view.expect("unique names"),
            sources: Sources::new(order, Some(sticky)).expect("sources"),
            names,
        }
    }

    fn cookie(&self, place: usize) -> String {
        let server = self.view.tag_of(place).expect("a place of the view");
        let ticket = Ticket { server, created: NOW, seen: NOW, visitor: 5, with_old_key: false };
        self.sources.sticky().expect("a sticky source").seal(&ticket, [9; Sticky::NONCE_BYTES])
    }

    fn request(&self, cookie: &str) -> Option<CookieAction> {
        let request = Request {
            target: "/basket?item=5",
            cookies: &[cookie.as_bytes()],
            header: &|_| None,
            client: None,
        };
        let keys = self.sources.keys(&request, NOW);
        let verdict = decide(&self.view, &keys, NOW, 5);
        let sticky = self.sources.sticky()?;
        Some(sticky.after(&self.view, &verdict, self.names.len() / 2, NOW))
    }

    fn members(&self) -> impl Iterator<Item = abide_slots::Member<'_>> {
        self.names.iter().map(|name| abide_slots::Member::new(name, 1).expect("a member"))
    }
}
