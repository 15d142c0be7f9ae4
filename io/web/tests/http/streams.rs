//! Sessions that are kept longer than their request.

use abide::{Error, MemoryStore, Session, SessionLayer};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, header};
use axum::routing::get;
use tokio::sync::mpsc::UnboundedSender;
use tower::ServiceExt;

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
