//! Encoded `google.protobuf.FileDescriptorSet`s for gRPC reflection, one per server and one of everything.
//!
//! Each set is closed: it has the imports of its files, the well-known types among them. An imported file may bring
//! services that the server does not serve (the API's set knows `AppCallback`), so a reflection service should be
//! given the names it may list. The sets are constants; they cost their bytes in the binary, and only when used.

/// Generates one constant per set written by the build script.
macro_rules! sets {
    ($($(#[$about:meta])* $name:ident = $file:literal;)*) => {
        $(
            $(#[$about])*
            pub const $name: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".fds"));
        )*
    };
}

sets! {
    /// Every file of this crate.
    ALL = "all";
    /// `dapr.proto.runtime.v1.Dapr`, the application API.
    API = "api";
    /// `dapr.proto.runtime.v1.AppCallback`, `AppCallbackAlpha` and `AppCallbackHealthCheck`.
    APP_CALLBACK = "app_callback";
    /// `dapr.proto.internals.v1.ServiceInvocation`, the hop between sidecars.
    INTERNAL = "internal";
    /// The services of out-of-process components.
    COMPONENTS = "components";
    /// `dapr.proto.placement.v1.Placement`.
    PLACEMENT = "placement";
    /// `dapr.proto.scheduler.v1.Scheduler`.
    SCHEDULER = "scheduler";
    /// `dapr.proto.sentry.v1.CA`.
    SENTRY = "sentry";
    /// `dapr.proto.operator.v1.Operator`.
    OPERATOR = "operator";
}
