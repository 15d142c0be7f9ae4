//! Counts the visits of each browser.
//!
//! ```text
//! cargo run -p abide-example-counter
//! ```
//!
//! Open <http://127.0.0.1:3000> and reload: the number goes up. Another browser, or a private
//! window, starts at one. `PORT=4000` listens there instead.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use abide::{Error, Key, MemoryStore, Session, SessionLayer};
use axum::Router;
use axum::routing::get;

const VISITS: Key<u32> = Key::new("visits");

async fn count(session: Session) -> Result<String, Error> {
    session.update(VISITS, |visits| *visits += 1).await?;
    let visits = session.get(VISITS).await?.unwrap_or_default();
    Ok(format!("Visits: {visits}\n"))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without TLS, on this machine only. In production leave the second call out.
    let sessions = SessionLayer::new(MemoryStore::new()).insecure_for_development();
    let app = Router::new().route("/", get(count)).layer(sessions);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
