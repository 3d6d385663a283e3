//! Conversation providers.

use super::calls;
pub use crate::wit::proa::conversation::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Conversation<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn conversation(&self) -> Conversation<'_> {
        Conversation(self)
    }
}

calls! { Conversation, conversation, "conversation/provider":
    converse = call_converse(request: Request) -> Result<Response, Error>;
}
