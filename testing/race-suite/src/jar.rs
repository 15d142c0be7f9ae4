//! The cookies of a browser, as far as a browser of one site needs them.

use std::collections::BTreeMap;

/// Bytes of a cookie's name and value that browsers keep (RFC 6265bis, section 5.6).
const NAME_AND_VALUE_BYTES: usize = 4096;

/// Cookies by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jar {
    cookies: BTreeMap<String, String>,
}

impl Jar {
    /// Obeys a `Set-Cookie` field, unless it is one that browsers do not obey: too long, or of a
    /// protected name without what that takes.
    pub(crate) fn apply(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let attributes: Vec<&str> = parts.collect();
        let has = |wanted: &str| attributes.iter().any(|given| given.eq_ignore_ascii_case(wanted));
        let value_of = |wanted: &str| {
            attributes.iter().find_map(|given| {
                let (name, value) = given.split_once('=')?;
                name.eq_ignore_ascii_case(wanted).then_some(value)
            })
        };
        let is_host = name.starts_with("__Host-");
        let is_protected = is_host || name.starts_with("__Secure-");
        if name.len() + value.len() > NAME_AND_VALUE_BYTES
            || (is_protected && !has("secure"))
            || (is_host && (value_of("domain").is_some() || value_of("path") != Some("/")))
        {
            return;
        }
        let expired = value_of("max-age").and_then(|age| age.parse::<i64>().ok());
        if expired.is_some_and(|seconds| seconds <= 0) {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The `Cookie` field of a request, if there are cookies.
    pub(crate) fn field(&self) -> Option<String> {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Puts other values into the cookies.
    pub(crate) fn forge(&mut self, mut forge: impl FnMut(&str) -> String) {
        for value in self.cookies.values_mut() {
            *value = forge(value);
        }
    }

    /// Whether any cookie is the same in both.
    pub(crate) fn has_any_of(&self, other: &Self) -> bool {
        self.cookies.iter().any(|(name, value)| other.cookies.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(set_cookies: &[&str]) -> Option<String> {
        let mut jar = Jar::default();
        for set_cookie in set_cookies {
            jar.apply(set_cookie);
        }
        jar.field()
    }

    #[test]
    fn a_jar_holds_the_last_value_of_each_name() {
        assert_eq!(jar(&[]), None);
        assert_eq!(jar(&["a=1; Path=/", "b=2", "a=3; HttpOnly"]).unwrap(), "a=3; b=2");
        assert_eq!(jar(&["a=1", "a.2=x", "a=; Max-Age=0"]).unwrap(), "a.2=x");
        assert_eq!(jar(&["a=1", "a=; max-age=-1"]), None);
        assert_eq!(jar(&["a=1; Max-Age=60"]).unwrap(), "a=1");
    }

    #[test]
    fn a_jar_takes_only_what_browsers_take() {
        assert_eq!(jar(&["__Host-a=1; Path=/; Secure"]).unwrap(), "__Host-a=1");
        for refused in [
            "__Host-a=2; Path=/",
            "__Host-a=2; Secure",
            "__Host-a=2; Path=/; Secure; Domain=example.org",
            "__Secure-b=2",
            "__Host-a=; Max-Age=0; Path=/",
            "nothing",
        ] {
            assert_eq!(jar(&["__Host-a=1; Path=/; Secure", refused]).unwrap(), "__Host-a=1");
        }
        let fits = format!("a={}", "x".repeat(4095));
        assert_eq!(jar(&[&fits]).unwrap(), fits);
        assert_eq!(jar(&[&format!("{fits}x")]), None);
    }
}
