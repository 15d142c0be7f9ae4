//! What goes around a store keeps the contract of `Store`, with the exceptions that are said here.

use abide::{AtRest, KeyRing, MemoryStore, Moving, Observed, SealingKey, Store};

/// Tries every sentence, each on a store of its own, but for the ones that are excepted.
#[expect(clippy::print_stdout, reason = "it names the sentence that did not hold")]
async fn keeps_the_contract<S: Store>(excepted: &[&str], make: impl Fn() -> S) {
    let sentences = abide_store_suite::SENTENCES;
    for name in excepted {
        assert!(sentences.iter().any(|sentence| sentence.name() == *name), "{name} is no sentence");
    }
    for sentence in sentences.iter().filter(|sentence| !excepted.contains(&sentence.name())) {
        println!("{}", sentence.name());
        sentence.run(&make()).await;
    }
}

fn ring() -> KeyRing {
    KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).expect("one key is a ring")
}

#[tokio::test]
async fn a_store_whose_values_are_sealed_keeps_the_contract() {
    // These two put values of the full length, of which the seal takes a little. The tests beside
    // the code go up to what is left.
    let excepted = [
        "value_of_one_mebibyte_is_kept",
        "a_record_over_the_limit_is_an_error_and_changes_nothing",
    ];
    keeps_the_contract(&excepted, || AtRest::new(MemoryStore::new(), ring())).await;
}

#[tokio::test]
async fn a_store_that_is_observed_keeps_the_contract() {
    keeps_the_contract(&[], || Observed::new(MemoryStore::new(), "observed")).await;
}

#[tokio::test]
async fn a_store_that_sessions_move_to_keeps_the_contract() {
    keeps_the_contract(&[], || Moving::new(MemoryStore::new(), MemoryStore::new())).await;
}

#[tokio::test]
async fn a_store_that_is_prepared_for_a_move_keeps_the_contract() {
    keeps_the_contract(&[], || Moving::prepared(MemoryStore::new(), MemoryStore::new())).await;
}
