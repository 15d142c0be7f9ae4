//! Who leaves nothing behind.

use futures_util::future::join_all;

use crate::browser::{finished, get, post};
use crate::course::{A, B, Course};
use crate::race::{Tally, ensure};
use crate::random::Random;
use crate::sign_ins::made_up;

/// Reads of one session.
const READS: usize = 10;

/// Bots: they send no cookie, or one that is long forgotten, and visit whatever there is.
pub(crate) async fn visitors_without_a_cookie_create_nothing(course: &Course) -> Tally {
    let model = course.browser();
    model.send(A, post("/set?k=a&v=1")).await;
    let play = async |_, random: &mut Random| {
        let before = course.writes();
        let bot = course.browser();
        let visits = ["/plain", "/me", "/get?k=a", "/count"].map(get).into_iter();
        let visits = visits.chain(["/renew", "/logout", "/end-others"].map(post));
        let mut requests: Vec<_> =
            visits.map(|ask| bot.begin(random.one_of(&[A, B]), ask)).collect();
        let stale = model.copied();
        stale.jar().forge(|value| made_up(value, random));
        requests.extend(["/plain", "/me", "/get?k=a"].map(|page| stale.begin(A, get(page))));
        for answer in join_all(requests.into_iter().map(finished)).await {
            ensure!(answer.status.is_success(), "a visit is refused: {answer:?}");
            ensure!(!answer.sets_cookie, "a visit that leaves nothing gets a cookie: {answer:?}");
        }
        let writes = course.writes() - before;
        ensure!(writes == 0, "visits that leave nothing cost {writes} writes");
        Ok(())
    };
    course.play(1, play).await
}

/// One session is read again and again, on both servers at once.
pub(crate) async fn reading_writes_nothing(course: &Course) -> Tally {
    let play = async |round, _: &mut Random| {
        let user = course.user(round);
        let browser = course.signed_in(&user).await?;
        let before = course.writes();
        let pages = ["/me", "/get?k=user"].into_iter().cycle();
        let requests: Vec<_> = pages
            .zip([A, A, B, B].into_iter().cycle())
            .take(READS)
            .map(|(page, server)| browser.begin(server, get(page)))
            .collect();
        for answer in join_all(requests.into_iter().map(finished)).await {
            ensure!(answer.body == user, "a read is answered by {answer:?}");
            ensure!(!answer.sets_cookie, "a read gets a cookie: {answer:?}");
        }
        let writes = course.writes() - before;
        ensure!(writes == 0, "{READS} reads cost {writes} writes");
        Ok(())
    };
    course.play(1, play).await
}
