//! The app of this bench with abide.
//!
//! `abide-app STORE` listens on a port of its own and prints its address. A store is an address as
//! the stores take it, `memory`, `sealed`, or `none` for the same app without sessions.

use std::error::Error;
use std::time::Duration;

use abide::{KeyRing, MemoryStore, SealedCookie, SealingKey, Session, SessionLayer};
use axum::Router;
use axum::routing::get;
use tower::layer::util::Identity;

mod content;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = std::env::args().nth(1).ok_or("usage: abide-app STORE")?;
    let app = match &*store {
        "none" => bare(),
        address => {
            let idle_timeout = Duration::from_secs(content::IDLE_SECONDS.unsigned_abs());
            app(layer(address).await?.idle_timeout(idle_timeout))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn layer(address: &str) -> Result<SessionLayer, Box<dyn Error>> {
    Ok(match address.split([':', '+']).next().unwrap_or_default() {
        "memory" => SessionLayer::new(MemoryStore::new()),
        "sealed" => {
            let ring = KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])])?;
            SessionLayer::sealed(SealedCookie::new(ring))
        }
        #[cfg(feature = "redis")]
        "redis" => SessionLayer::new(abide_store_redis::RedisStore::connect(address).await?),
        #[cfg(feature = "sql")]
        "postgres" | "mysql" | "sqlite" => {
            SessionLayer::new(abide_store_sql::SqlStore::connect(address).await?)
        }
        #[cfg(feature = "memcached")]
        "memcached" => {
            SessionLayer::new(abide_store_memcached::MemcachedStore::connect(address).await?)
        }
        other => return Err(format!("no store {other}").into()),
    })
}

fn app(sessions: SessionLayer) -> Router {
    Router::new()
        .route("/create", get(create))
        .route("/small", get(small))
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/logout", get(logout))
        .layer(sessions)
}

type Answer<T = &'static str> = Result<T, abide::Error>;

async fn create(session: Session) -> Answer {
    for name in content::FIELDS {
        session.set(name, &content::text())?;
    }
    Ok("created")
}

async fn small(session: Session) -> Answer {
    for (name, value) in content::SMALL {
        session.set(name, value)?;
    }
    Ok("created")
}

async fn untouched() -> &'static str {
    "untouched"
}

async fn read(session: Session) -> Answer<String> {
    let text: Option<String> = session.get(content::FIELDS[0]).await?;
    Ok(text.unwrap_or_default())
}

async fn write(session: Session) -> Answer<String> {
    let text = content::text();
    session.set(content::FIELDS[0], &text)?;
    Ok(text)
}

async fn logout(session: Session) -> &'static str {
    session.end();
    "gone"
}

/// What the handlers do without a session, under a layer that does nothing: what axum takes for any
/// layer is not the session's.
fn bare() -> Router {
    Router::new()
        .route("/create", get(bare_create))
        .route("/small", get(async || "created"))
        .route("/untouched", get(untouched))
        .route("/read", get(async || content::text()))
        .route("/write", get(async || content::text()))
        .route("/logout", get(async || "gone"))
        .layer(Identity::new())
}

async fn bare_create() -> &'static str {
    for _ in content::FIELDS {
        std::hint::black_box(content::text());
    }
    "created"
}
