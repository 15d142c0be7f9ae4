//! Counters, sets, and values that are shown once.

use std::collections::BTreeSet;

use abide::{Error, Key, MemoryStore, SessionLayer};
use axum::http::StatusCode;
use futures_util::future::join_all;

use crate::visit::Jar;

const VISITS: Key<i64> = Key::new("visits");
const SEEN: Key<BTreeSet<String>> = Key::new("seen");
const NOTICE: Key<String> = Key::new("notice");

async fn layer() -> (SessionLayer, Jar) {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| session.set_subject("alice")).await;
    (layer, jar)
}

#[tokio::test]
async fn twenty_requests_that_count_at_once_count_twenty_and_try_once() {
    let (layer, jar) = layer().await;
    join_all((0..20).map(|_| {
        let (layer, mut jar) = (&layer, jar.clone());
        async move {
            jar.visit(layer, async |session| {
                session.increment(VISITS, 1)?;
                tokio::task::yield_now().await;
                session.get(VISITS).await
            })
            .await
        }
    }))
    .await;
    let visits = jar.clone().visit(&layer, async |session| session.get(VISITS).await).await;
    assert_eq!(visits.outcome, Ok(Some(20)));
    assert_eq!(layer.counters().conflicts, 0);
}

#[tokio::test]
async fn a_request_sees_what_it_counted_and_saved_and_counted_again() {
    let (layer, mut jar) = layer().await;
    let visit = jar
        .visit(&layer, async |session| {
            session.increment(VISITS, 2)?;
            let before = session.get(VISITS).await?;
            session.save().await?;
            session.increment(VISITS, 1)?;
            session.add_to(SEEN, "b")?;
            session.add_to(SEEN, "a")?;
            session.remove_from(SEEN, "b")?;
            Ok((before, session.get(VISITS).await?, session.get(SEEN).await?))
        })
        .await;
    assert_eq!(visit.outcome, Ok((Some(2), Some(3), Some(BTreeSet::from(["a".to_owned()])))));
    let kept = jar
        .visit(&layer, async |session| {
            Ok((session.get(VISITS).await?, session.get(SEEN).await?.unwrap_or_default().len()))
        })
        .await;
    assert_eq!(kept.outcome, Ok((Some(3), 1)));
}

#[tokio::test]
async fn counting_and_updating_one_field_in_one_request_lose_nothing_to_others() {
    let (layer, mut jar) = layer().await;
    let mut other = jar.clone();
    jar.visit(&layer, async |session| {
        session.increment(VISITS, 1)?;
        session.update(VISITS, |visits| *visits *= 10).await?;
        session.increment(VISITS, 5)?;
        other.visit(&layer, async |session| session.increment(VISITS, 1)).await.outcome.unwrap();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    let kept = jar.visit(&layer, async |session| session.get(VISITS).await).await;
    assert_eq!(kept.outcome, Ok(Some((1 + 1) * 10 + 5)), "all of it ran again after the other's");
    assert_eq!(layer.counters().conflicts, 1);
}

#[tokio::test]
async fn counting_what_is_no_number_is_an_error_that_says_which_field() {
    let (layer, mut jar) = layer().await;
    let own = jar
        .visit(&layer, async |session| {
            session.set("visits", "many")?;
            session.increment(VISITS, 1)
        })
        .await;
    assert!(own.outcome.unwrap_err().contains("\"visits\""));
    jar.visit(&layer, async |session| session.set("visits", "many")).await.outcome.unwrap();
    let stored = jar.visit(&layer, async |session| session.increment(VISITS, 1)).await;
    assert_eq!(stored.status, StatusCode::INTERNAL_SERVER_ERROR, "found out when it is committed");
    let kept = jar.visit(&layer, async |session| session.get::<String>("visits").await).await;
    assert_eq!(kept.outcome, Ok(Some("many".to_owned())));
}

#[tokio::test]
async fn what_is_shown_once_is_shown_to_one_of_many() {
    let (layer, mut jar) = layer().await;
    jar.visit(&layer, async |session| session.set(NOTICE, "placed")).await.outcome.unwrap();
    let shown = join_all((0..10).map(|_| {
        let (layer, mut jar) = (&layer, jar.clone());
        async move {
            jar.visit(layer, async |session| {
                session.get(NOTICE).await?;
                tokio::task::yield_now().await;
                session.take(NOTICE).await
            })
            .await
            .outcome
            .unwrap()
        }
    }))
    .await;
    assert_eq!(shown.iter().flatten().collect::<Vec<_>>(), ["placed"]);
}

#[tokio::test]
async fn what_a_request_set_itself_it_can_take_back() {
    let (layer, mut jar) = layer().await;
    let visit = jar
        .visit(&layer, async |session| {
            session.set(NOTICE, "placed")?;
            let taken = session.take(NOTICE).await?;
            Ok((taken, session.take(NOTICE).await?))
        })
        .await;
    assert_eq!(visit.outcome, Ok((Some("placed".to_owned()), None)));
    let kept = jar.visit(&layer, async |session| session.get(NOTICE).await).await;
    assert_eq!(kept.outcome, Ok(None));
}

#[tokio::test]
async fn a_field_that_no_longer_decodes_is_absent_where_that_was_chosen() {
    const STRICT: Key<u32> = Key::new("visits");
    const LENIENT: Key<u32> = Key::new("visits").lenient();
    let (layer, mut jar) = layer().await;
    let visit = jar
        .visit(&layer, async |session| {
            session.set("visits", "many")?;
            session.set("other", &1)?;
            let strict = session.get(STRICT).await;
            assert!(matches!(strict, Err(Error::Decode { .. })));
            assert_eq!(session.get::<u32>("other").await?, Some(1), "the others are not touched");
            assert_eq!(session.get(LENIENT).await?, None);
            session.update(LENIENT, |visits| *visits += 1).await?;
            session.get(STRICT).await
        })
        .await;
    assert_eq!(visit.outcome, Ok(Some(1)));
    assert_eq!(layer.counters().undecodable, 2);
}
