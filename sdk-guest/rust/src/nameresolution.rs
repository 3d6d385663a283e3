//! Name resolution: the traits of the `proa:nameresolution` interfaces. What each call means stands in `wit/nameresolution/nameresolution.wit`.

pub use crate::wit::nameresolution_types::proa::nameresolution::types::*;

pub mod resolver {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::nameresolution_resolver::exports::proa::nameresolution::resolver as export;
    pub use crate::wit::nameresolution_resolver::*;

    pub trait Resolver: Component {
        fn announce(&self, me: SelfInfo) -> impl Future<Output = Result<(), Error>>;
        fn resolve(&self, request: Request) -> impl Future<Output = Result<Vec<String>, Error>>;
    }

    impl<T: Resolver> export::Guest for Glue<T> {
        async fn announce(me: SelfInfo) -> Result<(), Error> {
            <T as Resolver>::announce(&*glue::get::<T>(), me).await
        }
        async fn resolve(request: Request) -> Result<Vec<String>, Error> {
            <T as Resolver>::resolve(&*glue::get::<T>(), request).await
        }
    }
}
