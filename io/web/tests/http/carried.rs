//! Sessions that change between a store and sealed cookies while users are signed in.

use std::time::Duration;

use abide::{Key, KeyRing, MemoryStore, SealedCookie, SealingKey, SessionLayer};
use axum::http::StatusCode;

use crate::visit::Jar;

const NOTE: Key<String> = Key::new("note");
const COUNT: Key<i64> = Key::new("count");
const COOKIE: &str = "__Host-abide";

fn keys() -> KeyRing {
    KeyRing::new(vec![SealingKey::new([1; SealingKey::BYTES])]).unwrap()
}

fn revocable(revocations: &MemoryStore) -> SealedCookie {
    SealedCookie::new(keys()).revocations(revocations.clone())
}

async fn sign_in(layer: &SessionLayer) -> Jar {
    let mut jar = Jar::default();
    let visit = jar.visit(layer, async |session| {
        session.set(NOTE, "tea")?;
        session.set_subject("alice")
    });
    visit.await.outcome.unwrap();
    jar
}

async fn subject(layer: &SessionLayer, jar: &mut Jar) -> Option<String> {
    let visit = jar.visit(layer, async |session| session.subject().await).await;
    visit.outcome.unwrap().map(|subject| subject.as_str().to_owned())
}

async fn note(layer: &SessionLayer, jar: &mut Jar) -> Option<String> {
    jar.visit(layer, async |session| session.get(NOTE).await).await.outcome.unwrap()
}

fn is_id(jar: &Jar) -> bool {
    jar.0.len() == 1 && jar.0.get(COOKIE).is_some_and(|value| value.len() == 30)
}

#[tokio::test]
async fn who_comes_with_a_sealed_cookie_is_signed_in_by_the_store_from_then_on() {
    let store = MemoryStore::new();
    let sealed = SessionLayer::sealed(keys());
    let moving = SessionLayer::new(store.clone()).carry_over_sealed(keys());
    let mut jar = sign_in(&sealed).await;
    // The app need not be signed in to, nor write.
    assert_eq!(note(&moving, &mut jar).await.as_deref(), Some("tea"));
    assert!(is_id(&jar), "{jar:?}");
    let again = jar.visit(&moving, async |session| session.get(NOTE).await).await;
    assert_eq!(again.set_cookies(), [""; 0], "it is told once");
    let stored = SessionLayer::new(store.clone());
    assert_eq!(subject(&stored, &mut jar).await.as_deref(), Some("alice"));
    assert_eq!(store.sessions(), 1);
}

#[tokio::test]
async fn who_does_not_use_his_session_is_not_carried_over() {
    let store = MemoryStore::new();
    let mut jar = sign_in(&SessionLayer::sealed(keys())).await;
    let moving = SessionLayer::new(store.clone()).carry_over_sealed(keys());
    let visit = jar.visit(&moving, async |_| Ok(())).await;
    assert_eq!((visit.set_cookies().len(), store.sessions()), (0, 0));
}

#[tokio::test]
async fn a_session_of_several_cookies_leaves_none_of_them() {
    let moving = SessionLayer::new(MemoryStore::new()).carry_over_sealed(keys());
    let sealed = SessionLayer::sealed(SealedCookie::new(keys()).without_compression());
    let long = "long ".repeat(2000);
    for ends in [false, true] {
        let mut jar = Jar::default();
        jar.visit(&sealed, async |session| session.set(NOTE, &long)).await.outcome.unwrap();
        assert!(jar.0.len() > 2, "{} cookies", jar.0.len());
        let visit = jar.visit(&moving, async |session| {
            assert_eq!(session.get(NOTE).await?, Some(long.clone()));
            if ends {
                session.end();
            }
            Ok(())
        });
        visit.await.outcome.unwrap();
        assert_eq!(jar.0.len(), usize::from(!ends), "{jar:?}");
    }
}

#[tokio::test]
async fn no_copy_of_a_sealed_cookie_undoes_what_came_after() {
    let moving = SessionLayer::new(MemoryStore::new()).carry_over_sealed(keys());
    let mut jar = sign_in(&SessionLayer::sealed(keys())).await;
    let (mut lost, mut stolen) = (jar.stolen(), jar.stolen());
    jar.visit(&moving, async |session| session.set(NOTE, "coffee")).await.outcome.unwrap();
    // The response of a first request was lost: the next one finds what it did.
    assert_eq!(note(&moving, &mut lost).await.as_deref(), Some("coffee"));
    assert_eq!(lost.0, jar.0);
    let out = jar.visit(&moving, async |session| {
        session.end();
        Ok(())
    });
    out.await.outcome.unwrap();
    assert!(jar.0.is_empty(), "{jar:?}");
    assert_eq!(subject(&moving, &mut stolen).await, None);
    assert_eq!(subject(&moving, &mut lost).await, None);
}

#[tokio::test]
async fn requests_that_carry_over_at_once_carry_over_one_session() {
    let store = MemoryStore::new();
    let moving = SessionLayer::new(store.clone()).carry_over_sealed(keys());
    let mut jar = sign_in(&SessionLayer::sealed(keys())).await;
    let mut jars: Vec<Jar> = (0..8).map(|_| jar.stolen()).collect();
    let visits =
        jars.iter_mut().map(|jar| jar.visit(&moving, async |session| session.increment(COUNT, 1)));
    for visit in futures_util::future::join_all(visits).await {
        visit.outcome.unwrap();
    }
    let visit = jar.visit(&moving, async |session| session.get(COUNT).await).await;
    assert_eq!((visit.outcome.unwrap(), store.sessions()), (Some(8), 1));
    assert!(jars.iter().all(|other| other.0 == jar.0));
}

#[tokio::test]
async fn a_sealed_session_that_was_revoked_is_not_carried_over() {
    let (store, revocations) = (MemoryStore::new(), MemoryStore::new());
    let sealed = SessionLayer::sealed(revocable(&revocations));
    let moving = SessionLayer::new(store.clone()).carry_over_sealed(revocable(&revocations));
    let mut one = sign_in(&sealed).await;
    let (mut stolen, mut other) = (one.stolen(), sign_in(&sealed).await);
    let out = one.visit(&sealed, async |session| {
        session.end();
        Ok(())
    });
    out.await.outcome.unwrap();
    assert_eq!(subject(&moving, &mut stolen).await, None);
    sealed.sessions().end_all("alice").await.unwrap();
    assert_eq!(subject(&moving, &mut other).await, None);
    assert_eq!(store.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_with_an_id_has_a_sealed_session_from_then_on() {
    let store = MemoryStore::new();
    let stored = SessionLayer::new(store.clone());
    let moving = SessionLayer::sealed(keys()).carry_over_stored(store.clone());
    let mut jar = sign_in(&stored).await;
    let mut late = jar.stolen();
    assert_eq!(note(&moving, &mut jar).await.as_deref(), Some("tea"));
    assert!(!is_id(&jar), "{jar:?}");
    assert_eq!(note(&stored, &mut late.stolen()).await.as_deref(), Some("tea"), "for now");
    // The browser comes with the cookie, so it has it.
    let arrived = jar.visit(&moving, async |session| session.set(NOTE, "coffee")).await;
    assert_eq!(arrived.set_cookies().len(), 1);
    assert_eq!(subject(&moving, &mut late.stolen()).await.as_deref(), Some("alice"), "on its way");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(subject(&moving, &mut late).await, None, "over");
    let again = jar.visit(&moving, async |session| session.get(NOTE).await).await;
    assert_eq!(again.set_cookies(), [""; 0]);
    let sealed = SessionLayer::sealed(keys());
    assert_eq!(note(&sealed, &mut jar).await.as_deref(), Some("coffee"));
}

#[tokio::test]
async fn a_lost_response_loses_no_stored_session() {
    let store = MemoryStore::new();
    let moving = SessionLayer::sealed(keys()).carry_over_stored(store.clone());
    let mut jar = sign_in(&SessionLayer::new(store)).await;
    for _ in 0..3 {
        assert_eq!(subject(&moving, &mut jar.stolen()).await.as_deref(), Some("alice"));
    }
    assert_eq!(subject(&moving, &mut jar).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_logout_ends_the_session_where_it_was_too() {
    for visits in [0, 1] {
        let (store, revocations) = (MemoryStore::new(), MemoryStore::new());
        let stored = SessionLayer::new(store.clone());
        let moving = SessionLayer::sealed(revocable(&revocations)).carry_over_stored(store);
        let mut jar = sign_in(&stored).await;
        let mut stolen = vec![jar.stolen()];
        for _ in 0..visits {
            subject(&moving, &mut jar).await;
            stolen.push(jar.stolen());
        }
        let out = jar.visit(&moving, async |session| {
            session.end();
            Ok(())
        });
        out.await.outcome.unwrap();
        assert!(jar.0.is_empty(), "{jar:?}");
        assert_eq!(subject(&stored, &mut stolen[0].stolen()).await, None);
        for copy in &mut stolen {
            assert_eq!(subject(&moving, copy).await, None, "after {visits}");
        }
    }
}

#[tokio::test]
async fn ending_all_sessions_of_a_user_ends_those_that_are_still_in_the_store() {
    let (store, revocations) = (MemoryStore::new(), MemoryStore::new());
    let stored = SessionLayer::new(store.clone());
    let moving = SessionLayer::sealed(revocable(&revocations)).carry_over_stored(store);
    let (mut here, mut there) = (sign_in(&stored).await, sign_in(&stored).await);
    let others = here.visit(&moving, async |session| session.end_others().await).await;
    others.outcome.unwrap();
    assert_eq!(subject(&moving, &mut there).await, None);
    assert_eq!(subject(&moving, &mut here).await.as_deref(), Some("alice"));
    let (mut one, mut other) = (sign_in(&stored).await, sign_in(&moving).await);
    moving.sessions().end_all("alice").await.unwrap();
    for jar in [&mut one, &mut other, &mut here] {
        assert_eq!(subject(&moving, jar).await, None);
    }
}

#[tokio::test]
async fn what_does_not_fit_a_cookie_can_be_read_and_stays_in_the_store() {
    let store = MemoryStore::new();
    let stored = SessionLayer::new(store.clone());
    let moving = SessionLayer::sealed(keys()).carry_over_stored(store);
    let long = "x".repeat(100_000);
    let mut jar = Jar::default();
    jar.visit(&stored, async |session| session.set(NOTE, &long)).await.outcome.unwrap();
    assert_eq!(note(&moving, &mut jar).await.map(|note| note.len()), Some(100_000));
    let write = jar.visit(&moving, async |session| session.set(COUNT, &1)).await;
    assert_eq!(write.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(is_id(&jar), "{jar:?}");
    assert_eq!(note(&stored, &mut jar).await.map(|note| note.len()), Some(100_000));
}
