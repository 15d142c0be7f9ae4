//! Cookie text, in and out: RFC 6265bis without the parts that only a browser needs.
//!
//! Two directions, two temperaments. What comes in from a browser is read tolerantly, byte for byte
//! and without allocation: [`pairs`], [`values`] and [`without`] work on any bytes and never fail.
//! What goes out is checked strictly: a [`SetCookie`] exists only for a name and attributes that
//! browsers accept together, and its text can not carry a control character or a second attribute.
//!
//! ```
//! use abide_cookie::{Attributes, CookieName, SetCookie, values};
//!
//! let mut found = values(b"theme=dark; abide=abc", b"abide");
//! assert_eq!(found.next(), Some(&b"abc"[..]));
//!
//! let cookie = SetCookie::new(CookieName::new("__Host-abide")?, &Attributes::for_scheme(true))?;
//! assert_eq!(
//!     cookie.text("abc", None)?,
//!     "__Host-abide=abc; Path=/; Secure; HttpOnly; SameSite=Lax",
//! );
//! # Ok::<(), abide_cookie::CookieError>(())
//! ```

#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]

extern crate alloc;

mod attributes;
mod error;
mod name;
mod read;
mod write;

pub use attributes::{Attributes, SameSite};
pub use error::CookieError;
pub use name::{CookieName, Prefix};
pub use read::{Pair, Pairs, Values, Without, pairs, values, without};
pub use write::SetCookie;
