//! What a node says of itself over HTTP, for operators, supervisors and balancers.

use std::sync::Arc;
use std::time::Duration;

use abide_node::{LoseError, NodeStore};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

/// The routes below `/cluster`, of a server that is a node, or is none.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(node: Option<NodeStore>) -> Router<S> {
    Router::new()
        .route("/cluster", get(overview))
        .route("/cluster/slots", get(slots))
        .route("/cluster/safe-to-stop", get(safe_to_stop))
        .with_state(Arc::new(node))
}

/// What changes something: for a listener that operators alone reach.
pub(crate) fn orders(node: NodeStore) -> Router {
    Router::new().route("/cluster/lost/{name}", post(lost)).with_state(node)
}

/// Whether a node holds all that it should; if so, none.
pub(crate) async fn unready(node: &NodeStore) -> Option<Response> {
    if node.is_ready().await {
        return None;
    }
    let text = "this node does not hold all that it should yet\n";
    Some((StatusCode::SERVICE_UNAVAILABLE, text).into_response())
}

/// Gives away what a node holds, before its process ends. It goes on meanwhile.
pub(crate) async fn leave(node: &NodeStore) {
    if !node.leave(LEAVE_MAX).await {
        tracing::warn!("not everything could be given to other nodes in time");
    }
}

/// How long a stop waits until other nodes have all that this one holds.
pub(crate) const LEAVE_MAX: Duration = Duration::from_secs(10);

type Node = State<Arc<Option<NodeStore>>>;

/// What this server holds and leads.
async fn overview(State(node): Node) -> Response {
    let Some(node) = &*node else { return NOT_A_NODE.into_response() };
    let Some(status) = node.status().await else { return STOPPED.into_response() };
    Json(json!({
        "node": node.name(), "nodes": node.names(),
        "sessions": status.sessions, "entries": status.entries, "bytes": status.bytes,
        "bytes_max": status.bytes_max,
        "slots_led": status.led, "slots_without_leader": status.leaderless,
        "missed": node.missed().await,
        "ready": node.is_ready().await, "safe_to_stop": node.is_safe_to_stop().await,
    }))
    .into_response()
}

/// Who leads each slot, as this server knows it: places in the list of nodes.
async fn slots(State(node): Node) -> Response {
    let Some(node) = &*node else { return NOT_A_NODE.into_response() };
    let Some(leaders) = node.leaders().await else { return STOPPED.into_response() };
    Json(json!({ "nodes": leaders.nodes, "leaders": leaders.of_slots })).into_response()
}

/// Whether this server may be killed now and nothing is lost.
async fn safe_to_stop(State(node): Node) -> Response {
    let Some(node) = &*node else { return NOT_A_NODE.into_response() };
    if node.is_safe_to_stop().await {
        return "yes\n".into_response();
    }
    let text = "no: it may have what no other node has for certain\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Nothing comes back of the node of this name: nobody is to wait for it.
async fn lost(State(node): State<NodeStore>, Path(name): Path<String>) -> Response {
    let Err(error) = node.lose(&name).await else {
        return "nobody waits for it any longer\n".into_response();
    };
    let status = match error {
        LoseError::Unknown => StatusCode::NOT_FOUND,
        LoseError::Here => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{error}\n")).into_response()
}

const NOT_A_NODE: (StatusCode, &str) =
    (StatusCode::NOT_FOUND, "this server is no node; --keep nodes://... makes it one\n");
const STOPPED: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "this node has stopped\n");
