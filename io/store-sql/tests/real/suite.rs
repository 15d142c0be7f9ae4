//! The contract of a store, sentence by sentence, on each kind of database.

mod postgres {
    use super::super::places::{PATIENT, POSTGRES};

    abide_store_suite::store_suite!(async {
        let builder = abide_store_sql::SqlStore::builder(&POSTGRES.url());
        builder.connections(4).timeout(PATIENT).connect().await.expect("PostgreSQL")
    });
}

mod mariadb {
    use super::super::places::{MARIADB, PATIENT};

    abide_store_suite::store_suite!(async {
        let builder = abide_store_sql::SqlStore::builder(&MARIADB.url());
        builder.connections(4).timeout(PATIENT).connect().await.expect("MariaDB")
    });
}

mod sqlite_file {
    use super::super::places::{Folder, connect};

    /// One test of all, so that the file goes with it.
    #[tokio::test]
    async fn every_sentence_holds() {
        let folder = Folder::new();
        let store = connect(&folder.url()).await;
        for sentence in abide_store_suite::SENTENCES {
            sentence.run(&store).await;
        }
    }
}

mod sqlite_memory {
    use super::super::places::connect;

    abide_store_suite::store_suite!(connect("sqlite::memory:"));
}
