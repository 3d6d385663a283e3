//! What can go wrong with an exchange.

/// A failed exchange. The texts are for people and stand alone.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The URL or the request is malformed.
    #[error("{0}")]
    Invalid(String),
    /// No connection came about: the server has seen nothing of the request.
    #[error("{0}")]
    Dial(String),
    /// The connection failed in the middle: the server may have acted on the request.
    #[error("{0}")]
    Broken(String),
}

impl Error {
    /// The innermost cause, which is what tells something.
    pub(crate) fn broken(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() {
            return Self::Broken("EOF".to_owned());
        }
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            text = inner.to_string();
            cause = inner.source();
        }
        Self::Broken(text)
    }
}
