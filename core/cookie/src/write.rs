//! Writing `Set-Cookie`: a name and attributes checked once, then one text per value.

use alloc::string::{String, ToString};
use core::fmt::Write as _;
use core::time::Duration;

use crate::{Attributes, CookieError, CookieName};

/// A cookie that browsers will keep: a name with attributes that fit it.
///
/// Invariant: no text made here has a control character, and none is longer than
/// [`SetCookie::BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    name: CookieName,
    /// Everything after the value, without `Max-Age`; rendered once because it never changes.
    attributes: String,
}

impl SetCookie {
    /// The longest text in bytes. Browsers must keep 4096 bytes of name and value (RFC 6265bis
    /// section 5.7); attributes are counted in because some proxies and older browsers do.
    pub const BYTES_MAX: usize = 4096;
    /// The longest `Max-Age`: browsers cut at 400 days (RFC 6265bis section 5.6.2).
    pub const MAX_AGE_MAX: Duration = Duration::from_hours(400 * 24);

    /// Checks that browsers take this name with these attributes. The error says what to change.
    pub fn new(name: CookieName, attributes: &Attributes) -> Result<Self, CookieError> {
        attributes.check(&name)?;
        Ok(Self { name, attributes: attributes.to_string() })
    }

    /// The name.
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// The field value that sets the cookie.
    ///
    /// Without `max_age` the cookie ends with the browser's session. A part of a second counts as a
    /// whole one, for zero would remove the cookie; more than [`SetCookie::MAX_AGE_MAX`] is cut.
    /// [`CookieError::Value`] if the value is not made of cookie-octets, [`CookieError::TooLong`] if
    /// the text is too long.
    pub fn text(&self, value: &str, max_age: Option<Duration>) -> Result<String, CookieError> {
        // Without a way out of the loop, so that the compiler looks at many bytes at once.
        if !value.bytes().fold(true, |all, byte| all & is_cookie_octet(byte)) {
            return Err(CookieError::Value);
        }
        let mut text = self.begin(value);
        if let Some(age) = max_age {
            let age = age.min(Self::MAX_AGE_MAX);
            let seconds = age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0)).max(1);
            // Writing to a String does not fail.
            let _ = write!(text, "; Max-Age={seconds}");
        }
        if text.len() > Self::BYTES_MAX {
            return Err(CookieError::TooLong { bytes: text.len() });
        }
        Ok(text)
    }

    /// The field value that removes the cookie.
    ///
    /// It carries the same attributes: without them browsers take it for another cookie, and refuse
    /// it altogether for a `__Host-` or `__Secure-` name. `Expires` is for old clients that do not
    /// know `Max-Age`.
    pub fn removal(&self) -> String {
        let mut text = self.begin("");
        text.push_str("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        text
    }

    fn begin(&self, value: &str) -> String {
        const AGE_BYTES: usize = 64;
        let parts = [self.name.as_str().len(), value.len(), self.attributes.len(), AGE_BYTES];
        let mut text = String::with_capacity(parts.into_iter().fold(1, usize::saturating_add));
        text.push_str(self.name.as_str());
        text.push('=');
        text.push_str(value);
        text.push_str(&self.attributes);
        text
    }
}

/// cookie-octet of RFC 6265bis section 4.1.1: printable ASCII without space, `"`, `,`, `;` and `\`.
fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests;
