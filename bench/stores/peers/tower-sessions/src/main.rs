//! The app of this bench with tower-sessions and the stores that its authors publish.
//!
//! `tower-sessions-app STORE` listens on a port of its own and prints its address. A store is
//! `redis://`, `postgres://`, `mysql://` or `sqlite://`, set up as the documentation of the stores
//! shows; with `--wal` SQLite has the journal and the durability that abide chooses.

use std::error::Error;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use fred::prelude::{ClientLike as _, Config, Pool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{MySqlPool, PgPool, SqlitePool};
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};

#[path = "../../../app/src/content.rs"]
mod content;

/// As many as the pools of sqlx open by themselves.
const REDIS_CONNECTIONS: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().ok_or("usage: tower-sessions-app STORE [--wal]")?;
    let wal = arguments.next().is_some_and(|flag| flag == "--wal");
    let app = match store.split(':').next().unwrap_or_default() {
        "redis" => {
            let pool = Pool::new(Config::from_url(&store)?, None, None, None, REDIS_CONNECTIONS)?;
            pool.connect();
            pool.wait_for_connect().await?;
            app(RedisStore::new(pool))
        }
        "postgres" => {
            let store = PostgresStore::new(PgPool::connect(&store).await?);
            store.migrate().await?;
            app(store)
        }
        "mysql" => {
            let store = MySqlStore::new(MySqlPool::connect(&store).await?);
            store.migrate().await?;
            app(store)
        }
        "sqlite" => {
            let mut options: SqliteConnectOptions = store.parse()?;
            options = options.create_if_missing(true);
            if wal {
                options = options
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal);
            }
            let store = SqliteStore::new(SqlitePool::connect_with(options).await?);
            store.migrate().await?;
            app(store)
        }
        other => return Err(format!("no store {other}").into()),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

fn app<S: SessionStore + Clone>(store: S) -> Router {
    let sessions = SessionManagerLayer::new(store)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(content::IDLE_SECONDS)));
    Router::new()
        .route("/create", get(create))
        .route("/small", get(small))
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/logout", get(logout))
        .layer(sessions)
}

/// A handler that can not go on has nothing to say but that.
type Answer<T = &'static str> = Result<T, StatusCode>;

fn failed(error: tower_sessions::session::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn create(session: Session) -> Answer {
    for name in content::FIELDS {
        session.insert(name, content::text()).await.map_err(failed)?;
    }
    Ok("created")
}

async fn small(session: Session) -> Answer {
    for (name, value) in content::SMALL {
        session.insert(name, value).await.map_err(failed)?;
    }
    Ok("created")
}

async fn untouched() -> &'static str {
    "untouched"
}

async fn read(session: Session) -> Answer<String> {
    let text: Option<String> = session.get(content::FIELDS[0]).await.map_err(failed)?;
    Ok(text.unwrap_or_default())
}

async fn write(session: Session) -> Answer<String> {
    let text = content::text();
    session.insert(content::FIELDS[0], &text).await.map_err(failed)?;
    Ok(text)
}

async fn logout(session: Session) -> Answer {
    session.flush().await.map_err(failed)?;
    Ok("gone")
}
