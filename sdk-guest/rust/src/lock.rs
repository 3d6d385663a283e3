//! Distributed locks: the traits of the `proa:lock` interfaces. What each call means stands in `wit/lock/lock.wit`.

pub use crate::wit::lock_types::proa::lock::types::*;

pub mod store {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::lock_store::exports::proa::lock::store as export;
    pub use crate::wit::lock_store::*;

    pub trait Store: Component {
        fn try_lock(&self, resource_id: String, owner: String, expiry_seconds: u32) -> impl Future<Output = Result<bool, Error>>;
        fn unlock(&self, resource_id: String, owner: String) -> impl Future<Output = Result<UnlockStatus, Error>>;
    }

    impl<T: Store> export::Guest for Glue<T> {
        async fn try_lock(resource_id: String, owner: String, expiry_seconds: u32) -> Result<bool, Error> {
            <T as Store>::try_lock(&*glue::get::<T>(), resource_id, owner, expiry_seconds).await
        }
        async fn unlock(resource_id: String, owner: String) -> Result<UnlockStatus, Error> {
            <T as Store>::unlock(&*glue::get::<T>(), resource_id, owner).await
        }
    }
}
