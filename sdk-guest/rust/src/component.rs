//! What every component implements, and the two optional interfaces of all kinds.

use crate::glue::{self, Glue};

pub use crate::wit::{component_health as health_export, component_lifecycle as lifecycle, component_snapshot as snapshot_export};
pub use lifecycle::exports::proa::component::lifecycle::{Config, InitError, Property};

/// The life of a component.
pub trait Component: Sized + 'static {
    /// Called once in every new instance, before any other call. May start background tasks with [`crate::spawn`].
    fn init(config: Config) -> impl Future<Output = Result<Self, InitError>>;
    /// Called once, after the last call was answered.
    fn close(&self) -> impl Future<Output = ()> {
        async {}
    }
}

impl<T: Component> lifecycle::exports::proa::component::lifecycle::Guest for Glue<T> {
    async fn init(config: Config) -> Result<(), InitError> {
        glue::put(T::init(config).await?);
        Ok(())
    }
    async fn close() {
        if let Some(component) = glue::take::<T>() {
            component.close().await;
        }
    }
}

/// `component::health`: whether the component can do its work now.
pub mod health {
    use super::*;
    pub use health_export::*;

    pub trait Health: Component {
        fn ping(&self) -> impl Future<Output = Result<(), String>>;
    }
    impl<T: Health> health_export::exports::proa::component::health::Guest for Glue<T> {
        async fn ping() -> Result<(), String> {
            glue::get::<T>().ping().await
        }
    }
}

/// `component::snapshot`: state that lives in the instance survives its replacement.
pub mod snapshot {
    use super::*;
    pub use snapshot_export::*;
    use wit_bindgen::StreamReader;

    pub trait Snapshot: Component {
        /// The whole state, in the component's own format. Called when calls have ceased.
        fn save(&self) -> impl Future<Output = Result<Vec<u8>, String>>;
        /// Takes over what the previous generation saved.
        fn load(&self, data: Vec<u8>) -> impl Future<Output = Result<(), String>>;
    }

    impl<T: Snapshot> snapshot_export::exports::proa::component::snapshot::Guest for Glue<T> {
        async fn save() -> Result<StreamReader<u8>, String> {
            let data = glue::get::<T>().save().await?;
            let (mut writer, reader) = snapshot_export::wit_stream::new();
            crate::spawn(async move {
                writer.write_all(data).await;
            });
            Ok(reader)
        }
        async fn load(data: StreamReader<u8>) -> Result<(), String> {
            let bytes = data.collect().await;
            glue::get::<T>().load(bytes).await
        }
    }
}
