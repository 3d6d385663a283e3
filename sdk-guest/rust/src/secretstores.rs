//! Secret stores: the traits of the `proa:secretstores` interfaces. What each call means stands in `wit/secretstores/secretstores.wit`.

pub use crate::wit::secretstores_types::proa::secretstores::types::*;

pub mod store {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::secretstores_store::exports::proa::secretstores::store as export;
    pub use crate::wit::secretstores_store::*;

    pub trait Store: Component {
        fn get(&self, name: String, metadata: Metadata) -> impl Future<Output = Result<Secret, Error>>;
        fn get_all(&self, metadata: Metadata) -> impl Future<Output = Result<Vec<(String, Secret)>, Error>>;
    }

    impl<T: Store> export::Guest for Glue<T> {
        async fn get(name: String, metadata: Metadata) -> Result<Secret, Error> {
            <T as Store>::get(&*glue::get::<T>(), name, metadata).await
        }
        async fn get_all(metadata: Metadata) -> Result<Vec<(String, Secret)>, Error> {
            <T as Store>::get_all(&*glue::get::<T>(), metadata).await
        }
    }
}
