//! What can be wrong with a cookie that is about to be written.

use core::fmt;

/// Why a cookie can not be written. Nothing was changed or sent in any of these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty, longer than [`CookieName::BYTES_MAX`](crate::CookieName::BYTES_MAX), or
    /// has a byte that a token may not have (RFC 9110 section 5.6.2). Choose another name.
    Name,
    /// The value has a byte outside of cookie-octet (RFC 6265bis section 4.1.1). Encode it.
    Value,
    /// The path does not begin with `/`, is too long, or has a control character or a semicolon.
    Path,
    /// The domain is empty, too long, or has a byte that host names do not have.
    Domain,
    /// A `__Host-` name without `Secure`, with a path other than `/`, or with a domain: browsers
    /// drop it (RFC 6265bis section 4.1.3.2).
    HostPrefix,
    /// A `__Secure-` name without `Secure`: browsers drop it (RFC 6265bis section 4.1.3.1).
    SecurePrefix,
    /// `SameSite=None` without `Secure`: browsers drop it (RFC 6265bis section 5.6.7).
    SameSiteNone,
    /// `Partitioned` without `Secure`: browsers drop it.
    Partitioned,
    /// Name, value and attributes together pass [`SetCookie::BYTES_MAX`](crate::SetCookie::BYTES_MAX).
    /// Make the value shorter.
    TooLong {
        /// How long the text would be, in bytes.
        bytes: usize,
    },
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a cookie name must be a token of 1 to 256 letters, digits and !#$%&'*+-.^_`|~",
            Self::Value => {
                "a cookie value may not have spaces, quotes, commas, semicolons, backslashes, \
                 control or non-ASCII characters; encode it"
            }
            Self::Path => {
                "a cookie path must begin with `/` and have at most 1024 printable ASCII characters \
                 without a semicolon"
            }
            Self::Domain => {
                "a cookie domain must be a host name: letters, digits, hyphens and dots, at most 253"
            }
            Self::HostPrefix => {
                "a `__Host-` cookie needs secure = true, path = \"/\" and no domain; set these or drop \
                 the prefix"
            }
            Self::SecurePrefix => {
                "a `__Secure-` cookie needs secure = true; set it or drop the prefix"
            }
            Self::SameSiteNone => {
                "same_site = none needs secure = true; serve https or choose lax"
            }
            Self::Partitioned => {
                "partitioned = true needs secure = true; serve https or drop partitioned"
            }
            Self::TooLong { bytes } => {
                return write!(
                    f,
                    "a cookie of {bytes} bytes is over the 4096 that browsers keep; shorten the value"
                );
            }
        })
    }
}

impl core::error::Error for CookieError {}
