//! What a session of this bench holds. Every app in Rust includes this file, and
//! `peers/express/app.mjs` does the same.

use std::sync::atomic::{AtomicU64, Ordering};

/// Eight fields of 500 characters: the session of 4 KB.
pub const FIELDS: [&str; 8] =
    ["page", "cart", "profile", "search", "filters", "history", "messages", "draft"];

/// The five small fields of a session that most apps have: 103 characters with their names.
pub const SMALL: [(&str, &str); 5] = [
    ("user", "184467"),
    ("csrf", "pK3v9sQmYt0bXw7LrN2cHf5aJd8eUg1i"),
    ("cart", "SHOE-42,SOCK-3"),
    ("locale", "de-DE"),
    ("page", "/products/100000"),
];

/// How long a session lives without a visit.
pub const IDLE_SECONDS: i64 = 24 * 60 * 60;

/// The characters of a field.
pub const TEXT_CHARACTERS: usize = 500;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A text that no session held before, and that does not compress: so that writing it is a change.
pub fn text() -> String {
    static TEXTS: AtomicU64 = AtomicU64::new(1);
    let mut state = TEXTS.fetch_add(1, Ordering::Relaxed);
    (0..TEXT_CHARACTERS)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(ALPHABET[(state >> 58) as usize])
        })
        .collect()
}
