//! Concurrent requests of one session lose nothing.
//!
//! The accident: each loads the session, changes its own part of it, and saves the whole.

use futures_util::future::join_all;

use crate::browser::{Answer, Ask, Browser, finished, get, post};
use crate::course::{A, B, Course, holds, is_user};
use crate::race::{Bad, Round, Tally, ensure};
use crate::random::Random;

/// Increments of one field at once.
const INCREMENTS: u32 = 20;
/// Writers of different fields at once.
const WRITERS: u32 = 4;
/// Requests that want one value or one work at once.
const TAKERS: usize = 6;
/// Rounds at once, as many as keep two processors busy.
const AT_ONCE: usize = 4;
/// Rounds at once in which one server waits for the other, by pauses.
const WAITING_AT_ONCE: usize = 16;

/// Both have loaded the session before either saves it.
pub(crate) async fn two_writers_of_different_fields_both_keep_theirs(course: &Course) -> Tally {
    let play = async |round, _: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        for field in ["a", "b"] {
            browser.send(A, post(format!("/set?k={field}&v=before"))).await;
        }
        let gate = course.gate();
        let one = browser.hold(A, post("/set?k=a&v=one"), &gate).await?;
        let two = browser.hold(B, post("/set?k=b&v=two"), &gate).await?;
        gate.open();
        for answer in [finished(one).await, finished(two).await] {
            ensure!(answer.status.is_success(), "a writer is refused: {answer:?}");
        }
        holds(&browser, "a", "one").await?;
        holds(&browser, "b", "two").await?;
        is_user(&browser, &course.user(round)).await
    };
    course.play(AT_ONCE, play).await
}

/// A request that only reads has loaded the session before another one changes it, and is answered
/// after that.
pub(crate) async fn a_writer_beside_a_reader_keeps_what_it_wrote(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        browser.send(A, post("/set?k=a&v=before")).await;
        let gate = course.gate();
        let reader = browser.hold(random.one_of(&[A, B]), get("/get?k=a"), &gate).await?;
        let answer = browser.send(A, post("/set?k=a&v=after")).await;
        ensure!(answer.status.is_success(), "the writer is refused: {answer:?}");
        gate.open();
        let answer = finished(reader).await;
        ensure!(answer.body == "before" && !answer.sets_cookie, "the reader: {answer:?}");
        holds(&browser, "a", "after").await
    };
    course.play(AT_ONCE, play).await
}

/// Some writers, each with a field of its own, whenever they come.
pub(crate) async fn writers_at_any_moment_lose_nothing(course: &Course) -> Tally {
    course.shake();
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        let requests: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let ask = post(format!("/set?k=f{writer}&v={round}")).dawdling(random.below(16));
                browser.begin(random.one_of(&[A, B]), ask)
            })
            .collect();
        for request in requests {
            let answer = finished(request).await;
            ensure!(answer.status.is_success(), "a writer is refused: {answer:?}");
        }
        let value = round.to_string();
        for writer in 0..WRITERS {
            holds(&browser, &format!("f{writer}"), &value).await?;
        }
        Ok(())
    };
    course.play(AT_ONCE, play).await
}

/// All have read the same count before any of them saves.
pub(crate) async fn twenty_increments_at_once_are_twenty(course: &Course) -> Tally {
    course.play(1, async |round, _: &mut Random| all_count(course, round, "/count").await).await
}

/// The same where the store does the sum.
pub(crate) async fn twenty_additions_at_once_are_twenty(course: &Course) -> Tally {
    course.play(1, async |round, _: &mut Random| all_count(course, round, "/add").await).await
}

/// The same with a set that the store adds to.
pub(crate) async fn twenty_members_added_at_once_are_all_there(course: &Course) -> Tally {
    course.play(1, async |round, _: &mut Random| all_count(course, round, "/see").await).await
}

/// As many as before, whenever they come, of which every fifth wants to know whether it is kept.
pub(crate) async fn increments_at_any_moment_are_all_there(course: &Course) -> Tally {
    course.shake();
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        let requests: Vec<_> = (0..INCREMENTS)
            .map(|number| {
                let target = if number % 5 == 0 { "/save" } else { "/count" };
                let ask = post(target).dawdling(random.below(16));
                browser.begin(random.one_of(&[A, B]), ask)
            })
            .collect();
        for answer in join_all(requests.into_iter().map(finished)).await {
            ensure!(answer.status.is_success(), "an increment is refused: {answer:?}");
        }
        counts(&browser, "/count", INCREMENTS).await
    };
    course.play(1, play).await
}

/// Of many requests that take a value at once, one gets it.
pub(crate) async fn what_is_shown_once_is_given_to_one(course: &Course) -> Tally {
    let play = async |round, _: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        browser.send(A, post("/set?k=notice&v=bought")).await;
        let answers = all_at_once(course, &browser, &vec![post("/take?k=notice"); TAKERS]).await?;
        let given = answers.iter().filter(|answer| answer.body == "bought").count();
        ensure!(given == 1, "what is shown once is given to {given} of {TAKERS}: {answers:?}");
        holds(&browser, "notice", "").await
    };
    course.play(AT_ONCE, play).await
}

/// Many requests on both servers want the result of the same work.
pub(crate) async fn work_that_many_want_is_done_once(course: &Course) -> Tally {
    course.shake();
    let play = async |round, random: &mut Random| {
        let browser = course.signed_in(&course.user(round)).await?;
        let requests: Vec<_> = (0..TAKERS)
            .map(|_| {
                let ask = post("/work").dawdling(random.below(64));
                browser.begin(random.one_of(&[A, B]), ask)
            })
            .collect();
        let answers = join_all(requests.into_iter().map(finished)).await;
        let first = answers.first().map(|answer| answer.body.clone()).unwrap_or_default();
        let agree = answers.iter().all(|it| it.status.is_success() && it.body == first);
        ensure!(agree, "a work was done more than once: {answers:?}");
        Ok(())
    };
    course.play(WAITING_AT_ONCE, play).await
}

/// Sends as many requests at once as there are increments, and makes sure that all count.
async fn all_count(course: &Course, round: u32, target: &str) -> Round {
    let browser = course.signed_in(&course.user(round)).await?;
    let asks: Vec<_> = (0..INCREMENTS).map(|number| post(format!("{target}?v={number}"))).collect();
    all_at_once(course, &browser, &asks).await?;
    counts(&browser, target, INCREMENTS).await
}

/// Sends these requests to both servers in turn, and lets them go on when all have read.
async fn all_at_once(course: &Course, browser: &Browser, asks: &[Ask]) -> Result<Vec<Answer>, Bad> {
    let gate = course.gate();
    let requests: Vec<_> = asks
        .iter()
        .zip([A, B].into_iter().cycle())
        .map(|(ask, server)| browser.begin(server, ask.clone().held_at(&gate)))
        .collect();
    let expected = u32::try_from(requests.len()).unwrap_or(u32::MAX);
    ensure!(gate.has_arrived(expected).await, "a request did not come to the gate");
    gate.open();
    let answers = join_all(requests.into_iter().map(finished)).await;
    let refused = answers.iter().find(|answer| !answer.status.is_success());
    ensure!(refused.is_none(), "a writer is refused: {refused:?}");
    Ok(answers)
}

/// Makes sure that so many increments are counted.
async fn counts(browser: &Browser, target: &str, increments: u32) -> Round {
    let answer = browser.send(B, get(target)).await;
    ensure!(answer.body == increments.to_string(), "{increments} increments are {answer:?}");
    Ok(())
}
