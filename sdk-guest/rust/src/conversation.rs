//! Conversation providers: the traits of the `proa:conversation` interfaces. What each call means stands in `wit/conversation/conversation.wit`.

pub use crate::wit::conversation_types::proa::conversation::types::*;

pub mod provider {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::conversation_provider::exports::proa::conversation::provider as export;
    pub use crate::wit::conversation_provider::*;

    pub trait Provider: Component {
        fn converse(&self, request: Request) -> impl Future<Output = Result<Response, Error>>;
    }

    impl<T: Provider> export::Guest for Glue<T> {
        async fn converse(request: Request) -> Result<Response, Error> {
            <T as Provider>::converse(&*glue::get::<T>(), request).await
        }
    }
}
