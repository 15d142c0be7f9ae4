//! The private jar of the `cookie` crate, as axum-extra and others use it: JSON, AES-256-GCM, base64,
//! and on the wire percent-encoded.

use cookie::{Cookie, CookieJar, Key};

use crate::format::{COOKIE, Format, cookie};
use crate::session::Session;

pub struct PrivateJar {
    key: Key,
}

impl PrivateJar {
    pub fn new() -> Self {
        Self { key: Key::generate() }
    }
}

impl Format for PrivateJar {
    fn name(&self) -> &'static str {
        "cookie, private jar"
    }

    fn seal(&self, session: &Session) -> Vec<String> {
        let json = serde_json::to_string(session).expect("a session is JSON");
        let mut jar = CookieJar::new();
        jar.private_mut(&self.key).add(cookie(json));
        jar.delta().map(|cookie| cookie.encoded().to_string()).collect()
    }

    fn open(&self, field: &str) -> Session {
        let mut jar = CookieJar::new();
        for cookie in Cookie::split_parse_encoded(field) {
            jar.add_original(cookie.expect("the field is in order").into_owned());
        }
        let cookie = jar.private(&self.key).get(COOKIE).expect("what was sealed opens");
        serde_json::from_str(cookie.value()).expect("what was sealed is JSON")
    }
}
