//! The only place where wasmtime is configured. Every setting here is part of the compatibility hash of compiled modules.

use std::time::Duration;
use wasmtime::{Config, Engine};

/// How often running guests are asked to give way.
pub const TICK: Duration = Duration::from_millis(10);

/// An engine whose epoch ticks from a thread of its own until the engine is dropped.
pub fn new() -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config())?;
    let weak = engine.weak();
    std::thread::Builder::new().name("epoch".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(engine)
}

fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.max_wasm_stack(1 << 20);
    config.async_stack_size(2 << 20);
    config
}

/// Names this engine's machine code: two engines with the same value can use each other's compiled modules.
pub fn compatibility(engine: &Engine) -> String {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
