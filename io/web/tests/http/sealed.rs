//! Sessions in sealed cookies, with and without a store for what was revoked.

use std::time::Duration;

use abide::{Error, Key, KeyRing, Lifetime, MemoryStore, SealedCookie, SealingKey, SessionLayer};
use axum::http::StatusCode;

use crate::app::App;
use crate::visit::Jar;

const NOTE: Key<String> = Key::new("note");
const HOUR: Duration = Duration::from_hours(1);

fn keys(numbers: &[u8]) -> KeyRing {
    let keys = numbers.iter().map(|number| SealingKey::new([*number; SealingKey::BYTES]));
    KeyRing::new(keys.collect()).unwrap()
}

fn plain() -> SessionLayer {
    SessionLayer::sealed(keys(&[1]))
}

fn revocable(store: &MemoryStore) -> SessionLayer {
    SessionLayer::sealed(SealedCookie::new(keys(&[1])).revocations(store.clone()))
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

/// Text that does not get shorter by compression.
fn noise(bytes: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn any_server_with_the_keys_knows_the_visitor() {
    let (a, b) = (plain(), plain());
    let mut jar = Jar::default();
    let visit = jar
        .visit(&a, async |session| {
            session.set(NOTE, "tea")?;
            session.set_subject("alice")
        })
        .await;
    let [cookie] = visit.set_cookies()[..] else { panic!("{:?}", visit.headers) };
    assert!(cookie.starts_with("__Host-abide=1"), "{cookie}");
    assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
    assert_eq!(visit.headers["cache-control"], "private");
    let visit = jar.visit(&b, async |session| session.get(NOTE).await).await;
    assert_eq!(visit.outcome, Ok(Some("tea".to_owned())));
    assert_eq!(visit.set_cookies(), [""; 0], "nothing changed");
    assert!(is_signed_in(&b, &mut jar).await);
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_when_something_changed_or_a_tenth_of_the_idle_time_has_passed() {
    let layer = plain().idle_timeout(10 * HOUR).absolute_timeout(50 * HOUR);
    let mut jar = signed_in(&layer).await;
    let set = jar.visit(&layer, async |session| session.set(NOTE, "a")).await;
    assert_eq!(set.set_cookies().len(), 1);
    let same = jar.visit(&layer, async |session| session.set(NOTE, "a")).await;
    assert_eq!(same.set_cookies().len(), 0, "the same value is no change");
    tokio::time::advance(HOUR).await;
    let read = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(read.set_cookies().len(), 1);
    let untouched = jar.visit(&layer, async |_session| Ok(())).await;
    assert_eq!(untouched.set_cookies().len(), 0);
    for _ in 0..9 {
        tokio::time::advance(5 * HOUR).await;
        assert!(is_signed_in(&layer, &mut jar).await, "it is in use");
    }
    tokio::time::advance(5 * HOUR).await;
    assert!(!is_signed_in(&layer, &mut jar).await, "the absolute end");
    assert_eq!(layer.counters().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_cookie_is_no_session_whoever_kept_it() {
    let layer = plain().idle_timeout(HOUR);
    let mut jar = signed_in(&layer).await;
    tokio::time::advance(HOUR).await;
    assert!(!is_signed_in(&layer, &mut jar).await);
}

#[tokio::test]
async fn a_long_session_takes_several_cookies_and_gives_them_back() {
    let layer = plain();
    let mut jar = signed_in(&layer).await;
    let long = noise(10_000);
    jar.visit(&layer, async |session| session.set(NOTE, &long)).await.outcome.unwrap();
    assert_eq!(jar.0.len(), 4, "{:?}", jar.0.keys());
    for (name, value) in &jar.0 {
        assert!(name.len() + value.len() < 4096);
    }
    let kept = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(kept.outcome.unwrap().as_deref(), Some(&*long));
    let shorter = jar.visit(&layer, async |session| session.set(NOTE, "short")).await;
    assert_eq!(shorter.set_cookies().len(), 4, "one is set and three are removed");
    assert_eq!(jar.0.len(), 1);
    jar.visit(&layer, async |session| session.set(NOTE, &long)).await.outcome.unwrap();
    jar.visit(&layer, async |session| {
        session.end();
        Ok(())
    })
    .await;
    assert_eq!(jar.0.len(), 0, "a logout removes all of them");
}

#[tokio::test]
async fn what_does_not_fit_is_a_clear_error_and_the_old_session_stays() {
    let layer = plain();
    let mut jar = signed_in(&layer).await;
    let before = jar.0.clone();
    let visit = jar.visit(&layer, async |session| session.set(NOTE, &noise(30_000))).await;
    assert_eq!(visit.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(visit.set_cookies(), [""; 0]);
    assert_eq!(jar.0, before);
    let asked = jar
        .visit(&layer, async |session| {
            session.set(NOTE, &noise(30_000))?;
            Ok(session.save().await.unwrap_err().to_string())
        })
        .await;
    assert!(asked.outcome.as_ref().unwrap().contains("cookie"), "the handler can know");
    assert_eq!(asked.status, StatusCode::OK, "and its response goes out");
    assert_eq!(asked.set_cookies(), [""; 0]);
    assert!(is_signed_in(&layer, &mut jar).await);
}

#[tokio::test]
async fn a_cookie_of_other_keys_or_damaged_is_no_session_and_counted() {
    let layer = plain();
    let mut jar = signed_in(&layer).await;
    let mut stranger = signed_in(&SessionLayer::sealed(keys(&[9]))).await;
    assert!(!is_signed_in(&layer, &mut stranger).await);
    for value in jar.0.values_mut() {
        value.pop();
    }
    let visit = jar.visit(&layer, async |session| session.subject().await).await;
    assert_eq!((visit.status, visit.outcome.unwrap()), (StatusCode::OK, None));
    assert_eq!(layer.counters().malformed, 2);
}

#[tokio::test(start_paused = true)]
async fn keys_are_rotated_in_three_steps_and_nobody_is_signed_out() {
    let steps = [keys(&[1]), keys(&[1, 2]), keys(&[2, 1]), keys(&[2])];
    let layers = steps.map(|keys| SessionLayer::sealed(keys).idle_timeout(10 * HOUR));
    let mut jar = signed_in(&layers[0]).await;
    for pair in layers.windows(2) {
        // While a step is rolled out, some servers are a step behind.
        for layer in [&pair[0], &pair[1], &pair[0]] {
            jar.visit(layer, async |session| session.set(NOTE, "x")).await.outcome.unwrap();
            assert!(is_signed_in(layer, &mut jar).await);
        }
        // Within an idle time-out each session in use is sealed anew.
        for _ in 0..2 {
            tokio::time::advance(5 * HOUR).await;
            assert!(is_signed_in(&pair[1], &mut jar).await);
        }
    }
    assert!(is_signed_in(&layers[3], &mut jar).await);
}

#[tokio::test]
async fn a_cookie_of_an_older_key_is_sealed_anew_when_it_is_read() {
    let mut jar = signed_in(&plain()).await;
    let rotated = SessionLayer::sealed(keys(&[2, 1]));
    let untouched = jar.visit(&rotated, async |_session| Ok(())).await;
    assert_eq!(untouched.set_cookies().len(), 0);
    let read = jar.visit(&rotated, async |session| session.subject().await).await;
    assert_eq!(read.set_cookies().len(), 1);
    assert!(is_signed_in(&SessionLayer::sealed(keys(&[2])), &mut jar).await);
    let again = jar.visit(&rotated, async |session| session.subject().await).await;
    assert_eq!(again.set_cookies().len(), 0);
}

#[tokio::test]
async fn without_revocations_a_copied_cookie_outlives_the_logout() {
    let layer = plain();
    let mut jar = signed_in(&layer).await;
    let mut copy = jar.stolen();
    jar.visit(&layer, async |session| {
        session.end();
        Ok(())
    })
    .await;
    assert!(!is_signed_in(&layer, &mut jar).await);
    assert!(is_signed_in(&layer, &mut copy).await, "as the documentation says");
    let others = copy.visit(&layer, async |session| session.end_others().await).await;
    assert!(others.outcome.unwrap_err().contains("revocations"));
}

#[tokio::test]
async fn with_revocations_a_logout_is_final_for_every_copy() {
    let store = MemoryStore::new();
    let layer = revocable(&store);
    let mut jar = signed_in(&layer).await;
    assert_eq!(store.sessions(), 0, "nothing is kept of a session that lives");
    let mut copy = jar.stolen();
    let mut slow = jar.stolen();
    let late = slow
        .visit(&layer, async |session| {
            session.get(NOTE).await?;
            jar.visit(&layer, async |session| {
                session.end();
                Ok(())
            })
            .await
            .outcome
            .unwrap();
            session.set(NOTE, "late")
        })
        .await;
    assert_eq!((late.status, late.set_cookies()), (StatusCode::OK, vec![]));
    assert!(!is_signed_in(&layer, &mut copy).await);
    assert!(!is_signed_in(&layer, &mut slow).await);
    assert_eq!((layer.counters().ended, layer.counters().gone), (1, 1));
}

#[tokio::test]
async fn with_revocations_all_sessions_of_a_user_end_but_one() {
    let store = MemoryStore::new();
    let layer = revocable(&store);
    let mut jars = [signed_in(&layer).await, signed_in(&layer).await, signed_in(&layer).await];
    for _ in 0..2 {
        let [first, second, third] = &mut jars;
        first.visit(&layer, async |session| session.end_others().await).await.outcome.unwrap();
        assert!(is_signed_in(&layer, first).await);
        assert!(!is_signed_in(&layer, second).await && !is_signed_in(&layer, third).await);
        // Whoever signs in after that is not touched.
        *second = signed_in(&layer).await;
        *third = signed_in(&layer).await;
        assert!(is_signed_in(&layer, second).await);
    }
    layer.sessions().end_all("alice").await.unwrap();
    for jar in &mut jars {
        assert!(!is_signed_in(&layer, jar).await);
    }
    assert_eq!(store.sessions(), 1, "one mark, however many sessions");
}

#[tokio::test(start_paused = true)]
async fn a_mark_outlives_every_cookie_that_it_revokes() {
    let store = MemoryStore::new();
    let layer = revocable(&store).idle_timeout(20 * HOUR).absolute_timeout(50 * HOUR);
    let mut jar = signed_in(&layer).await;
    let mut longer = jar.stolen();
    tokio::time::advance(10 * HOUR).await;
    let visit = longer
        .visit(&layer, async |session| {
            session
                .set_lifetime(Lifetime { idle_timeout: 900 * HOUR, absolute_timeout: 900 * HOUR });
            Ok(())
        })
        .await;
    assert!(visit.set_cookies()[0].contains("Max-Age=180000"), "{:?}", visit.set_cookies());
    jar.visit(&layer, async |session| {
        session.end();
        Ok(())
    })
    .await;
    for _ in 0..25 {
        assert!(!is_signed_in(&layer, &mut longer).await);
        tokio::time::advance(2 * HOUR).await;
    }
    assert!(!is_signed_in(&layer, &mut longer).await);
}

#[tokio::test]
async fn a_copy_from_before_the_sign_in_is_not_signed_in_by_it() {
    let layer = plain();
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| session.set(NOTE, "tea")).await.outcome.unwrap();
    let mut planted = jar.stolen();
    jar.visit(&layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    assert!(is_signed_in(&layer, &mut jar).await);
    assert!(!is_signed_in(&layer, &mut planted).await);
}

#[tokio::test]
async fn with_revocations_a_copy_from_before_a_sign_out_has_ended() {
    let layer = revocable(&MemoryStore::new());
    let mut jar = signed_in(&layer).await;
    let mut copy = jar.stolen();
    jar.visit(&layer, async |session| {
        session.set(NOTE, "tea")?;
        session.clear_subject();
        Ok(())
    })
    .await
    .outcome
    .unwrap();
    assert!(!is_signed_in(&layer, &mut copy).await);
    let note = jar.visit(&layer, async |session| session.get(NOTE).await).await;
    assert_eq!(note.outcome, Ok(Some("tea".to_owned())), "what was nobody's stays");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_revocations_is_never_taken_for_no_session() {
    let app = App::new();
    let sealed = SealedCookie::new(keys(&[1])).revocations(app.switch.clone());
    let layer = SessionLayer::sealed(sealed);
    let mut jar = signed_in(&layer).await;
    app.switch.set_down(true);
    let before = jar.0.clone();
    let read = jar.visit(&layer, async |session| session.subject().await).await;
    assert_eq!(read.status, StatusCode::SERVICE_UNAVAILABLE);
    let ends = jar
        .visit(&layer, async |session| {
            session.end();
            Ok(())
        })
        .await;
    assert_eq!(ends.status, StatusCode::SERVICE_UNAVAILABLE, "who is not signed out must know");
    let untouched = jar.visit(&layer, async |_session| Ok(())).await;
    assert_eq!(untouched.status, StatusCode::OK);
    assert_eq!(jar.0, before);
    app.switch.set_down(false);
    assert!(is_signed_in(&layer, &mut jar).await);
}

#[tokio::test]
async fn nobody_gets_a_cookie_for_nothing() {
    let layer = plain();
    let mut jar = Jar::default();
    let visit = jar
        .visit(&layer, async |session| {
            session.get(NOTE).await?;
            session.set(NOTE, "a")?;
            session.remove(NOTE)
        })
        .await;
    assert_eq!(visit.set_cookies(), [""; 0]);
}

#[tokio::test]
async fn after_the_response_a_sealed_session_can_only_be_read() {
    let store = MemoryStore::new();
    let layer = revocable(&store);
    let mut jar = signed_in(&layer).await;
    let stream = jar.visit(&layer, async |session| Ok(session)).await.outcome.unwrap();
    stream.reload().await.unwrap();
    stream.keep_alive().await.unwrap();
    stream.set(NOTE, "late").unwrap();
    assert!(matches!(stream.save().await, Err(Error::TooLate)));
    jar.visit(&layer, async |session| {
        session.end();
        Ok(())
    })
    .await;
    assert!(matches!(stream.reload().await, Err(Error::Gone)));
    stream.ended(HOUR).await;
}
