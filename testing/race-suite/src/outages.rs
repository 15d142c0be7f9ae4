//! The store does not do what it should.
//!
//! The accidents: an error is taken for "no session", and everybody is signed out; a new session is
//! written over the one that could not be read; or pages fail that need no session.

use futures_util::future::join_all;

use crate::browser::{Answer, Browser, finished, get, post};
use crate::course::{A, B, CUT_OFF, Course, SHAKY, holds, is_user};
use crate::race::{Kept, Round, Tally, ensure};
use crate::random::Random;
use crate::watch::Outage;

/// Rounds at once that wait for a store that hangs: they wait together.
const HANGING_AT_ONCE: usize = 50;
/// Pages that count, and where to see what they counted.
const COUNTERS: [(&str, &str); 4] =
    [("/count", "/count"), ("/save", "/count"), ("/add", "/add"), ("/add?saved=true", "/add")];

/// The store says that it is unavailable, to requests that come then and to one that has begun
/// before.
pub(crate) async fn an_outage_signs_nobody_out_and_overwrites_nothing(course: &Course) -> Tally {
    let play = async |round, _: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        browser.send(A, post("/set?k=a&v=before")).await;
        let gate = course.gate();
        let writer = browser.hold(SHAKY, post("/set?k=a&v=during"), &gate).await?;
        course.watch(SHAKY).set_outage(Some(Outage::Refuses));
        let fared = fare(course, &browser, SHAKY).await;
        gate.open();
        let writer = finished(writer).await;
        course.watch(SHAKY).set_outage(None);
        fared?;
        is_refused(&writer)?;
        is_user(&browser, &user).await?;
        holds(&browser, "a", "before").await?;
        let answer = browser.send(SHAKY, get("/me")).await;
        ensure!(answer.body == user, "the server does not recover: {answer:?}");
        Ok(())
    };
    course.play(1, play).await
}

/// The store does not say anything.
pub(crate) async fn a_store_that_hangs_signs_nobody_out(course: &Course) -> Tally {
    course.watch(CUT_OFF).set_outage(Some(Outage::Hangs));
    let play = async |round, _: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        browser.send(A, post("/set?k=a&v=before")).await;
        fare(course, &browser, CUT_OFF).await?;
        is_user(&browser, &user).await?;
        holds(&browser, "a", "before").await
    };
    course.play(HANGING_AT_ONCE, play).await
}

/// The store does what it is told, and nobody hears of it.
pub(crate) async fn an_answer_lost_on_the_way_loses_and_repeats_nothing(course: &Course) -> Tally {
    let watch = course.watch(SHAKY);
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        watch.set_outage(Some(Outage::LosesAnAnswer));
        let answer = browser.send(SHAKY, post("/set?k=a&v=1")).await;
        if answer.status.is_success() {
            holds(&browser, "a", "1").await?;
        } else {
            is_refused(&answer)?;
        }

        let (page, count) = random.one_of(&COUNTERS);
        watch.set_outage(Some(Outage::LosesAnAnswer));
        let increment = browser.send(SHAKY, post(page)).await;
        watch.set_outage(None);
        let counted = browser.send(B, get(count)).await;
        let is_right = match counted.body.as_str() {
            "1" => true,
            "0" => !increment.status.is_success(),
            _ => false,
        };
        ensure!(is_right, "{page}, answered by {increment:?}, is then {counted:?}");

        // Whoever was refused tries again.
        is_user(&browser, &user).await?;
        let answer = browser.send(A, post("/set?k=a&v=2")).await;
        ensure!(answer.status.is_success(), "the second try is refused: {answer:?}");
        holds(&browser, "a", "2").await
    };
    course.play(1, play).await
}

/// How requests have to fare at a server whose store does not answer.
async fn fare(course: &Course, browser: &Browser, server: usize) -> Round {
    let visitor = course.browser();
    let untouched = [browser.begin(server, get("/plain")), visitor.begin(server, get("/plain"))];
    let mut needy = vec![
        browser.begin(server, get("/me")),
        browser.begin(server, post("/set?k=a&v=lost")),
        browser.begin(server, post("/login?v=somebody-else")),
        browser.begin(server, post("/logout")),
    ];
    if course.kept() == Kept::Store {
        needy.push(visitor.begin(server, post("/login?v=somebody-new")));
    }
    for answer in join_all(untouched.map(finished)).await {
        ensure!(
            answer.status.is_success() && !answer.sets_cookie,
            "a page that needs no session: {answer:?}"
        );
    }
    for answer in join_all(needy.into_iter().map(finished)).await {
        is_refused(&answer)?;
    }
    Ok(())
}

/// Makes sure that a request was told to come back, and its browser nothing about cookies.
fn is_refused(answer: &Answer) -> Round {
    ensure!(
        answer.status == http::StatusCode::SERVICE_UNAVAILABLE
            && answer.says_when_to_retry
            && !answer.sets_cookie,
        "a request that needs the store should be told to come back: {answer:?}"
    );
    Ok(())
}
