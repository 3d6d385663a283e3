//! AMQP 0-9-1 for the RabbitMQ components: the codec, and a client that keeps one connection with channels on it.

mod channel;
mod client;
mod dial;
mod frame;
mod method;
mod properties;
mod value;
mod wire;

pub use channel::{Channel, Delivery, Failure};
pub use client::Client;
pub use dial::Dial;
pub use method::Method;
pub use properties::Properties;
pub use value::{Table, Value};
