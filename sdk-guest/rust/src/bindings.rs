//! Bindings: the traits of the `proa:bindings` interfaces. What each call means stands in `wit/bindings/bindings.wit`.

pub use crate::wit::bindings_types::proa::bindings::types::*;

pub mod output {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::bindings_output::exports::proa::bindings::output as export;
    pub use crate::wit::bindings_output::*;

    pub trait Output: Component {
        fn operations() -> Vec<String>;
        fn invoke(&self, request: Request) -> impl Future<Output = Result<Response, Error>>;
    }

    impl<T: Output> export::Guest for Glue<T> {
        fn operations() -> Vec<String> {
            <T as Output>::operations()
        }
        async fn invoke(request: Request) -> Result<Response, Error> {
            <T as Output>::invoke(&*glue::get::<T>(), request).await
        }
    }
}

pub mod input {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::bindings_input::exports::proa::bindings::input as export;
    pub use crate::wit::bindings_input::*;

    pub trait Input: Component {
        fn start(&self) -> impl Future<Output = Result<(), Error>>;
        fn receive(&self, max: u32, wait_ms: u32) -> impl Future<Output = Result<Vec<Event>, Error>>;
        fn settle(&self, verdicts: Vec<(String, Verdict)>) -> impl Future<Output = Result<(), Error>>;
        fn stop(&self) -> impl Future<Output = Result<(), Error>>;
    }

    impl<T: Input> export::Guest for Glue<T> {
        async fn start() -> Result<(), Error> {
            <T as Input>::start(&*glue::get::<T>()).await
        }
        async fn receive(max: u32, wait_ms: u32) -> Result<Vec<Event>, Error> {
            <T as Input>::receive(&*glue::get::<T>(), max, wait_ms).await
        }
        async fn settle(verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
            <T as Input>::settle(&*glue::get::<T>(), verdicts).await
        }
        async fn stop() -> Result<(), Error> {
            <T as Input>::stop(&*glue::get::<T>()).await
        }
    }
}
