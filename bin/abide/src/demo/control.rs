//! Where the demo takes orders: a listener on loopback, for its own shops.
//!
//! Every order needs a field that a page of another site can not send without asking first, and is
//! refused then: nobody stops the demo's servers by luring its user to a page.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::fleet::Order;
use crate::exchange::DEMO_FIELD;

type Orders = mpsc::Sender<Order>;

#[derive(Debug, Deserialize)]
struct Named {
    server: String,
}

/// Serves until the task is dropped.
pub(super) async fn serve(listener: TcpListener, orders: Orders) -> std::io::Result<()> {
    let router = Router::new()
        .route("/demo/state", get(state))
        .route("/demo/stop", post(stop))
        .route("/demo/start", post(start))
        .with_state(orders);
    axum::serve(listener, router).await
}

async fn state(State(orders): State<Orders>, fields: HeaderMap) -> Response {
    match order(&orders, &fields, Order::Show).await {
        Ok(report) => Json(report).into_response(),
        Err(refused) => refused,
    }
}

async fn stop(
    State(orders): State<Orders>,
    Query(named): Query<Named>,
    fields: HeaderMap,
) -> Response {
    let name = named.server;
    done(order(&orders, &fields, |answer| Order::Stop(name, answer)).await)
}

async fn start(
    State(orders): State<Orders>,
    Query(named): Query<Named>,
    fields: HeaderMap,
) -> Response {
    let name = named.server;
    done(order(&orders, &fields, |answer| Order::Start(name, answer)).await)
}

fn done(done: Result<bool, Response>) -> Response {
    match done {
        Ok(true) => Json(json!({ "done": true })).into_response(),
        Ok(false) => (StatusCode::CONFLICT, Json(json!({ "done": false }))).into_response(),
        Err(refused) => refused,
    }
}

/// Gives an order and waits for its answer.
async fn order<T>(
    orders: &Orders,
    fields: &HeaderMap,
    make: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Result<T, Response> {
    if !fields.contains_key(DEMO_FIELD) {
        return Err(
            (StatusCode::FORBIDDEN, "only the demo's own page may ask this\n").into_response()
        );
    }
    let ending = || (StatusCode::SERVICE_UNAVAILABLE, "the demo is ending\n").into_response();
    let (answer, wait) = oneshot::channel();
    orders.send(make(answer)).await.map_err(|_error| ending())?;
    wait.await.map_err(|_error| ending())
}
