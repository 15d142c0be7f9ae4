//! The attributes of a cookie, safe unless somebody asks for less.

use alloc::string::String;
use core::fmt;

use crate::{CookieError, CookieName, Prefix};

/// With which requests from other sites a browser sends the cookie (RFC 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// None at all, not even a followed link.
    Strict,
    /// Followed links, but no form posts, frames or scripts.
    #[default]
    Lax,
    /// All. Needs `Secure`.
    None,
}

impl SameSite {
    /// The word as it stands in `Set-Cookie`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The attributes of a cookie, before they are checked by [`SetCookie::new`](crate::SetCookie::new).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Below which path the browser sends the cookie. Never derive it from a rewritten path: the
    /// browser compares it with the path that it sees.
    pub path: String,
    /// The domain whose hosts all get the cookie; `None`, which is safer, is the host alone.
    pub domain: Option<String>,
    /// Only over https.
    pub secure: bool,
    /// Hidden from scripts.
    pub http_only: bool,
    /// With which requests from other sites.
    pub same_site: SameSite,
    /// One cookie jar per embedding site (CHIPS). Needs `Secure`.
    pub partitioned: bool,
}

impl Attributes {
    /// The longest path in bytes: browsers ignore longer attribute values (RFC 6265bis section
    /// 5.6).
    pub const PATH_BYTES_MAX: usize = 1024;
    /// The longest domain in bytes, as in DNS (RFC 1035 section 2.3.4, in text form).
    pub const DOMAIN_BYTES_MAX: usize = 253;

    /// The attributes to use unless there is a reason for others: the whole host, hidden from
    /// scripts, `SameSite=Lax`, and `Secure` exactly if the visitor came over https.
    pub fn for_scheme(https: bool) -> Self {
        Self {
            path: "/".into(),
            domain: None,
            secure: https,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
        }
    }

    /// Whether browsers take these attributes together with this name.
    pub(crate) fn check(&self, name: &CookieName) -> Result<(), CookieError> {
        let path_fits = self.path.starts_with('/')
            && self.path.len() <= Self::PATH_BYTES_MAX
            && self.path.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b';');
        if !path_fits {
            return Err(CookieError::Path);
        }
        if self.domain.as_deref().is_some_and(|domain| !is_domain(domain)) {
            return Err(CookieError::Domain);
        }
        if !self.secure {
            if self.same_site == SameSite::None {
                return Err(CookieError::SameSiteNone);
            }
            if self.partitioned {
                return Err(CookieError::Partitioned);
            }
        }
        match name.prefix() {
            Prefix::Plain => Ok(()),
            Prefix::Secure if self.secure => Ok(()),
            Prefix::Secure => Err(CookieError::SecurePrefix),
            Prefix::Host if self.secure && self.path == "/" && self.domain.is_none() => Ok(()),
            Prefix::Host => Err(CookieError::HostPrefix),
        }
    }
}

/// As `; Path=/; Secure; …`: what follows name and value, without `Max-Age`.
impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; Path={}", self.path)?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if self.secure {
            f.write_str("; Secure")?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        write!(f, "; SameSite={}", self.same_site.as_str())?;
        if self.partitioned {
            f.write_str("; Partitioned")?;
        }
        Ok(())
    }
}

fn is_domain(domain: &str) -> bool {
    let fits = !domain.is_empty() && domain.len() <= Attributes::DOMAIN_BYTES_MAX;
    fits && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}
