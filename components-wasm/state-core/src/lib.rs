//! What state stores share that have no query language of their own.

mod like;

pub use like::Like;
