//! Dapr's wire protocols as Rust types: messages (prost), clients and servers (tonic), descriptors (reflection).
//!
//! Everything below is generated at build time from `proto/`, whose packages, names and numbers are Dapr's. The module
//! path is the package without `dapr.proto`: `dapr.proto.runtime.v1` is [`runtime::v1`]. Every `bytes` field is a
//! [`bytes::Bytes`] that shares the buffer it was decoded from; the well-known types are those of `prost_types`, whose
//! `Any::value` is a `Vec<u8>`. Decoding fails with `prost::DecodeError`; nothing else here can fail.

/// A package: its module, its dotted name, and what it is about.
macro_rules! package {
    ($name:ident, $package:literal, $about:literal) => {
        #[doc = $about]
        pub mod $name {
            #[doc = concat!("Package `", $package, "`.")]
            // Generated code is held to the generators' rules, not to this workspace's.
            #[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
            #[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    };
}

package!(common, "dapr.proto.common.v1", "Shapes shared by the other packages.");
package!(runtime, "dapr.proto.runtime.v1", "The application API and what the sidecar calls on the app.");
package!(internals, "dapr.proto.internals.v1", "The hop between sidecars.");
package!(components, "dapr.proto.components.v1", "Components in a process of their own.");
package!(placement, "dapr.proto.placement.v1", "Which host holds which actor types.");
package!(scheduler, "dapr.proto.scheduler.v1", "Durable triggers.");
package!(sentry, "dapr.proto.sentry.v1", "The certificate authority.");
package!(operator, "dapr.proto.operator.v1", "The feed of resources from Kubernetes.");
package!(workflows, "dapr.proto.workflows.v1", "Inputs of the hooks around MCP calls; no service.");

pub mod descriptors;

pub use descriptors::ALL as FILE_DESCRIPTOR_SET;
