//! What a reader of the code would ask: two things at once, an answer that is lost, a future that is
//! dropped half-way.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide::store::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, StoreFuture, Subject,
};
use abide::{
    Error, Key, KeyRing, Lifetime, MemoryStore, SealingKey, Session, SessionLayer, Store,
    StoreError,
};
use abide_time::Time;
use axum::http::StatusCode;

use crate::app::App;
use crate::visit::Jar;

const COUNT: Key<i64> = Key::new("count");
const NOTE: Key<String> = Key::new("note");
const GRACE: Duration = Duration::from_secs(11);

/// A memory store that does the next so many writes and loses the answers, or never answers.
#[derive(Clone, Debug, Default)]
struct Deaf {
    store: MemoryStore,
    lost: Arc<AtomicU64>,
    hangs: Arc<AtomicU64>,
}

impl Deaf {
    fn lose(&self, answers: u64) {
        self.lost.store(answers, Ordering::SeqCst);
    }

    fn hang(&self, answers: u64) {
        self.hangs.store(answers, Ordering::SeqCst);
    }

    fn through<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let one_less = |left: u64| left.checked_sub(1);
        Box::pin(async move {
            let answer = call.await;
            if self.hangs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                std::future::pending::<()>().await;
            }
            if self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                return Err(StoreError::Unavailable("the answer was lost".into()));
            }
            answer
        })
    }
}

impl Store for Deaf {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.through(self.store.create(id, changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.store.load(id, now)
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.through(self.store.commit(id, changes, now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.through(self.store.end(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.through(self.store.rename(id, rename, now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.store.list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.store.end_all(subject, except, now)
    }
}

async fn signed_in(layer: &SessionLayer) -> Jar {
    let mut jar = Jar::default();
    jar.visit(layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    jar
}

async fn is_signed_in(layer: &SessionLayer, jar: &mut Jar) -> bool {
    let visit = jar.visit(layer, async |session| session.subject().await).await;
    visit.outcome.unwrap().is_some()
}

fn sealed() -> SessionLayer {
    SessionLayer::sealed(KeyRing::new(vec![SealingKey::new([1; SealingKey::BYTES])]).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_logout_after_a_save_that_was_not_answered_is_not_lost_with_it() {
    let store = Deaf::default();
    let layer = SessionLayer::new(store.clone());
    let mut jar = signed_in(&layer).await;
    let mut copy = jar.stolen();
    store.lose(1);
    jar.visit(&layer, async |session| {
        session.get(COUNT).await?;
        session.increment(COUNT, 1)?;
        session.save().await.unwrap_err();
        session.end();
        session.take(NOTE).await
    })
    .await
    .outcome
    .unwrap();
    assert_eq!(jar.0.len(), 0);
    assert!(!is_signed_in(&layer, &mut copy).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_after_a_save_that_was_not_answered_is_kept() {
    let store = Deaf::default();
    let layer = SessionLayer::new(store.clone());
    let mut jar = signed_in(&layer).await;
    store.lose(1);
    jar.visit(&layer, async |session| {
        session.increment(COUNT, 1)?;
        session.save().await.unwrap_err();
        session.set(NOTE, "kept")?;
        session.update(COUNT, |count| *count += 10).await
    })
    .await
    .outcome
    .unwrap();
    let kept = jar
        .visit(&layer, async |session| Ok((session.get(NOTE).await?, session.get(COUNT).await?)))
        .await;
    assert_eq!(kept.outcome, Ok((Some("kept".to_owned()), Some(11))));
}

#[tokio::test(start_paused = true)]
async fn a_save_that_nobody_waited_for_counts_once() {
    let store = Deaf::default();
    let layer = SessionLayer::new(store.clone());
    let mut jar = signed_in(&layer).await;
    store.hang(1);
    jar.visit(&layer, async |session| {
        session.increment(COUNT, 1)?;
        let in_time = tokio::time::timeout(Duration::from_millis(100), session.save()).await;
        assert!(in_time.is_err());
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    let count = jar.visit(&layer, async |session| session.get(COUNT).await).await;
    assert_eq!(count.outcome, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_is_found_out_about() {
    let store = Deaf::default();
    let layer = SessionLayer::new(store.clone());
    let mut jar = signed_in(&layer).await;
    let before = jar.0.clone();
    store.lose(1);
    jar.visit(&layer, async |session| {
        session.increment(COUNT, 1)?;
        session.renew();
        session.save().await.unwrap_err();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    assert_ne!(jar.0, before, "the browser has the new id");
    tokio::time::advance(GRACE).await;
    let count = jar.visit(&layer, async |session| session.get(COUNT).await).await;
    assert_eq!(count.outcome, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn an_old_id_can_end_the_session_after_it_was_refused_a_write() {
    let app = App::new();
    let mut jar = Jar::default();
    jar.visit(&app.layer, async |session| session.set(NOTE, "tea")).await.outcome.unwrap();
    let mut other = jar.stolen();
    other.visit(&app.layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    jar.visit(&app.layer, async |session| {
        session.set(NOTE, "late")?;
        assert!(matches!(session.save().await, Err(Error::Gone)));
        session.end();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    assert_eq!(jar.0.len(), 0);
    assert!(!is_signed_in(&app.layer, &mut other).await);
}

#[tokio::test]
async fn a_logout_ends_the_sessions_of_all_cookies_that_came() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let first = browser.cookie.clone().unwrap();
    browser.cookie = None;
    browser.post("/login?v=alice").await;
    let second = browser.cookie.clone().unwrap();
    browser.cookie = Some(format!("{first}; {second}"));
    // It reads before it ends, as most do.
    let mut jar = Jar::default();
    for (number, pair) in [&first, &second].into_iter().enumerate() {
        let (name, value) = pair.split_once('=').unwrap();
        jar.0.insert(format!("x{number}; {name}"), value.to_owned());
    }
    jar.visit(&app.layer, async |session| {
        assert!(session.subject().await?.is_some());
        session.end();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    for cookie in [first, second] {
        browser.cookie = Some(cookie);
        assert_eq!(browser.get("/me").await.body, "");
    }
}

#[tokio::test]
async fn work_done_once_for_one_user_is_not_the_next_ones() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    let work = async |session: Session, token: &'static str| {
        session.once("refresh", async || Ok::<_, Error>(token.to_owned())).await
    };
    jar.visit(&layer, async |session| work(session, "alice's").await).await.outcome.unwrap();
    jar.visit(&layer, async |session| {
        session.clear_subject();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    jar.visit(&layer, async |session| session.set_subject("bob")).await.outcome.unwrap();
    let bobs = jar.visit(&layer, async |session| work(session, "bob's").await).await;
    assert_eq!(bobs.outcome.as_deref(), Ok("bob's"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_does_not_bring_back_what_its_own_request_ended() {
    for layer in [sealed(), SessionLayer::new(MemoryStore::new())] {
        let layer = layer.idle_timeout(Duration::from_hours(10));
        let mut jar = signed_in(&layer).await;
        tokio::time::advance(Duration::from_hours(2)).await;
        jar.visit(&layer, async |session| {
            session.end();
            session.save().await?;
            assert!(matches!(session.reload().await, Err(Error::Gone)));
            Ok(())
        })
        .await
        .outcome
        .unwrap();
        assert_eq!(jar.0.len(), 0);
    }
}

#[tokio::test]
async fn a_sealed_session_that_is_loaded_again_keeps_what_was_saved() {
    let layer = sealed();
    let mut jar = signed_in(&layer).await;
    let stream = jar
        .visit(&layer, async |session| {
            session.set(NOTE, "saved")?;
            session.save().await?;
            session.reload().await?;
            session.set(COUNT, &1)?;
            Ok(session)
        })
        .await;
    let kept = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(kept.outcome, Ok(Some("saved".to_owned())));
    stream.outcome.unwrap().reload().await.unwrap();
    let mut new = Jar::default();
    let made = new
        .visit(&layer, async |session| {
            session.set(NOTE, "made")?;
            Ok(session)
        })
        .await;
    made.outcome.unwrap().reload().await.unwrap();
}

#[tokio::test]
async fn nothing_begins_anew_on_what_has_ended_under_the_request() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    let mut other = jar.stolen();
    let visit = jar
        .visit(&layer, async |session| {
            session.get(COUNT).await?;
            session.increment(COUNT, 1)?;
            session.save().await?;
            other
                .visit(&layer, async |session| {
                    session.end();
                    Ok(())
                })
                .await
                .outcome
                .unwrap();
            session.set(NOTE, "late")
        })
        .await;
    assert_eq!((visit.status, visit.set_cookies()), (StatusCode::OK, vec![]));
    assert_eq!(layer.counters().created, 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_sign_in_takes_out_of_the_set_it_found() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| {
        for number in 1..=3 {
            session.add_to("seen", &number)?;
        }
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    jar.stolen().visit(&layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    jar.visit(&layer, async |session| {
        session.remove_from("seen", &2)?;
        session.set_subject("alice")
    })
    .await
    .outcome
    .unwrap();
    let seen = jar.visit(&layer, async |session| session.get::<Vec<u8>>("seen").await).await;
    assert_eq!(seen.outcome, Ok(Some(vec![1, 3])));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_with_a_lifetime_of_its_own_does_not_get_the_policys() {
    let hour = Duration::from_hours(1);
    let layer = SessionLayer::new(MemoryStore::new()).absolute_timeout(100 * hour);
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| session.set(NOTE, "tea")).await.outcome.unwrap();
    tokio::time::advance(20 * hour).await;
    let visit = jar
        .visit(&layer, async |session| {
            session.set_lifetime(Lifetime { idle_timeout: hour, absolute_timeout: hour });
            session.set_subject("alice")
        })
        .await;
    assert!(visit.set_cookies()[0].contains("Max-Age=288000"), "{:?}", visit.set_cookies());
}

#[tokio::test]
async fn an_error_of_decoding_does_not_say_what_was_found() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    jar.visit(&layer, async |session| session.set(NOTE, "hunter2")).await.outcome.unwrap();
    let read = jar.visit(&layer, async |session| session.get::<IpAddr>("note").await).await;
    let error = read.outcome.unwrap_err();
    assert!(error.contains("\"note\"") && error.contains("IpAddr"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn what_does_not_decode_is_not_taken_out() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    jar.visit(&layer, async |session| session.set(NOTE, "tea")).await.outcome.unwrap();
    let taken = jar.visit(&layer, async |session| session.take::<u32>("note").await).await;
    assert!(taken.outcome.is_err());
    let kept = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(kept.outcome, Ok(Some("tea".to_owned())));
}

#[tokio::test]
async fn a_stream_that_writes_what_it_once_loaded_means_it() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    jar.visit(&layer, async |session| session.set(NOTE, "online")).await.outcome.unwrap();
    let stream = jar
        .visit(&layer, async |session| {
            session.get(NOTE).await?;
            Ok(session)
        })
        .await
        .outcome
        .unwrap();
    jar.visit(&layer, async |session| session.set(NOTE, "offline")).await.outcome.unwrap();
    stream.set(NOTE, "online").unwrap();
    stream.save().await.unwrap();
    let kept = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(kept.outcome, Ok(Some("online".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn after_a_request_that_was_broken_off_nobody_can_sign_in() {
    let layer = SessionLayer::new(MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    let (give, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let visit = jar.visit(&layer, async |session| {
        session.get(NOTE).await?;
        give.send(session).unwrap();
        std::future::pending::<Result<(), Error>>().await
    });
    assert!(tokio::time::timeout(Duration::from_secs(1), visit).await.is_err());
    let session = kept.recv().await.unwrap();
    session.renew();
    assert!(matches!(session.save().await, Err(Error::TooLate)));
    session.set(NOTE, "later").unwrap();
    session.save().await.unwrap();
    assert!(is_signed_in(&layer, &mut jar).await);
}
