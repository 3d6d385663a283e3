//! HTTP middleware: one trait, [`handler::Handler`]. The simplest stage changes the head, calls [`Exchange::next`] and returns
//! [`pass`]; bodies that it does not ask for never enter it.

pub use crate::wit::middleware_types::proa::middleware::types::*;
pub use crate::wit::middleware_types::{wit_future, wit_stream};

/// What `next` returned, with this head.
pub fn pass(head: ResponseHead) -> Reply {
    Reply { head: Some(head), body: Body::Keep }
}

/// An answer of the stage's own.
pub fn respond(status: u16, headers: Headers, body: impl Into<Vec<u8>>) -> Reply {
    Reply { head: Some(ResponseHead { status, headers }), body: Body::Bytes(body.into()) }
}

/// The first value of a header, if it is UTF-8. `name` in lower case.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
}

pub mod handler {
    use super::*;
    use crate::component::Component;
    use crate::glue::{self, Glue};
    use crate::wit::middleware_handler::exports::proa::middleware::handler as export;
    pub use crate::wit::middleware_handler::*;

    pub trait Handler: Component {
        fn handle(&self, exchange: Exchange, head: RequestHead) -> impl Future<Output = Result<Reply, Error>>;
    }

    impl<T: Handler> export::Guest for Glue<T> {
        async fn handle(exchange: Exchange, head: RequestHead) -> Result<Reply, Error> {
            <T as Handler>::handle(&*glue::get::<T>(), exchange, head).await
        }
    }
}
