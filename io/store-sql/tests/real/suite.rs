//! The contract of a store, on each kind of database.
//!
//! Of databases that have to be started one test each, because that takes longer than a sentence where each test is a
//! process. What fails is named by the place in the suite.

use abide_store_sql::SqlStore;
use abide_store_suite::SENTENCES;

use super::places::{Folder, MARIADB, PATIENT, POSTGRES, connect};

async fn every_sentence_holds_at(url: &str) {
    let store = SqlStore::builder(url)
        .connections(4)
        .timeout(PATIENT)
        .connect()
        .await
        .expect("it is there");
    every_sentence_holds(&store).await;
}

async fn every_sentence_holds(store: &SqlStore) {
    for sentence in SENTENCES {
        sentence.run(store).await;
    }
}

#[tokio::test]
async fn postgres_keeps_every_sentence() {
    every_sentence_holds_at(&POSTGRES.url()).await;
}

#[tokio::test]
async fn mariadb_keeps_every_sentence() {
    every_sentence_holds_at(&MARIADB.url()).await;
}

#[tokio::test]
async fn a_file_of_sqlite_keeps_every_sentence() {
    let folder = Folder::new();
    every_sentence_holds(&connect(&folder.url()).await).await;
}

mod sqlite_memory {
    use super::super::places::connect;

    abide_store_suite::store_suite!(connect("sqlite::memory:"));
}
