//! Write Proa components in Rust.
//!
//! Implement [`Component`] and the traits of the kind (for example [`state::store::Store`]) for a type of yours, then name them once
//! in [`component!`]. One value of that type lives in each instance; calls share it and run interleaved, so state goes into `Cell` and `RefCell`
//! (never borrowed across an `.await`). The interfaces' manual is the text of the WIT files in `wit/`.

pub mod bindings;
pub mod component;
pub mod configuration;
pub mod conversation;
pub mod crypto;
pub mod files;
pub mod lock;
pub mod log;
pub mod middleware;
pub mod nameresolution;
#[cfg(feature = "net")]
pub mod net;
pub mod properties;
pub mod pubsub;
pub mod secretstores;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod state;
pub mod time;
#[doc(hidden)]
pub mod wit;

pub use component::{Component, Config, InitError, Property};
pub use properties::Properties;
pub use wasip3;
pub use wit_bindgen;
pub use wit_bindgen::spawn_local as spawn;

#[doc(hidden)]
pub mod glue {
    use std::{any::Any, cell::RefCell, marker::PhantomData, rc::Rc};

    thread_local! {
        static INSTANCE: RefCell<Option<Rc<dyn Any>>> = const { RefCell::new(None) };
    }

    /// Stands for the author's type in the generated exports.
    pub struct Glue<T>(PhantomData<T>);

    pub fn put<T: 'static>(value: T) {
        INSTANCE.with(|i| *i.borrow_mut() = Some(Rc::new(value)));
    }

    /// The instance. The host never calls another export before `init` has succeeded; a host that does gets a trap.
    #[allow(clippy::panic)]
    pub fn get<T: 'static>() -> Rc<T> {
        match INSTANCE.with(|i| i.borrow().clone()).map(Rc::downcast::<T>) {
            Some(Ok(value)) => value,
            _ => panic!("called before init"),
        }
    }

    pub fn take<T: 'static>() -> Option<Rc<T>> {
        INSTANCE.with(|i| i.borrow_mut().take()).and_then(|v| Rc::downcast::<T>(v).ok())
    }
}

/// Declares the component of this crate: its type, the interfaces that it exports, and the file that holds its manifest.
///
/// ```ignore
/// proa_sdk::component! {
///     manifest: "manifest.json",
///     MyStore: state::store, state::transactions, component::health
/// }
/// ```
/// The path of the manifest is relative to the source file that holds the call.
#[macro_export]
macro_rules! component {
    (manifest: $manifest:literal, $ty:ty : $($kind:ident :: $iface:ident),+ $(,)?) => {
        #[doc(hidden)]
        type __ProaGlue = $crate::glue::Glue<$ty>;
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            #[used]
            #[unsafe(link_section = "proa:manifest")]
            static MANIFEST: [u8; include_bytes!($manifest).len()] = *include_bytes!($manifest);
        };
        const _: () = {
            $crate::component::lifecycle::export!(__ProaGlue with_types_in $crate::component::lifecycle);
        };
        $(const _: () = {
            $crate::$kind::$iface::export!(__ProaGlue with_types_in $crate::$kind::$iface);
        };)+
    };
}
