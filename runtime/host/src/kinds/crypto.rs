//! Cryptography providers.

use super::calls;
pub use crate::wit::proa::crypto::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Crypto<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn crypto(&self) -> Crypto<'_> {
        Crypto(self)
    }
}

calls! { Crypto, crypto, "crypto/provider":
    get_key = call_get_key(name: String, format: KeyFormat) -> Result<PublicKey, Error>;
    encrypt = call_encrypt(plaintext: Vec<u8>, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Sealed, Error>;
    decrypt = call_decrypt(data: Sealed, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Vec<u8>, Error>;
    wrap_key = call_wrap_key(key: Vec<u8>, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Sealed, Error>;
    unwrap_key = call_unwrap_key(wrapped: Sealed, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Vec<u8>, Error>;
    sign = call_sign(digest: Vec<u8>, algorithm: String, key_name: String) -> Result<Vec<u8>, Error>;
    verify = call_verify(digest: Vec<u8>, signature: Vec<u8>, algorithm: String, key_name: String) -> Result<bool, Error>;
}
