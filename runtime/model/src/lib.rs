//! The vocabulary that all parts share: errors and metadata. No I/O.

pub mod error;

pub use error::{Error, Grpc};

/// Name/value pairs of a request or a response; names keep the case they came with.
pub type Metadata = Vec<(String, String)>;

/// The value of a name, without regard to case.
pub fn lookup<'a>(metadata: &'a [(String, String)], name: &str) -> Option<&'a str> {
    metadata.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}
