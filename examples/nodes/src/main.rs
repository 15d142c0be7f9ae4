//! Servers that keep the sessions themselves: each session is in the memory of two of them.
//!
//! ```text
//! export SECRET=$(cargo run -q -p abide-bin -- keygen) NODES=a=127.0.0.1:7946,b=127.0.0.1:7947
//! NAME=a PORT=3000 cargo run -p abide-example-nodes     # in one terminal
//! NAME=b PORT=3001 cargo run -p abide-example-nodes     # in another, with the same SECRET
//! ```
//!
//! Open <http://127.0.0.1:3000>, reload, then open <http://127.0.0.1:3001>: it goes on counting. Kill either
//! (`kill -9`), reload at the other: nothing is lost. Start the one that was killed again, wait until its
//! `/ready` says so, and kill the other. Ctrl-C or SIGTERM gives away what a server holds before it stops.
//!
//! Behind a balancer let its checks ask `/health`: when a server dies the others are not *ready* until they
//! have made new copies, and serve all the while. `/ready` is for whoever restarts one server after the other.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::env;
use std::error::Error;
use std::time::Duration;

use abide::{Observed, SealingKey, Session, SessionLayer};
use abide_node::{Config, NodeStore};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long a stop waits until the others have all that this server holds.
const LEAVE: Duration = Duration::from_secs(10);

async fn count(session: Session) -> Result<String, abide::Error> {
    session.update("visits", |visits: &mut u32| *visits += 1).await?;
    Ok(format!("{} visits\n", session.get::<u32>("visits").await?.unwrap_or(0)))
}

/// The app, and what is asked about the server rather than by its visitors.
fn app(node: &NodeStore) -> Router {
    let (ready, counting, gauging) = (node.clone(), node.clone(), node.clone());
    let store =
        Observed::new(node.clone(), "nodes").with_counters(move || counting.counters().events());
    // Without TLS, on this machine only. In production leave the second call out.
    let sessions = SessionLayer::new(store.clone()).insecure_for_development();
    Router::new()
        .route("/", get(count))
        .layer(sessions)
        .route("/health", get(|| async { "ok\n" }))
        .route(
            "/ready",
            get(async move || {
                let status = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK];
                status[usize::from(ready.is_ready().await)]
            }),
        )
        .route("/metrics", get(async move || store.metrics() + &gauging.metrics().await))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (name, nodes) = (env::var("NAME")?, env::var("NODES")?);
    let nodes = nodes.split(',').filter_map(|node| node.split_once('='));
    let secret = SealingKey::parse(&env::var("SECRET")?)?;
    let node = abide_node::join(Config::new(name, nodes).secret(secret)).await?;

    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let mut term = signal(SignalKind::terminate())?;
    let leaving = node.clone();
    let stop = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        // Visitors are served meanwhile; from here on a copy of everything is elsewhere.
        leaving.leave(LEAVE).await;
    };
    axum::serve(listener, app(&node)).with_graceful_shutdown(stop).await?;
    Ok(())
}
