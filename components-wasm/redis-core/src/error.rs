//! What can go wrong with a command.

/// A failed command. The texts are those of the server or of the network, unchanged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The server's own error reply, for example `WRONGTYPE Operation against …`.
    #[error("{0}")]
    Server(String),
    /// The server cannot be reached, or the connection broke while the command was under way.
    #[error("{0}")]
    Network(String),
    /// No reply within `readTimeout`.
    #[error("i/o timeout")]
    Timeout,
    /// More commands are waiting than the component keeps; they were not sent.
    #[error("redis: too many commands wait for the server")]
    Busy,
    /// The component is being closed.
    #[error("redis: client is closed")]
    Closed,
    /// The server answered with something that this command never yields.
    #[error("redis: unexpected reply: {0}")]
    Reply(String),
}

impl Error {
    pub(crate) fn network(error: impl std::fmt::Display) -> Self {
        Self::Network(error.to_string())
    }

    /// Whether trying again can help: the server is away or in transition.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Network(_) | Self::Timeout => true,
            Self::Server(text) => {
                ["LOADING ", "READONLY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN "].iter().any(|p| text.starts_with(p))
                    || text == "ERR max number of clients reached"
            }
            Self::Busy | Self::Closed | Self::Reply(_) => false,
        }
    }

    /// The server is no longer the master: another one must be looked for.
    pub(crate) fn is_demoted(&self) -> bool {
        matches!(self, Self::Server(text) if text.starts_with("READONLY "))
    }

    /// Whether the backend, rather than the request, is to blame.
    pub fn is_unavailable(&self) -> bool {
        self.is_transient() || matches!(self, Self::Busy | Self::Closed)
    }
}
