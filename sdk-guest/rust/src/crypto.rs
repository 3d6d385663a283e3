//! Cryptography providers: the traits of the `proa:crypto` interfaces. What each call means stands in `wit/crypto/crypto.wit`.

pub use crate::wit::crypto_types::proa::crypto::types::*;

pub mod provider {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::crypto_provider::exports::proa::crypto::provider as export;
    pub use crate::wit::crypto_provider::*;

    pub trait Provider: Component {
        fn encryption_algorithms() -> Vec<String>;
        fn signature_algorithms() -> Vec<String>;
        fn get_key(&self, name: String, format: KeyFormat) -> impl Future<Output = Result<PublicKey, Error>>;
        fn encrypt(
            &self,
            plaintext: Vec<u8>,
            algorithm: String,
            key_name: String,
            nonce: Vec<u8>,
            associated_data: Vec<u8>,
        ) -> impl Future<Output = Result<Sealed, Error>>;
        fn decrypt(
            &self,
            data: Sealed,
            algorithm: String,
            key_name: String,
            nonce: Vec<u8>,
            associated_data: Vec<u8>,
        ) -> impl Future<Output = Result<Vec<u8>, Error>>;
        fn wrap_key(
            &self,
            key: Vec<u8>,
            algorithm: String,
            key_name: String,
            nonce: Vec<u8>,
            associated_data: Vec<u8>,
        ) -> impl Future<Output = Result<Sealed, Error>>;
        fn unwrap_key(
            &self,
            wrapped: Sealed,
            algorithm: String,
            key_name: String,
            nonce: Vec<u8>,
            associated_data: Vec<u8>,
        ) -> impl Future<Output = Result<Vec<u8>, Error>>;
        fn sign(&self, digest: Vec<u8>, algorithm: String, key_name: String) -> impl Future<Output = Result<Vec<u8>, Error>>;
        fn verify(&self, digest: Vec<u8>, signature: Vec<u8>, algorithm: String, key_name: String) -> impl Future<Output = Result<bool, Error>>;
    }

    impl<T: Provider> export::Guest for Glue<T> {
        fn encryption_algorithms() -> Vec<String> {
            <T as Provider>::encryption_algorithms()
        }
        fn signature_algorithms() -> Vec<String> {
            <T as Provider>::signature_algorithms()
        }
        async fn get_key(name: String, format: KeyFormat) -> Result<PublicKey, Error> {
            <T as Provider>::get_key(&*glue::get::<T>(), name, format).await
        }
        async fn encrypt(plaintext: Vec<u8>, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Sealed, Error> {
            <T as Provider>::encrypt(&*glue::get::<T>(), plaintext, algorithm, key_name, nonce, associated_data).await
        }
        async fn decrypt(data: Sealed, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Vec<u8>, Error> {
            <T as Provider>::decrypt(&*glue::get::<T>(), data, algorithm, key_name, nonce, associated_data).await
        }
        async fn wrap_key(key: Vec<u8>, algorithm: String, key_name: String, nonce: Vec<u8>, associated_data: Vec<u8>) -> Result<Sealed, Error> {
            <T as Provider>::wrap_key(&*glue::get::<T>(), key, algorithm, key_name, nonce, associated_data).await
        }
        async fn unwrap_key(
            wrapped: Sealed,
            algorithm: String,
            key_name: String,
            nonce: Vec<u8>,
            associated_data: Vec<u8>,
        ) -> Result<Vec<u8>, Error> {
            <T as Provider>::unwrap_key(&*glue::get::<T>(), wrapped, algorithm, key_name, nonce, associated_data).await
        }
        async fn sign(digest: Vec<u8>, algorithm: String, key_name: String) -> Result<Vec<u8>, Error> {
            <T as Provider>::sign(&*glue::get::<T>(), digest, algorithm, key_name).await
        }
        async fn verify(digest: Vec<u8>, signature: Vec<u8>, algorithm: String, key_name: String) -> Result<bool, Error> {
            <T as Provider>::verify(&*glue::get::<T>(), digest, signature, algorithm, key_name).await
        }
    }
}
