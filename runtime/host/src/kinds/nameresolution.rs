//! Name resolution. What a resolver announces is part of starting it (`StartSpec::announce`), so that an instance that takes the place
//! of one that trapped announces it again.

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

/// The words of an error.
pub fn text(error: Error) -> String {
    match error {
        Error::NotFound(t) | Error::InvalidArgument(t) | Error::Unavailable(t) | Error::Other(t) => t,
    }
}

calls! { Resolver, resolver, "nameresolution/resolver":
    resolve = call_resolve(request: Request) -> Result<Vec<String>, Error>;
}
