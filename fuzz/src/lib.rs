//! Whole sidecars in the fuzzer's process, and raw exchanges with them.
//!
//! The targets send bytes to the sockets of real servers, with real components and an application behind them. Two things are findings: a
//! panic anywhere in the process, and an exchange that has no end within [`DEADLINE`].

mod app;
mod sidecar;
pub mod wire;

pub use app::App;
pub use sidecar::{Ports, Sidecar};

use std::time::Duration;

/// How long any exchange may take. Nothing that the targets ask for waits for longer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Ends the process when a thread or task panics: the runtime would otherwise go on without it.
pub fn abort_on_panic() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        told(info);
        std::process::abort();
    }));
}

/// The functions that libFuzzer calls: `target!(Type)`, where the type has `start()` and `run(&mut self, &[u8])`.
#[macro_export]
macro_rules! target {
    ($target:ty) => {
        static TARGET: std::sync::Mutex<Option<$target>> = std::sync::Mutex::new(None);

        #[unsafe(no_mangle)]
        pub extern "C" fn LLVMFuzzerInitialize(_: *const std::ffi::c_int, _: *const *const *const std::ffi::c_char) -> std::ffi::c_int {
            $crate::abort_on_panic();
            *TARGET.lock().unwrap() = Some(<$target>::start());
            0
        }

        /// # Safety
        /// libFuzzer hands over `size` readable bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> std::ffi::c_int {
            let input: &[u8] = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
            TARGET.lock().unwrap().as_mut().unwrap().run(input);
            0
        }
    };
}
