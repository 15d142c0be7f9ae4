//! Hands orders of the page on to the demo.
//!
//! The page can only reach its own origin, which is the balancer; the demo listens elsewhere on
//! loopback. So a shop passes on what comes under `/demo`, if the field is there that a page of
//! another site could not send.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::Shop;
use crate::exchange::{self, DEMO_FIELD};

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/demo/state", get(hand_on))
        .route("/demo/stop", post(hand_on))
        .route("/demo/start", post(hand_on))
}

async fn hand_on(
    State(shop): State<Arc<Shop>>,
    method: Method,
    target: Uri,
    fields: HeaderMap,
) -> Response {
    let Some(demo) = shop.demo else {
        return (StatusCode::NOT_FOUND, "this server was not started by a demo\n").into_response();
    };
    if !fields.contains_key(DEMO_FIELD) {
        return (StatusCode::FORBIDDEN, "only the page itself may ask this\n").into_response();
    }
    let target = target.path_and_query().map_or("/", |target| target.as_str());
    match exchange::ask(demo, method, target).await {
        Ok((status, body)) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the demo does not answer");
            (StatusCode::BAD_GATEWAY, "the demo does not answer\n").into_response()
        }
    }
}
