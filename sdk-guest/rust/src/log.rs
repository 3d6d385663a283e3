//! The host's log. The host adds component, type and generation to each line.

pub use crate::wit::host_log::proa::host::log::Level;
use crate::wit::host_log::proa::host::log::write;

pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}
