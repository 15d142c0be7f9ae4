//! What the visitors' sessions hold: five fields, 400 bytes as JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub roles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub sku: String,
    pub quantity: u32,
    pub price_cents: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    pub locale: String,
    pub currency: String,
    pub theme: String,
}

pub fn user() -> User {
    User {
        id: 184_467,
        name: "Ada Lovelace".into(),
        email: "ada.lovelace@example.org".into(),
        roles: vec!["customer".into(), "reviewer".into()],
    }
}

pub fn cart() -> Vec<Line> {
    vec![
        Line { sku: "SHOE-42-BLACK".into(), quantity: 1, price_cents: 8_990 },
        Line { sku: "SOCK-3-PACK".into(), quantity: 2, price_cents: 1_290 },
    ]
}

pub fn preferences() -> Preferences {
    Preferences { locale: "de-DE".into(), currency: "EUR".into(), theme: "dark".into() }
}

pub const CSRF_TOKEN: &str = "pK3v9sQmYt0bXw7LrN2cHf5aJd8eUg1i";

/// A page that nobody looked at before, so that writing it down is a change.
pub fn next_page() -> String {
    static PAGES: AtomicU64 = AtomicU64::new(100_000);
    format!("/products/{}", PAGES.fetch_add(1, Ordering::Relaxed))
}
