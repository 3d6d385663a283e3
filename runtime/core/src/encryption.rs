//! Encryption of state values: AES-GCM, base64, and the name of the key behind the last `||`, as Dapr writes them.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, OsRng};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, Nonce};
use base64::{Engine, engine::general_purpose::STANDARD};

const SEPARATOR: &[u8] = b"||";

enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
}

/// One key of a store.
pub struct Key {
    /// The name of the secret that holds it.
    name: String,
    cipher: Cipher,
}

impl Key {
    /// `text` is hexadecimal: 16, 24 or 32 bytes.
    pub fn new(name: &str, text: &str) -> Result<Self, String> {
        let bytes = hex::decode(text).map_err(|e| format!("encryption key: {e}"))?;
        let wrong = || format!("encryption key: {} bytes, but it must have 16, 24 or 32", bytes.len());
        let cipher = match bytes.len() {
            16 => Cipher::Aes128(Box::new(Aes128Gcm::new_from_slice(&bytes).map_err(|_| wrong())?)),
            24 => Cipher::Aes192(Box::new(AesGcm::new_from_slice(&bytes).map_err(|_| wrong())?)),
            32 => Cipher::Aes256(Box::new(Aes256Gcm::new_from_slice(&bytes).map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        Ok(Self { name: name.to_owned(), cipher })
    }

    fn seal(&self, nonce: &Nonce<U12>, plain: &[u8]) -> Option<Vec<u8>> {
        match &self.cipher {
            Cipher::Aes128(c) => c.encrypt(nonce, plain),
            Cipher::Aes192(c) => c.encrypt(nonce, plain),
            Cipher::Aes256(c) => c.encrypt(nonce, plain),
        }
        .ok()
    }

    fn open(&self, nonce: &Nonce<U12>, sealed: &[u8]) -> Option<Vec<u8>> {
        match &self.cipher {
            Cipher::Aes128(c) => c.decrypt(nonce, sealed),
            Cipher::Aes192(c) => c.decrypt(nonce, sealed),
            Cipher::Aes256(c) => c.decrypt(nonce, sealed),
        }
        .ok()
    }
}

/// The keys of one store: writes use the first, reads either.
pub struct Keys {
    pub primary: Key,
    pub secondary: Option<Key>,
}

impl Keys {
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, String> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let sealed = self.primary.seal(&nonce, plain).ok_or("encryption failed")?;
        let mut framed = nonce.to_vec();
        framed.extend_from_slice(&sealed);
        let mut out = STANDARD.encode(framed).into_bytes();
        out.extend_from_slice(SEPARATOR);
        out.extend_from_slice(self.primary.name.as_bytes());
        Ok(out)
    }

    /// `store` only serves the text of errors.
    pub fn decrypt(&self, store: &str, stored: &[u8]) -> Result<Vec<u8>, String> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let missing = || format!("could not decrypt data for state store {store}: encryption key name not found on record");
        let at = stored.windows(2).rposition(|w| w == SEPARATOR).ok_or_else(missing)?;
        let (value, name) = (stored.get(..at).unwrap_or_default(), stored.get(at + 2..).unwrap_or_default());
        if name.is_empty() {
            return Err(missing());
        }
        let key = [Some(&self.primary), self.secondary.as_ref()].into_iter().flatten().find(|k| k.name.as_bytes() == name);
        // As in Dapr, a record of a key that is neither is given back as it is read with the empty key: nothing.
        let key =
            key.ok_or_else(|| format!("could not decrypt data for state store {store}: no key of the name {:?}", String::from_utf8_lossy(name)))?;
        let framed = STANDARD.decode(value).map_err(|e| e.to_string())?;
        let (nonce, sealed) = framed.split_at_checked(12).ok_or("the record is too short")?;
        key.open(Nonce::from_slice(nonce), sealed).ok_or_else(|| "cipher: message authentication failed".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_can_be_read_with_either_key() {
        for length in [16, 24, 32] {
            let text = "a5".repeat(length);
            let old = Keys { primary: Key::new("old", &text).unwrap(), secondary: None };
            let stored = old.encrypt(b"value").unwrap();
            assert!(stored.ends_with(b"||old"));
            let new = Keys { primary: Key::new("new", &"11".repeat(32)).unwrap(), secondary: Key::new("old", &text).ok() };
            assert_eq!(new.decrypt("s", &stored).unwrap(), b"value");
        }
    }

    #[test]
    fn bad_input_is_named() {
        assert!(Key::new("k", "zz").is_err() && Key::new("k", "aa").is_err());
        let keys = Keys { primary: Key::new("k", &"00".repeat(16)).unwrap(), secondary: None };
        assert!(keys.decrypt("s", b"plain").unwrap_err().contains("encryption key name not found"));
        assert_eq!(keys.decrypt("s", b"").unwrap(), b"");
    }
}
