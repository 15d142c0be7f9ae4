//! What is said to somebody whose store does not connect.

use std::time::Duration;

use abide_servers::{MariaDb, Postgres, free_port};
use abide_store_sql::{ConnectError, SqlStore};

use super::places::{Folder, MARIADB, PATIENT, POSTGRES};

async fn refusal(url: &str) -> ConnectError {
    let outcome = SqlStore::builder(url).timeout(PATIENT).connect().await;
    let error = outcome.expect_err("a store that can not be connected");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("secret") && !shown.contains("guessed"), "a password: {shown}");
    let text = error.to_string();
    assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase), "{text}");
    error
}

#[tokio::test]
async fn a_url_that_can_not_be_right_is_called_that() {
    for url in [
        "",
        "sessions",
        "redis://localhost",
        "postgres://abide:secret@localhost:port/abide",
        "mysql://abide:secret@localhost",
        "postgres://abide:secret#2@localhost/abide",
        "sqlite://sessions.db?mode=magic",
        "sqlite:",
        "sqlite://",
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, ConnectError::BadUrl(_)), "{url}: {error:?}");
        let is_of_server = url.starts_with("postgres") || url.starts_with("mysql");
        assert!(!is_of_server || error.to_string().contains("://user:password@"), "{error}");
    }
    let builder = || SqlStore::builder("sqlite::memory:");
    for wrong in [
        builder().connections(0),
        builder().timeout(Duration::ZERO),
        builder().timeout(Duration::MAX),
        builder().cleanup(Duration::ZERO),
    ] {
        let outcome = wrong.connect().await;
        assert!(matches!(outcome, Err(ConnectError::BadUrl(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let port = free_port();
    for scheme in ["postgres", "mysql"] {
        let url = format!("{scheme}://abide:secret@{}/abide", port.address());
        let error = refusal(&url).await;
        match &error {
            ConnectError::Unreachable { address, .. } => assert_eq!(*address, port.address()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unreachable_in_time() {
    // Takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    for scheme in ["postgres", "mysql"] {
        let builder = SqlStore::builder(&format!("{scheme}://abide:secret@{address}/abide"));
        let outcome = builder.timeout(Duration::from_millis(200)).connect().await;
        assert!(matches!(outcome, Err(ConnectError::Unreachable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_or_database_is_refused_in_the_servers_words() {
    for url in [
        POSTGRES.url_as("abide", "guessed", "abide"),
        POSTGRES.url_of("nowhere"),
        MARIADB.url_as("abide", "guessed", "abide"),
        MARIADB.url_of("nowhere"),
    ] {
        let error = refusal(&url).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_unsuitable() {
    let mut urls = Vec::new();
    let primary = Postgres::fast();
    let standby = Postgres::standby_of(&primary);
    urls.push(standby.url());
    let told = Postgres::with(&["-c", "fsync=off", "-c", "default_transaction_read_only=on"]);
    urls.push(told.url());
    let mysql = MariaDb::with(&["--read-only"]);
    urls.push(mysql.url());
    let folder = Folder::new();
    drop(super::places::connect(&folder.url()).await);
    urls.push(format!("{}?mode=ro", folder.url()));
    for url in urls {
        let error = refusal(&url).await;
        match &error {
            ConnectError::Unsuitable(reason) => assert!(reason.contains("no writes"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sqlite_file_that_can_not_be_is_said_to_be_so_and_what_to_do() {
    let folder = Folder::new();
    let missing = folder.file().join("no such folder/sessions.db");
    let is_a_folder = folder.file().with_file_name("");
    for file in [missing.display(), is_a_folder.display()] {
        let error = refusal(&format!("sqlite://{file}")).await;
        assert!(matches!(error, ConnectError::File { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("can not be opened") && text.contains("make its folder"), "{text}");
    }
    std::fs::write(folder.file(), "this is a text, and not a database of anybody".repeat(100))
        .expect("a file");
    let error = refusal(&folder.url()).await;
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

/// Servers of one machine that start together open one file, which is no WAL yet; those that end
/// together tidy it up.
#[test]
fn many_open_one_new_sqlite_file_at_the_same_time() {
    for _ in 0..20 {
        let folder = Folder::new();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(async {
                        for _ in 0..3 {
                            let builder = SqlStore::builder(&folder.url()).cleanup(None);
                            let store = builder.timeout(PATIENT).connect().await;
                            store.expect("a store").health().await.expect("a healthy store");
                        }
                    });
                });
            }
        });
    }
}
