//! Secret keys, rings of them, and the seal that they put on a value.
//!
//! Two cookies are sealed with these keys: the sticky cookie of the balancer and the sealed cookie
//! of the session layer. Each binds its values to its own purpose, so that one ring can serve both.
//!
//! ```
//! use abide_keys::{Key, KeyRing};
//!
//! let ring = KeyRing::new(vec![Key::new([7; Key::BYTES])])?; // 32 random bytes, please
//! let (nonce, bound_to) = ([1; Key::NONCE_BYTES], b"an example"); // 12 random bytes, please
//! let mut text = *b"secret";
//! let tag = ring.first().seal(&nonce, bound_to, &mut text);
//!
//! let id = ring.first().id(); // travels with the value
//! let opened = ring.with_id(id).any(|(_, key)| key.open(&nonce, bound_to, &mut text, &tag));
//! assert!(opened && &text == b"secret");
//! # Ok::<(), abide_keys::KeyError>(())
//! ```
//!
//! Invariants:
//!
//! * What opens was sealed by a key of the ring, for the same purpose, and has not been changed.
//! * A key is wiped from memory when dropped, and neither `Debug` nor an error shows it.
//! * Nothing here draws a random number: key and nonce arrive as arguments.

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

pub mod base64url;
mod error;
mod key;

pub use error::KeyError;
pub use key::{Key, KeyRing};
