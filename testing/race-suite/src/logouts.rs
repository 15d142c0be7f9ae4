//! A logout is final, whatever else is on its way.
//!
//! The accident these races look for: a request loads the session, another one ends it, and the
//! first one's save brings it back.

use std::cell::Cell;
use std::time::Duration;

use crate::browser::{Ask, Browser, finished, get, joined, post};
use crate::course::{A, B, Course, is_nobody, is_user, pass};
use crate::race::{Kept, Round, Tally, ensure};
use crate::random::Random;
use crate::watch::Side;

/// Requests that change the session that they find.
const WRITERS: [&str; 6] =
    ["/set?k=late&v=1", "/count", "/renew", "/save", "/touch", "/login?v=somebody-else"];
/// Requests that change it and, where they find none, sign nobody in.
const HARMLESS_WRITERS: [&str; 5] = ["/set?k=late&v=1", "/count", "/renew", "/save", "/touch"];
/// Requests that only read.
const READERS: [&str; 2] = ["/get?k=user", "/me"];
/// Requests of five that write.
const WRITERS_OF_FIVE: usize = 3;
/// Rounds at once: as many as keep two processors busy.
const AT_ONCE: usize = 4;

/// A request that changes the session has loaded it; then the user signs out; then it goes on.
pub(crate) async fn a_logout_is_final_against_a_slow_writer(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let slow = [post(random.one_of(&WRITERS))];
        overtake(course, round, &slow, &[A]).await
    };
    course.play(AT_ONCE, play).await
}

/// The same with a request that only reads, which must not write back what it read.
pub(crate) async fn a_logout_is_final_against_a_slow_reader(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        is_user(&browser, &user).await?;
        let copy = browser.copied();
        let gate = course.gate();
        let slow = browser.hold(A, get(random.one_of(&READERS)), &gate).await?;
        log_out(&browser, A).await?;
        gate.open();
        let answer = finished(slow).await;
        ensure!(
            answer.body == user && !answer.sets_cookie,
            "the reader answers as if nothing had happened: {answer:?}"
        );
        if course.kept() >= Kept::Revocable {
            is_nobody(&copy).await?;
        }
        is_nobody(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// Five at once, some of which read and some of which write, on both servers.
pub(crate) async fn a_logout_is_final_against_five_slow_requests(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let mut slow: Vec<Ask> =
            (0..WRITERS_OF_FIVE).map(|_| post(random.one_of(&WRITERS))).collect();
        slow.extend(READERS.map(get));
        overtake(course, round, &slow, &[A, B]).await
    };
    course.play(AT_ONCE, play).await
}

/// The logout is answered by one server while a request is on its way through the other, which may
/// have a copy of the session.
pub(crate) async fn a_logout_on_one_server_holds_on_the_other(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        // The other server has seen the session, and may think that it knows it.
        is_user(&browser, &user).await?;
        let copy = browser.copied();
        let gate = course.gate();
        let slow = browser.hold(B, post(random.one_of(&WRITERS)), &gate).await?;
        log_out(&browser, A).await?;
        is_nobody(&copy).await?;
        gate.open();
        let answer = finished(slow).await;
        ensure!(!answer.sets_cookie, "a late writer sends a cookie: {answer:?}");
        is_nobody(&copy).await?;
        is_nobody(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// One of the slow request's own store calls is held, on its way or on its way back, until the
/// logout has been answered. Here the handler has long returned, and the commit has been decided.
pub(crate) async fn a_logout_is_final_whichever_store_call_it_overtakes(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        let copy = browser.copied();
        let gate = course.gate();
        let watch = course.watch(A);
        watch.hold(random.below(3), random.one_of(&[Side::Way, Side::WayBack]), gate.bar());
        let mut slow = browser.begin(A, post(random.one_of(&HARMLESS_WRITERS)));
        // A request may well have fewer calls than that, and is answered then.
        let answered = tokio::select! {
            answer = &mut slow => Some(joined(answer)),
            _ = gate.has_arrived(1) => None,
        };
        watch.hold_none();
        log_out(&browser, B).await?;
        gate.open();
        let answer = match answered {
            Some(answer) => answer,
            None => finished(slow).await,
        };
        ensure!(answer.status.is_success(), "the slow request is refused: {answer:?}");
        is_nobody(&copy).await?;
        is_nobody(&browser).await
    };
    course.play(1, play).await
}

/// The logout comes at a random moment of a slow request, most often near its end.
pub(crate) async fn a_logout_at_any_moment_is_final(course: &Course) -> Tally {
    course.shake();
    let edges = Edges::default();
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        let copy = browser.copied();
        let slow = match random.below(4) {
            0 => get(random.one_of(&READERS)),
            _ => post(random.one_of(&HARMLESS_WRITERS)),
        };
        collide(course, (&browser, slow), (&browser, post("/logout")), &edges, random).await?;
        is_nobody(&copy).await?;
        is_nobody(&browser).await
    };
    course.play(1, play).await
}

/// A user ends his other sessions, or somebody ends all of his, and in each a request is on its way.
pub(crate) async fn logging_out_everywhere_is_final_against_slow_writers(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let here = course.signed_in(&user).await?;
        let others = [course.signed_in(&user).await?, course.signed_in(&user).await?];
        let copies = [others[0].copied(), others[1].copied()];
        let gate = course.gate();
        let slow = [
            others[0].hold(A, post(random.one_of(&HARMLESS_WRITERS)), &gate).await?,
            others[1].hold(B, post(random.one_of(&HARMLESS_WRITERS)), &gate).await?,
            others[1].hold(A, get(random.one_of(&READERS)), &gate).await?,
        ];
        let asked_by_himself = random.below(2) == 0;
        if asked_by_himself {
            end_others(&here).await?;
        } else {
            end_all(course, &user).await?;
        }
        gate.open();
        for request in slow {
            let answer = finished(request).await;
            ensure!(
                answer.status.is_success() && !answer.sets_cookie,
                "a late request is refused or sends a cookie: {answer:?}"
            );
        }
        for other in others.iter().chain(&copies) {
            is_nobody(other).await?;
        }
        is_user(&here, if asked_by_himself { &user } else { "" }).await
    };
    course.play(AT_ONCE, play).await
}

/// The same, at a random moment.
pub(crate) async fn logging_out_everywhere_at_any_moment_is_final(course: &Course) -> Tally {
    course.shake();
    let edges = Edges::default();
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let here = course.signed_in(&user).await?;
        let other = course.signed_in(&user).await?;
        let copy = other.copied();
        let slow = post(random.one_of(&HARMLESS_WRITERS));
        collide(course, (&other, slow), (&here, post("/end-others")), &edges, random).await?;
        is_nobody(&copy).await?;
        is_nobody(&other).await?;
        is_user(&here, &user).await
    };
    course.play(1, play).await
}

/// Holds all the requests, on these servers in turn, until the user has signed out, and looks for
/// whoever is signed in afterwards.
async fn overtake(course: &Course, round: u32, slow: &[Ask], servers: &[usize]) -> Round {
    let browser = course.signed_in(&course.user(round)).await?;
    let copy = browser.copied();
    let gate = course.gate();
    let mut held = Vec::new();
    for (ask, server) in slow.iter().zip(servers.iter().cycle()) {
        held.push(browser.hold(*server, ask.clone(), &gate).await?);
    }
    log_out(&browser, A).await?;
    gate.open();
    for request in held {
        let answer = finished(request).await;
        ensure!(
            answer.status.is_success() && !answer.sets_cookie,
            "a late request is refused or sends a cookie: {answer:?}"
        );
    }
    is_nobody(&browser).await?;
    is_nobody(&copy).await
}

async fn log_out(browser: &Browser, server: usize) -> Round {
    let answer = browser.send(server, post("/logout")).await;
    ensure!(answer.status.is_success(), "a logout failed: {answer:?}");
    Ok(())
}

async fn end_others(browser: &Browser) -> Round {
    let answer = browser.send(A, post("/end-others")).await;
    ensure!(answer.status.is_success(), "ending the others failed: {answer:?}");
    Ok(())
}

async fn end_all(course: &Course, user: &str) -> Round {
    let answer = course.browser().send(B, post(format!("/end-all?v={user}"))).await;
    ensure!(answer.status.is_success(), "ending all failed: {answer:?}");
    Ok(())
}

/// Sends a slow request and one that ends its session, so that either may be the first to arrive
/// at what keeps the session.
async fn collide(
    course: &Course,
    (slow_browser, slow): (&Browser, Ask),
    (end_browser, end): (&Browser, Ask),
    edges: &Edges,
    random: &mut Random,
) -> Round {
    let [slow_server, end_server] = [random.one_of(&[A, B]), random.one_of(&[A, B])];
    let (mut slow, mut end, is_late) = if random.below(2) == 0 {
        // The slow request has read; it goes on about when the end arrives.
        let gate = course.gate();
        let slow = slow_browser.hold(slow_server, slow, &gate).await?;
        let end = end_browser.begin(end_server, end);
        pass(edges.gate_opens.draw(random)).await;
        (slow, end, false)
    } else {
        // Nothing is known of where the slow request is when the end is sent.
        let slow = slow_browser.begin(slow_server, slow.dawdling(random.below(16)));
        pass(edges.end_is_sent.draw(random)).await;
        (slow, end_browser.begin(end_server, end), true)
    };
    let (slow, end, slow_was_first) = tokio::select! {
        answer = &mut slow => (joined(answer), finished(end).await, true),
        answer = &mut end => (finished(slow).await, joined(answer), false),
    };
    if is_late {
        edges.end_is_sent.move_to(!slow_was_first);
    } else {
        edges.gate_opens.move_to(slow_was_first);
    }
    for answer in [slow, end] {
        ensure!(answer.status.is_success(), "a request is refused: {answer:?}");
    }
    Ok(())
}

/// The two moments that a collision is aimed by.
#[derive(Debug, Default)]
struct Edges {
    gate_opens: Edge,
    end_is_sent: Edge,
}

/// A moment near which two requests are answered in either order, found by trying.
#[derive(Debug)]
struct Edge {
    after_ns: Cell<u32>,
}

impl Edge {
    /// A moment that is as often before the edge as after it.
    fn draw(&self, random: &mut Random) -> Duration {
        Duration::from_nanos(u64::from(random.below(self.after_ns.get().saturating_mul(2))))
    }

    /// Moves the edge a little, to a later moment or an earlier one.
    fn move_to(&self, later: bool) {
        let after_ns = self.after_ns.get();
        let step = after_ns / 16 + 1;
        let after_ns = if later { after_ns + step } else { after_ns - step };
        self.after_ns.set(after_ns.clamp(EDGE_MIN_NS, EDGE_MAX_NS));
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self { after_ns: Cell::new(EDGE_START_NS) }
    }
}

/// Where the search begins: a request takes about so long.
const EDGE_START_NS: u32 = 200_000;
/// Sending a request takes longer than this.
const EDGE_MIN_NS: u32 = 1_000;
/// No request takes longer than this to wait for nobody.
const EDGE_MAX_NS: u32 = 50_000_000;
