//! The sessions of a user: listed, ended, limited, and what the application is told of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use abide::{Error, Event, EventKind, Key, MemoryStore, SessionHandle, SessionLayer};

use crate::visit::Jar;

const BROWSER: Key<String> = Key::new("browser");
const MINUTE: Duration = Duration::from_mins(1);

async fn signed_in(layer: &SessionLayer, user: &str, browser: &str) -> Jar {
    let mut jar = Jar::default();
    jar.visit(layer, async |session| {
        session.set(BROWSER, browser)?;
        session.set_subject(user)
    })
    .await
    .outcome
    .unwrap();
    jar
}

async fn subject(layer: &SessionLayer, jar: &mut Jar) -> Option<String> {
    let visit = jar
        .visit(layer, async |session| Ok(session.subject().await?.map(|s| s.as_str().to_owned())))
        .await;
    visit.outcome.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_each_session_with_what_the_app_noted() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut phone = signed_in(&layer, "alice", "phone").await;
    tokio::time::advance(MINUTE).await;
    let mut laptop = signed_in(&layer, "alice", "laptop").await;
    signed_in(&layer, "bob", "tablet").await;
    let listed = layer.sessions().list("alice").await.unwrap();
    let browsers: Vec<_> = listed.iter().map(|one| one.get(BROWSER).unwrap().unwrap()).collect();
    assert_eq!(browsers, ["laptop", "phone"], "the one last seen first");
    let [new, old] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(new.created().duration_since(old.created()).unwrap(), MINUTE);
    assert_eq!(new.last_seen(), new.created());
    assert_eq!(new.expires().duration_since(new.last_seen()).unwrap(), Duration::from_hours(24));
    for (jar, listed) in [(&mut phone, old), (&mut laptop, new)] {
        let handle = jar.visit(&layer, async |session| session.handle().await).await;
        assert_eq!(handle.outcome, Ok(Some(listed.handle())));
    }
}

#[tokio::test]
async fn one_session_is_ended_from_another_and_nobody_elses() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut phone = signed_in(&layer, "alice", "phone").await;
    let mut laptop = signed_in(&layer, "alice", "laptop").await;
    let lost = phone.visit(&layer, async |session| session.handle().await).await.outcome.unwrap();
    let text = lost.unwrap().to_string();
    let ended = laptop
        .visit(&layer, async |session| {
            let lost: SessionHandle = text.parse().unwrap();
            let as_bob = session.sessions().end("bob", lost).await?;
            let first = session.sessions().end("alice", lost).await?;
            Ok((as_bob, first, session.sessions().end("alice", lost).await?))
        })
        .await;
    assert_eq!(ended.outcome, Ok((false, true, false)));
    assert_eq!(subject(&layer, &mut phone).await, None);
    assert_eq!(subject(&layer, &mut laptop).await.as_deref(), Some("alice"));
    assert!("x".parse::<SessionHandle>().is_err());
}

#[tokio::test]
async fn all_sessions_end_in_one_step_and_later_ones_do_not() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jars = Vec::new();
    for number in 0..20 {
        jars.push(signed_in(&layer, "alice", &number.to_string()).await);
    }
    let mut bob = signed_in(&layer, "bob", "b").await;
    layer.sessions().end_all("alice").await.unwrap();
    for jar in &mut jars {
        assert_eq!(subject(&layer, jar).await, None);
    }
    assert_eq!(subject(&layer, &mut bob).await.as_deref(), Some("bob"));
    let mut again = signed_in(&layer, "alice", "again").await;
    assert_eq!(subject(&layer, &mut again).await.as_deref(), Some("alice"));
}

#[tokio::test(start_paused = true)]
async fn one_session_too_many_ends_the_one_that_was_unused_for_longest() {
    let layer = SessionLayer::new(MemoryStore::new()).sessions_per_user(2);
    let mut jars = Vec::new();
    for number in 0..2 {
        jars.push(signed_in(&layer, "alice", &number.to_string()).await);
        tokio::time::advance(MINUTE).await;
    }
    // The first is used, so the second is the one unused for longest.
    jars[0].visit(&layer, async |session| session.set("a", &1)).await.outcome.unwrap();
    tokio::time::advance(MINUTE).await;
    jars.push(signed_in(&layer, "alice", "3").await);
    let mut live = Vec::new();
    for jar in &mut jars {
        live.push(subject(&layer, jar).await.is_some());
    }
    assert_eq!(live, [true, false, true]);
    // Signing in again in a browser that is signed in makes no session more.
    jars[0].visit(&layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    assert_eq!(layer.sessions().list("alice").await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_application_is_told_what_happens_to_sessions() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let layer = SessionLayer::new(MemoryStore::new()).on_event(move |event: &Event| {
        let subject = event.subject.as_ref().map(|subject| subject.as_str().to_owned());
        told.lock().unwrap().push((event.kind, subject, event.session.is_some()));
    });
    let mut jar = signed_in(&layer, "alice", "phone").await;
    jar.visit(&layer, async |session| {
        session.renew();
        Ok(())
    })
    .await;
    let mut slow = jar.clone();
    slow.visit(&layer, async |session| {
        session.get(BROWSER).await?;
        jar.visit(&layer, async |session| {
            session.subject().await?;
            session.end();
            Ok(())
        })
        .await
        .outcome
        .unwrap();
        session.set("a", &1)
    })
    .await
    .outcome
    .unwrap();
    let mut other = signed_in(&layer, "bob", "tablet").await;
    layer.sessions().end_all("carol").await.unwrap();
    tokio::time::advance(Duration::from_hours(25)).await;
    subject(&layer, &mut other).await;
    let alice = Some("alice".to_owned());
    let expected = [
        (EventKind::Created, alice.clone(), true),
        (EventKind::Renewed, alice.clone(), true),
        (EventKind::Ended, alice.clone(), true),
        (EventKind::Refused, alice, true),
        (EventKind::Created, Some("bob".to_owned()), true),
        (EventKind::Ended, Some("carol".to_owned()), false),
        (EventKind::Expired, None, true),
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}

#[tokio::test]
async fn sealed_sessions_are_not_listed_and_the_error_says_what_would_help() {
    let key = abide::SealingKey::new([1; abide::SealingKey::BYTES]);
    let layer = SessionLayer::sealed(abide::KeyRing::new(vec![key]).unwrap());
    let error = layer.sessions().list("alice").await.unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)));
    assert!(error.to_string().contains("keep sessions in a store"), "{error}");
}
