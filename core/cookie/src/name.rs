//! A cookie name that browsers accept, and the promise that its prefix makes.

use alloc::string::String;
use core::fmt;

use crate::CookieError;

/// A cookie name: a token (RFC 9110 section 5.6.2) of 1 to [`CookieName::BYTES_MAX`] bytes.
///
/// Names are compared byte for byte, as browsers do; only prefixes are known in any case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CookieName(String);

impl CookieName {
    /// The longest name in bytes: far more than anybody needs, and it leaves room for the value.
    pub const BYTES_MAX: usize = 256;

    /// Checks a name. [`CookieError::Name`] if it is no token.
    pub fn new(name: &str) -> Result<Self, CookieError> {
        let fits = !name.is_empty() && name.len() <= Self::BYTES_MAX;
        if fits && name.bytes().all(is_token_byte) {
            Ok(Self(name.into()))
        } else {
            Err(CookieError::Name)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as bytes, as the reading functions take it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What the name's beginning promises.
    ///
    /// "User agents ... MUST match the prefixes case-insensitively": RFC 6265bis section 5.4 says
    /// so because some servers compare names in any case.
    pub fn prefix(&self) -> Prefix {
        let begins = |prefix: &[u8]| {
            self.as_bytes()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if begins(b"__Host-") {
            Prefix::Host
        } else if begins(b"__Secure-") {
            Prefix::Secure
        } else {
            Prefix::Plain
        }
    }
}

impl fmt::Debug for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the beginning of a cookie name promises (RFC 6265bis section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// No promise.
    Plain,
    /// `__Secure-`: the cookie was set with `Secure`.
    Secure,
    /// `__Host-`: set with `Secure`, for this host alone and for all of its paths, so that no
    /// sibling domain can have planted it.
    Host,
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token() {
        for good in ["abide", "__Host-abide", "a", "x!#$%&'*+-.^_`|~9", &"n".repeat(256)] {
            assert_eq!(CookieName::new(good).unwrap().as_str(), good);
        }
        let long = "n".repeat(257);
        for bad in ["", "a b", "a=b", "a;b", "a\r\nb", "a\0", "caf\u{e9}", "a,b", "\"a\"", &long] {
            assert_eq!(CookieName::new(bad), Err(CookieError::Name), "{bad:?}");
        }
    }

    #[test]
    fn prefixes_are_known_in_any_case() {
        for (name, prefix) in [
            ("__Host-a", Prefix::Host),
            ("__hOST-a", Prefix::Host),
            ("__secure-a", Prefix::Secure),
            ("__Host", Prefix::Plain),
            ("x__Host-a", Prefix::Plain),
        ] {
            assert_eq!(CookieName::new(name).unwrap().prefix(), prefix, "{name}");
        }
    }
}
