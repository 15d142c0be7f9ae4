//! A session gets a new id while other requests are on their way with the old one.
//!
//! The accidents: those requests are not signed in; or one of their responses, arriving last, leaves
//! the browser with an id that is no longer, or will not be for long.

use crate::browser::{Browser, finished, get, post};
use crate::course::{A, B, Course, holds, is_user};
use crate::race::{Round, Tally, ensure};
use crate::random::Random;

/// Requests beside a renewal.
const BESIDE: u32 = 10;
/// Requests of these that come after it.
const LATE: u32 = 2;
const AT_ONCE: usize = 4;

/// Most are on their way together with the renewal; the last ones, with the old id, come after it.
pub(crate) async fn requests_beside_a_renewal_stay_signed_in(course: &Course) -> Tally {
    course.shake();
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        let before = browser.copied();
        let mut requests = Vec::new();
        let mut renewal = None;
        for number in 0..BESIDE - LATE {
            if number == BESIDE / 2 {
                renewal = Some(browser.begin(A, post("/renew").dawdling(random.below(16))));
            }
            let ask = get("/me").dawdling(random.below(64));
            requests.push(browser.begin(random.one_of(&[A, B]), ask));
        }
        if let Some(renewal) = renewal {
            let answer = finished(renewal).await;
            ensure!(answer.sets_cookie, "a renewal without a new id: {answer:?}");
        }
        requests.extend((0..LATE).map(|_| before.begin(random.one_of(&[A, B]), get("/me"))));
        for request in requests {
            let answer = finished(request).await;
            ensure!(answer.body == user, "a request beside a renewal: {answer:?}");
        }
        is_user(&browser, &user).await?;
        has_the_current_id(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// Two requests have loaded the session before either gives it a new id; each response may arrive
/// last. A browser that is left with an id that was renewed in turn is signed out after the grace.
pub(crate) async fn two_renewals_at_once_leave_the_browser_with_the_current_id(
    course: &Course,
) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        let gate = course.gate();
        let one = browser.hold(A, post("/renew"), &gate).await?;
        let two = browser.hold(random.one_of(&[A, B]), post("/renew"), &gate).await?;
        gate.open();
        for answer in [finished(one).await, finished(two).await] {
            ensure!(answer.status.is_success(), "a renewal is refused: {answer:?}");
        }
        is_user(&browser, &user).await?;
        has_the_current_id(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// A request has loaded the session under its old id, and writes after the renewal.
pub(crate) async fn a_writer_beside_a_renewal_keeps_what_it_wrote(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        let gate = course.gate();
        let writer = browser.hold(random.one_of(&[A, B]), post("/set?k=a&v=1"), &gate).await?;
        let answer = browser.send(A, post("/renew")).await;
        ensure!(answer.sets_cookie, "a renewal without a new id: {answer:?}");
        gate.open();
        let answer = finished(writer).await;
        ensure!(answer.status.is_success(), "the writer is refused: {answer:?}");
        holds(&browser, "a", "1").await?;
        is_user(&browser, &user).await?;
        has_the_current_id(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// Makes sure that the browser's id is the one the session has now: a renewal under an old one is
/// taken for the same one asked for twice, and gives no cookie.
pub(crate) async fn has_the_current_id(browser: &Browser) -> Round {
    let answer = browser.send(A, post("/renew")).await;
    ensure!(
        answer.status.is_success() && answer.sets_cookie,
        "the browser holds an id that ends with its grace: {answer:?}"
    );
    Ok(())
}
