//! What caches may keep.

use abide::{Error, MemoryStore, Session, SessionLayer};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::get;
use tower::ServiceExt;

async fn cache_control(path: &str) -> (Option<String>, bool) {
    async fn write(session: Session) -> Result<[(header::HeaderName, &'static str); 1], Error> {
        session.set("a", "1")?;
        Ok([(header::CACHE_CONTROL, "public, max-age=600")])
    }
    let router: Router = Router::new()
        .route("/write", get(write))
        .route("/plain", get(|| async { [(header::CACHE_CONTROL, "public, max-age=600")] }))
        .layer(SessionLayer::new(MemoryStore::new()));
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let value = response.headers().get(header::CACHE_CONTROL);
    let varies = response.headers().contains_key(header::VARY);
    (value.map(|value| value.to_str().unwrap().to_owned()), varies)
}

#[tokio::test]
async fn a_response_that_carries_a_cookie_is_kept_by_no_shared_cache() {
    assert_eq!(cache_control("/write").await, (Some("private, max-age=600".to_owned()), true));
}

#[tokio::test]
async fn a_response_without_a_session_is_left_as_it_is() {
    assert_eq!(cache_control("/plain").await, (Some("public, max-age=600".to_owned()), false));
}
