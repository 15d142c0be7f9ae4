//! Who is signed in by a sign-in: the browser that sent it, and nobody else.
//!
//! The accident is called session fixation: somebody makes his victim use an id that he knows, and
//! is signed in when the victim is.

use crate::browser::{Browser, finished, get, post};
use crate::course::{A, B, Course, holds, is_nobody, is_user};
use crate::race::{Round, Tally, ensure};
use crate::random::Random;
use crate::renewals::has_the_current_id;

const AT_ONCE: usize = 4;

/// The thief has a session of his own, plants its cookie in the victim's browser, and goes on using
/// it while the victim signs in.
pub(crate) async fn a_planted_id_is_not_signed_in_with_its_victim(course: &Course) -> Tally {
    course.shake();
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let thief = course.browser();
        thief.send(A, post("/set?k=cart&v=brick")).await;
        let victim = thief.copied();
        let sign_in = post(format!("/login?v={user}")).dawdling(random.below(16));
        let tries = ["/me", "/me", "/me"]
            .map(get)
            .into_iter()
            .chain(["/set?k=cart&v=stone", "/renew", "/count"].map(post));
        let begin = |ask, random: &mut Random| {
            thief
                .begin(random.one_of(&[A, B]), crate::browser::Ask::dawdling(ask, random.below(64)))
        };
        let mut tries: Vec<_> = tries.map(|ask| begin(ask, random)).collect();
        tries.push(victim.begin(A, sign_in));
        for request in tries {
            let answer = finished(request).await;
            ensure!(answer.status.is_success(), "a request is refused: {answer:?}");
            ensure!(!answer.body.contains(&user), "the thief is signed in: {answer:?}");
        }
        is_nobody(&thief).await?;
        is_user(&victim, &user).await?;
        is_apart(&thief, &victim)
    };
    course.play(AT_ONCE, play).await
}

/// Both hold a cookie that looks like one of ours and that no server ever made.
pub(crate) async fn a_made_up_id_is_not_adopted(course: &Course) -> Tally {
    let model = course.browser();
    model.send(A, post("/set?k=a&v=1")).await;
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let thief = model.copied();
        thief.jar().forge(|value| made_up(value, random));
        let victim = thief.copied();
        is_nobody(&thief).await?;
        let sign_in = victim.begin(A, post(format!("/login?v={user}")));
        let other = thief.begin(B, get("/me"));
        for answer in [finished(sign_in).await, finished(other).await] {
            ensure!(answer.status.is_success() && answer.body.is_empty(), "{answer:?}");
        }
        is_nobody(&thief).await?;
        is_user(&victim, &user).await?;
        is_apart(&thief, &victim)?;
        let other = thief.copied();
        other.send(B, post("/set?k=a&v=1")).await;
        is_apart(&thief, &other)
    };
    course.play(AT_ONCE, play).await
}

/// A form is sent twice, beside requests of the same page.
pub(crate) async fn a_sign_in_that_is_sent_twice_signs_in(course: &Course) -> Tally {
    let play = async |round, random: &mut Random| {
        let user = course.user(round);
        let browser = course.browser();
        browser.send(A, post("/set?k=cart&v=book")).await;
        let gate = course.gate();
        let sign_in = || post(format!("/login?v={user}"));
        let one = browser.hold(A, sign_in(), &gate).await?;
        let two = browser.hold(random.one_of(&[A, B]), sign_in(), &gate).await?;
        let beside = browser.hold(B, get("/me"), &gate).await?;
        gate.open();
        for answer in [finished(one).await, finished(two).await] {
            ensure!(answer.status.is_success(), "a sign-in is refused: {answer:?}");
        }
        let answer = finished(beside).await;
        ensure!(["", &user].contains(&answer.body.as_str()), "beside a sign-in: {answer:?}");
        is_user(&browser, &user).await?;
        holds(&browser, "cart", "book").await?;
        has_the_current_id(&browser).await
    };
    course.play(AT_ONCE, play).await
}

/// Makes sure that two browsers have no cookie in common.
fn is_apart(one: &Browser, other: &Browser) -> Round {
    let other = other.jar().clone();
    ensure!(
        !one.jar().has_any_of(&other),
        "a browser goes on with the cookie that was planted in it"
    );
    Ok(())
}

/// A value of the same form: other characters where that does not change what it is.
pub(crate) fn made_up(value: &str, random: &mut Random) -> String {
    // The first characters may say what it is and where it belongs, and of the last not all bits
    // need be in use.
    let (first, last) = (value.len() / 6, value.len().saturating_sub(1));
    let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let replaced = |(index, character): (usize, char), random: &mut Random| {
        if index < first || index >= last { character } else { random.one_of(&alphabet) }
    };
    value.chars().enumerate().map(|place| replaced(place, random)).collect()
}
