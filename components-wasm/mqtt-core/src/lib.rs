//! MQTT 3.1.1 for the MQTT components: the codec, and sessions that reconnect by themselves.

mod dial;
mod filter;
mod packet;
mod session;

pub use dial::Dial;
pub use filter::matches;
pub use packet::Publish;
pub use session::{Lost, Session};
