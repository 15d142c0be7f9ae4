//! Sessions that are kept longer than their request.

use std::time::Duration;

use abide::{Error, MemoryStore, Session, SessionLayer};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, header};
use axum::routing::get;
use tokio::sync::mpsc::UnboundedSender;
use tower::ServiceExt;

use crate::app::App;
use crate::visit::Jar;

/// A server whose handlers hand out their sessions.
async fn kept(router: &Router, cookie: Option<&str>) -> Option<String> {
    let mut request = Request::builder().uri("/");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let cookie = response.headers().get(header::SET_COOKIE)?.to_str().unwrap();
    Some(cookie.split(';').next()?.to_owned())
}

#[tokio::test]
async fn a_stream_saves_what_it_writes_but_begins_no_session() {
    async fn handler(session: Session, out: State<UnboundedSender<Session>>) {
        out.send(session).unwrap();
    }
    let (out, mut sessions) = tokio::sync::mpsc::unbounded_channel();
    let router: Router = Router::new()
        .route("/", get(handler))
        .with_state(out)
        .layer(SessionLayer::new(MemoryStore::new()));

    assert_eq!(kept(&router, None).await, None);
    let strangers = sessions.recv().await.unwrap();
    strangers.set("a", "1").unwrap();
    assert!(matches!(strangers.save().await, Err(Error::TooLate)), "no cookie can be sent");
}

#[tokio::test]
async fn a_stream_goes_on_with_the_session_it_has_and_learns_of_its_end() {
    async fn handler(session: Session, out: State<UnboundedSender<Session>>) -> Result<(), Error> {
        session.set("a", "1")?;
        out.send(session).unwrap();
        Ok(())
    }
    async fn end(session: Session) {
        session.end();
    }
    let (out, mut sessions) = tokio::sync::mpsc::unbounded_channel();
    let router: Router = Router::new()
        .route("/", get(handler))
        .route("/end", get(end))
        .with_state(out)
        .layer(SessionLayer::new(MemoryStore::new()));

    let cookie = kept(&router, None).await.unwrap();
    let stream = sessions.recv().await.unwrap();
    stream.set("b", "2").unwrap();
    stream.save().await.unwrap();
    kept(&router, Some(&cookie)).await;
    let next = sessions.recv().await.unwrap();
    assert_eq!(next.get::<String>("b").await.unwrap().as_deref(), Some("2"));

    stream.renew();
    assert!(matches!(stream.save().await, Err(Error::TooLate)));
    let request = Request::builder().uri("/end").header(header::COOKIE, &cookie);
    router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    for value in ["3", "4"] {
        next.set("c", value).unwrap();
        assert!(matches!(next.save().await, Err(Error::Gone)));
        assert_eq!(next.get::<String>("b").await.unwrap(), None);
    }
}

const MINUTE: Duration = Duration::from_mins(1);

/// A stream of somebody who has signed in, and his browser.
async fn stream(layer: &SessionLayer) -> (Session, Jar) {
    let mut jar = Jar::default();
    let visit = jar
        .visit(layer, async |session| {
            session.set_subject("alice")?;
            Ok(session)
        })
        .await;
    (visit.outcome.unwrap(), jar)
}

#[tokio::test]
async fn a_stream_sees_what_others_write_once_it_loads_again() {
    let layer = SessionLayer::new(MemoryStore::new());
    let (stream, mut jar) = stream(&layer).await;
    stream.set("own", "not yet saved").unwrap();
    jar.visit(&layer, async |session| session.set("a", &1)).await.outcome.unwrap();
    assert_eq!(stream.get::<u32>("a").await.unwrap(), None);
    stream.reload().await.unwrap();
    assert_eq!(stream.get::<u32>("a").await.unwrap(), Some(1));
    stream.save().await.unwrap();
    let kept = jar.visit(&layer, async |session| session.get::<String>("own").await).await;
    assert_eq!(kept.outcome.unwrap().as_deref(), Some("not yet saved"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_session_alive_if_it_wants_to() {
    let layer = SessionLayer::new(MemoryStore::new()).idle_timeout(10 * MINUTE);
    let (active, _) = stream(&layer).await;
    let (idle, _) = stream(&layer).await;
    for _ in 0..5 {
        tokio::time::advance(5 * MINUTE).await;
        active.keep_alive().await.unwrap();
    }
    assert!(matches!(idle.keep_alive().await, Err(Error::Gone)), "it was not used in time");
    assert_eq!(layer.counters().committed, 5);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_when_its_session_ends() {
    let app = App::new();
    let layer = SessionLayer::new(app.switch.clone());
    let (stream, mut jar) = stream(&layer).await;
    let ended = tokio::spawn(async move { stream.ended(MINUTE).await });
    tokio::time::advance(5 * MINUTE).await;
    app.switch.set_down(true);
    tokio::time::advance(5 * MINUTE).await;
    app.switch.set_down(false);
    tokio::time::advance(5 * MINUTE).await;
    assert!(!ended.is_finished(), "an outage is no end");
    jar.visit(&layer, async |session| {
        session.end();
        Ok(())
    })
    .await;
    ended.await.unwrap();
}

#[tokio::test]
async fn a_stream_without_a_session_has_nothing_to_wait_for() {
    let layer = SessionLayer::new(MemoryStore::new());
    let visit = Jar::default().visit(&layer, async |session| Ok(session)).await;
    let stream = visit.outcome.unwrap();
    stream.reload().await.unwrap();
    stream.ended(MINUTE).await;
}
