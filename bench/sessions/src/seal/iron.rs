//! The format of iron-session 8 for Node.js: `Fe26.2` of iron-webcrypto with its defaults. JSON,
//! AES-256-CBC, HMAC-SHA-256, and for each of both a key by PBKDF2-SHA-1 with one iteration over a
//! password and a salt of its own. `verify-iron` has the original open what is sealed here.

use std::fmt::Write as _;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

use crate::format::{Format, MAX_AGE_SECONDS, cookie, value_in};
use crate::session::Session;

pub const PASSWORD: &str = "a password of more than thirty-two characters";
/// iron-session numbers its passwords from one.
const PASSWORD_ID: &str = "1";
/// The version that iron-session appends to what iron-webcrypto made.
const VERSION: &str = "~2";

pub struct Iron;

impl Format for Iron {
    fn name(&self) -> &'static str {
        "iron-session's format"
    }

    fn seal(&self, session: &Session) -> Vec<String> {
        vec![cookie(sealed(session)).to_string()]
    }

    fn open(&self, field: &str) -> Session {
        opened(value_in(field)).expect("what was sealed opens")
    }
}

/// The value of the cookie.
pub fn sealed(session: &Session) -> String {
    let json = serde_json::to_vec(session).expect("a session is JSON");
    let (salt, mac_salt) = (salt(), salt());
    let iv: [u8; 16] = rand::random();
    let encrypted = cbc::Encryptor::<Aes256>::new(&key(&salt).into(), &iv.into())
        .encrypt_padded_vec::<Pkcs7>(&json);
    let expires_ms = now_ms() + u64::from(MAX_AGE_SECONDS) * 1000;
    let mut text = String::with_capacity(256 + encrypted.len() * 4 / 3);
    text.push_str("Fe26.2*");
    text.push_str(PASSWORD_ID);
    text.push('*');
    text.push_str(&salt);
    text.push('*');
    URL_SAFE_NO_PAD.encode_string(iv, &mut text);
    text.push('*');
    URL_SAFE_NO_PAD.encode_string(encrypted, &mut text);
    write!(text, "*{expires_ms}").expect("a string takes every text");
    let mac = mac(&mac_salt, &text).finalize().into_bytes();
    text.push('*');
    text.push_str(&mac_salt);
    text.push('*');
    URL_SAFE_NO_PAD.encode_string(mac, &mut text);
    text.push_str(VERSION);
    text
}

/// The session in such a value; none if it is not genuine or has expired.
fn opened(value: &str) -> Option<Session> {
    let value = value.strip_suffix(VERSION)?;
    let (text, mac_text) = value.rsplit_once('*')?;
    let (text, mac_salt) = text.rsplit_once('*')?;
    let expected = URL_SAFE_NO_PAD.decode(mac_text).ok()?;
    mac(mac_salt, text).verify_slice(&expected).ok()?;
    let parts: Vec<&str> = text.split('*').collect();
    let ["Fe26.2", PASSWORD_ID, salt, iv, encrypted, expires_ms] = parts[..] else { return None };
    if expires_ms.parse::<u64>().ok()? <= now_ms() {
        return None;
    }
    let iv: [u8; 16] = URL_SAFE_NO_PAD.decode(iv).ok()?.try_into().ok()?;
    let encrypted = URL_SAFE_NO_PAD.decode(encrypted).ok()?;
    let json = cbc::Decryptor::<Aes256>::new(&key(salt).into(), &iv.into())
        .decrypt_padded_vec::<Pkcs7>(&encrypted)
        .ok()?;
    serde_json::from_slice(&json).ok()
}

fn salt() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn key(salt: &str) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(PASSWORD.as_bytes(), salt.as_bytes(), 1)
}

fn mac(salt: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(salt)).expect("a key of any length does");
    mac.update(text.as_bytes());
    mac
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
