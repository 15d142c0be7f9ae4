//! What the page asks for: the visitor's own state, and changes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use abide::{Error, Key, Session};
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::{Shop, USER, UserName};

/// How often the page was opened in this session.
const VISITS: Key<u32> = Key::new("visits");
/// How many of each thing are in the cart.
const CART: Key<BTreeMap<String, u32>> = Key::new("cart");

/// The most different things in a cart, and the most of one: the page has six, and a program that
/// sends others must not fill the memory.
const CART_LINES_MAX: usize = 32;
const CART_COUNT_MAX: u32 = 99;

/// What the page shows of a session.
#[derive(Debug, Serialize)]
struct Visitor {
    server: String,
    kept: &'static str,
    user: Option<String>,
    visits: u32,
    cart: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
struct Name {
    user: UserName,
}

#[derive(Debug, Deserialize)]
struct Change {
    item: String,
    add: i32,
}

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/shop/state", get(state))
        .route("/shop/visit", post(visit))
        .route("/shop/login", post(login))
        .route("/shop/logout", post(logout))
        .route("/shop/cart", post(cart))
}

async fn state(State(shop): State<Arc<Shop>>, session: Session) -> Result<Json<Visitor>, Error> {
    show(&shop, &session).await
}

async fn visit(State(shop): State<Arc<Shop>>, session: Session) -> Result<Json<Visitor>, Error> {
    session.update(VISITS, |visits: &mut u32| *visits = visits.saturating_add(1)).await?;
    show(&shop, &session).await
}

async fn login(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(name): Query<Name>,
) -> Result<Json<Visitor>, Error> {
    super::sign_in(&session, &name.user)?;
    show(&shop, &session).await
}

async fn logout(State(shop): State<Arc<Shop>>, session: Session) -> Json<Visitor> {
    session.end();
    let (server, kept) = (shop.name.clone(), shop.kept.word);
    Json(Visitor { server, kept, user: None, visits: 0, cart: BTreeMap::new() })
}

async fn cart(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(change): Query<Change>,
) -> Result<Json<Visitor>, Error> {
    session.update(CART, move |cart: &mut BTreeMap<String, u32>| change.apply(cart)).await?;
    show(&shop, &session).await
}

impl Change {
    fn apply(&self, cart: &mut BTreeMap<String, u32>) {
        if cart.len() >= CART_LINES_MAX && !cart.contains_key(&self.item) {
            return;
        }
        let item: String = self.item.chars().take(super::USER_CHARACTERS_MAX).collect();
        let count = cart.entry(item).or_default();
        *count = count.saturating_add_signed(self.add).min(CART_COUNT_MAX);
        cart.retain(|_, count| *count > 0);
    }
}

async fn show(shop: &Shop, session: &Session) -> Result<Json<Visitor>, Error> {
    Ok(Json(Visitor {
        server: shop.name.clone(),
        kept: shop.kept.word,
        user: session.get(USER).await?,
        visits: session.get(VISITS).await?.unwrap_or(0),
        cart: session.get(CART).await?.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_stays_small_and_holds_no_empty_lines() {
        let mut cart = BTreeMap::new();
        let change = |item: &str, add| Change { item: item.into(), add };
        change("tea", 2).apply(&mut cart);
        change("tea", -1).apply(&mut cart);
        assert_eq!(cart.get("tea"), Some(&1));
        change("tea", -5).apply(&mut cart);
        assert!(cart.is_empty(), "{cart:?}");
        change("tea", i32::MAX).apply(&mut cart);
        assert_eq!(cart.get("tea"), Some(&CART_COUNT_MAX));
        for number in 0..100 {
            change(&number.to_string(), 1).apply(&mut cart);
        }
        assert_eq!(cart.len(), CART_LINES_MAX);
    }
}
