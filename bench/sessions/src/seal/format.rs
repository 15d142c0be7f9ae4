//! What is compared, and what is the same for all: cookie, name, attributes.

use crate::session::Session;

/// A way to keep a session in cookies.
pub trait Format {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The `Set-Cookie` texts for a session.
    fn seal(&self, session: &Session) -> Vec<String>;

    /// The session in a `Cookie` field, which has cookies of others too.
    fn open(&self, field: &str) -> Session;
}

pub const COOKIE: &str = "session";
pub const MAX_AGE_SECONDS: u32 = 14 * 24 * 3600;
/// What browsers keep of one cookie (RFC 6265bis section 5.7).
pub const BROWSER_BYTES: usize = 4096;

/// What a browser sends back of these `Set-Cookie` texts.
pub fn sent_back(texts: &[String]) -> String {
    let pairs: Vec<&str> =
        texts.iter().map(|text| text.split(';').next().unwrap_or_default()).collect();
    pairs.join("; ")
}

/// A cookie of the `cookie` crate with the attributes that all of them have.
pub fn cookie(value: String) -> cookie::Cookie<'static> {
    cookie::Cookie::build((COOKIE, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(cookie::SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(MAX_AGE_SECONDS.into()))
        .build()
}

/// The value of our cookie in a field whose values are not encoded.
pub fn value_in(field: &str) -> &str {
    let mut pairs = field.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value)).expect("our cookie is there")
}
