//! Name resolution.

use super::calls;
pub use crate::wit::proa::nameresolution::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Resolver<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn resolver(&self) -> Resolver<'_> {
        Resolver(self)
    }
}

calls! { Resolver, resolver, "nameresolution/resolver":
    announce = call_announce(me: SelfInfo) -> Result<(), Error>;
    resolve = call_resolve(request: Request) -> Result<Vec<String>, Error>;
}
