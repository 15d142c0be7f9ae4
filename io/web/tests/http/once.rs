//! Work that many requests want and one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use abide::{Error, KeyRing, MemoryStore, Moving, SealingKey, Session, SessionLayer};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::visit::Jar;

const SECOND: Duration = Duration::from_secs(1);

/// Two servers with one store, and a signed-in browser.
async fn servers() -> ([SessionLayer; 2], Jar) {
    let store = MemoryStore::new();
    let servers = [SessionLayer::new(store.clone()), SessionLayer::new(store)];
    let mut jar = Jar::default();
    jar.visit(&servers[0], async |session| session.set_subject("alice")).await;
    (servers, jar)
}

/// Takes two seconds and counts how often it ran.
async fn work(runs: &AtomicU32) -> Result<u32, Error> {
    let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
    tokio::time::sleep(2 * SECOND).await;
    Ok(run)
}

#[tokio::test(start_paused = true)]
async fn ten_requests_of_two_servers_do_it_once_and_all_have_the_result() {
    let (servers, jar) = servers().await;
    let runs = AtomicU32::new(0);
    let results =
        join_all(
            (0..10).map(|request| {
                let (layer, mut jar, runs) = (&servers[request % 2], jar.clone(), &runs);
                async move {
                    jar.visit(layer, async |session| session.once("w", || work(runs)).await).await
                }
            }),
        )
        .await;
    for result in results {
        assert_eq!(result.outcome, Ok(1));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_result_is_good_for_a_minute_and_then_the_work_is_done_again() {
    let (servers, mut jar) = servers().await;
    let runs = AtomicU32::new(0);
    for (pause, server, expected) in [(0, 0, 1), (50, 1, 1), (50, 1, 2), (1, 0, 2)] {
        tokio::time::advance(pause * SECOND).await;
        let visit = jar
            .visit(&servers[server], async |session| session.once("w", || work(&runs)).await)
            .await;
        assert_eq!(visit.outcome, Ok(expected), "after {pause} s more");
    }
}

#[tokio::test(start_paused = true)]
async fn another_name_and_another_session_are_other_work() {
    let (servers, mut jar) = servers().await;
    let runs = AtomicU32::new(0);
    let mut other = Jar::default();
    other.visit(&servers[0], async |session| session.set_subject("bob")).await;
    jar.visit(&servers[0], async |session| session.once("w", || work(&runs)).await).await;
    jar.visit(&servers[0], async |session| session.once("x", || work(&runs)).await).await;
    other.visit(&servers[0], async |session| session.once("w", || work(&runs)).await).await;
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn work_that_fails_is_tried_by_the_next_in_line() {
    let (servers, jar) = servers().await;
    let runs = AtomicU32::new(0);
    let results = join_all((0..3).map(|request| {
        let (layer, mut jar, runs) = (&servers[request % 2], jar.clone(), &runs);
        async move {
            jar.visit(layer, async |session| {
                let fails = async || match work(runs).await? {
                    1 => Err(Error::Conflict),
                    run => Ok(run),
                };
                session.once("w", fails).await
            })
            .await
            .outcome
        }
    }))
    .await;
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert_eq!((failed, runs.load(Ordering::SeqCst)), (1, 2), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_long_stays_its_own() {
    let (servers, jar) = servers().await;
    let runs = AtomicU32::new(0);
    let long = async || {
        let run = work(&runs).await;
        tokio::time::sleep(50 * SECOND).await;
        run
    };
    let results = join_all(servers.iter().map(|layer| {
        let (mut jar, long) = (jar.clone(), &long);
        async move { jar.visit(layer, async |session| session.once("w", long).await).await }
    }))
    .await;
    assert!(results.iter().all(|result| result.outcome == Ok(1)), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_broken_off_lets_the_next_try_at_once() {
    let (servers, jar) = servers().await;
    let began = Arc::new(Semaphore::new(0));
    let broken_off = {
        let (layer, mut jar, began) = (servers[0].clone(), jar.clone(), Arc::clone(&began));
        let local = tokio::task::LocalSet::new();
        let task = local.spawn_local(async move {
            jar.visit(&layer, async |session| {
                let never = async || {
                    began.add_permits(1);
                    std::future::pending::<Result<u32, Error>>().await
                };
                session.once("w", never).await
            })
            .await;
        });
        (local, task)
    };
    let (local, task) = broken_off;
    local.run_until(began.acquire()).await.unwrap().forget();
    task.abort();
    assert!(local.run_until(task).await.unwrap_err().is_cancelled());
    let start = tokio::time::Instant::now();
    let runs = AtomicU32::new(0);
    let mut jar = jar;
    let visit =
        jar.visit(&servers[1], async |session| session.once("w", || work(&runs)).await).await;
    assert_eq!(visit.outcome, Ok(1));
    assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_a_server_dies_in_it_another_takes_over() {
    let (servers, mut jar) = servers().await;
    let runs = AtomicU32::new(0);
    // A lease as a server leaves behind that is no more.
    let lease = |session: Session| async move {
        let until = now_ms() + 15_000;
        session.set("abide.once.w", &(false, until, ()))?;
        session.save().await
    };
    jar.visit(&servers[0], async |session| lease(session).await).await.outcome.unwrap();
    let start = tokio::time::Instant::now();
    let visit =
        jar.visit(&servers[1], async |session| session.once("w", || work(&runs)).await).await;
    assert_eq!(visit.outcome, Ok(1));
    let waited = start.elapsed();
    assert!((14 * SECOND..20 * SECOND).contains(&waited), "{waited:?}");
}

#[expect(clippy::disallowed_methods, reason = "the layer's clock begins at the wall clock")]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_kept_yet_just_does_it() {
    let (servers, _) = servers().await;
    let runs = AtomicU32::new(0);
    let mut nobody = Jar::default();
    let visit =
        nobody.visit(&servers[0], async |session| session.once("w", || work(&runs)).await).await;
    assert_eq!(visit.outcome, Ok(1));
    assert_eq!(visit.set_cookies(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_sealed_cookies_it_is_once_among_the_requests_of_a_server() {
    let keys = KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).unwrap();
    let layer = SessionLayer::sealed(keys);
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| session.set_subject("alice")).await;
    let runs = AtomicU32::new(0);
    let results =
        join_all(
            (0..5).map(|_| {
                let (layer, mut jar, runs) = (&layer, jar.clone(), &runs);
                async move {
                    jar.visit(layer, async |session| session.once("w", || work(runs)).await).await
                }
            }),
        )
        .await;
    assert!(results.iter().all(|result| result.outcome == Ok(1)), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_moves_to_another_store_with_its_session_and_its_user() {
    for changes_hands in [false, true] {
        let (to, from) = (MemoryStore::new(), MemoryStore::new());
        let before = SessionLayer::new(from.clone());
        let moving = SessionLayer::new(Moving::new(to, from));
        let runs = AtomicU32::new(0);
        let mut jar = Jar::default();
        jar.visit(&before, async |session| session.set_subject("alice")).await;
        jar.visit(&before, async |session| session.once("w", || work(&runs)).await).await;
        if changes_hands {
            jar.visit(&before, async |session| session.set_subject("bob")).await;
        }
        let visit = jar.visit(&moving, async |session| session.once("w", || work(&runs)).await);
        assert_eq!(visit.await.outcome, Ok(if changes_hands { 2 } else { 1 }));
    }
}
