//! Bindings.

use super::calls;
pub use crate::wit::proa::bindings::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct Binding<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn binding(&self) -> Binding<'_> {
        Binding(self)
    }
}

calls! { Binding, output, "bindings/output", RemoteOutput:
    invoke = call_invoke(request: Request) -> Result<Response, Error>;
}

calls! { Binding, input, "bindings/input", RemoteInput:
    start = call_start() -> Result<(), Error>;
    receive = call_receive(max: u32, wait_ms: u32) -> Result<Vec<Event>, Error>;
    settle = call_settle(verdicts: Vec<(String, Verdict)>) -> Result<(), Error>;
    stop = call_stop() -> Result<(), Error>;
}
