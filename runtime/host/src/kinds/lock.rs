//! Distributed locks.

use super::calls;
pub use crate::wit::proa::lock::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Lock<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn lock(&self) -> Lock<'_> {
        Lock(self)
    }
}

calls! { Lock, lock, "lock/store":
    try_lock = call_try_lock(resource_id: String, owner: String, expiry_seconds: u32) -> Result<bool, Error>;
    unlock = call_unlock(resource_id: String, owner: String) -> Result<UnlockStatus, Error>;
}
