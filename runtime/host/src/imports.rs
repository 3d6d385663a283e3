//! What the host lends to guests besides WASI: one file a capability, one linker for all modules.

pub mod files;
pub mod log;
pub mod names;
pub mod sqlite;

use crate::ctx::Ctx;
use crate::wit::proa;
use wasmtime::component::{HasData, HasSelf, Linker};
use wasmtime::{Engine, Result};

/// Marks the store's own data as what the generated traits are implemented on.
pub struct OnCtx;

impl HasData for OnCtx {
    type Data<'a> = &'a mut Ctx;
}

/// Everything that a module may import. A module that imports more does not link.
pub fn linker(engine: &Engine) -> Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    names::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    proa::host::log::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, |ctx| ctx)?;
    proa::host::files::add_to_linker::<Ctx, HasSelf<Ctx>>(&mut linker, |ctx| ctx)?;
    proa::host::sqlite::add_to_linker::<Ctx, OnCtx>(&mut linker, |ctx| ctx)?;
    crate::middleware::standard::add_to_linker(&mut linker)?;
    proa::middleware::types::add_to_linker::<Ctx, OnCtx>(&mut linker, |ctx| ctx)?;
    Ok(linker)
}
