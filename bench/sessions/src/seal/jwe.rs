//! A JSON Web Encryption in its compact form (RFC 7516), `dir` and `A256GCM`, by the crate biscuit,
//! whose AES is ring's.

use biscuit::Empty;
use biscuit::jwa::{ContentEncryptionAlgorithm, EncryptionOptions, KeyManagementAlgorithm};
use biscuit::jwe::{Compact, Header, RegisteredHeader};
use biscuit::jwk::JWK;

use crate::format::{Format, cookie, value_in};
use crate::session::Session;

pub struct Jwe {
    key: JWK<Empty>,
}

impl Jwe {
    pub fn new() -> Self {
        Self { key: JWK::new_octet_key(&[7; 32], Empty::default()) }
    }
}

const MANAGEMENT: KeyManagementAlgorithm = KeyManagementAlgorithm::DirectSymmetricKey;
const ENCRYPTION: ContentEncryptionAlgorithm = ContentEncryptionAlgorithm::A256GCM;

impl Format for Jwe {
    fn name(&self) -> &'static str {
        "JWE, dir + A256GCM"
    }

    fn seal(&self, session: &Session) -> Vec<String> {
        let json = serde_json::to_vec(session).expect("a session is JSON");
        let header = Header::from_registered_header(RegisteredHeader {
            cek_algorithm: MANAGEMENT,
            enc_algorithm: ENCRYPTION,
            ..RegisteredHeader::default()
        });
        let options = EncryptionOptions::AES_GCM { nonce: rand::random::<[u8; 12]>().to_vec() };
        let sealed = Compact::<Vec<u8>, Empty>::new_decrypted(header, json)
            .into_encrypted(&self.key, &options)
            .expect("JSON can be encrypted");
        let token = sealed.encrypted().expect("it is encrypted now").encode();
        vec![cookie(token).to_string()]
    }

    fn open(&self, field: &str) -> Session {
        let opened = Compact::<Vec<u8>, Empty>::new_encrypted(value_in(field))
            .into_decrypted(&self.key, MANAGEMENT, ENCRYPTION)
            .expect("what was sealed opens");
        let json = opened.payload().expect("it is decrypted now");
        serde_json::from_slice(json).expect("what was sealed is JSON")
    }
}
