//! Secret stores.

use super::calls;
pub use crate::wit::proa::secretstores::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Secrets<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }
}

calls! { Secrets, secrets, "secretstores/store", RemoteSecrets:
    get = call_get(name: String, metadata: Metadata) -> Result<Secret, Error>;
    get_all = call_get_all(metadata: Metadata) -> Result<Vec<(String, Secret)>, Error>;
}
