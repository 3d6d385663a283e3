//! The HTTP/1.1 client of components: URLs, kept-alive connections, one exchange.
//!
//! [`send`] takes a connection from the [`Pool`] or opens one; [`read`] takes the body. The caller gives the connection back with [`Pool::put`] once
//! the body was read to its end. Only dialling has a limit of its own: a caller puts its deadline around the whole.

mod error;
mod exchange;
mod io;
mod pool;
mod target;

pub use error::Error;
pub use exchange::{Outgoing, read, send};
pub use pool::{Pool, Sender};
pub use target::Target;
