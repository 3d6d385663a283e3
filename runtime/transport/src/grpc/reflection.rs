//! gRPC reflection, versions 1 and 1alpha, of what a server serves.

use super::server::Role;
use proa_protocol::descriptors;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// The reflection services of a server; none should its descriptors not be readable, which the tests rule out.
pub(super) fn routes(role: Role) -> Option<Routes> {
    let (set, service) = match role {
        Role::Api => (descriptors::API, "dapr.proto.runtime.v1.Dapr"),
        Role::Internal => (descriptors::INTERNAL, "dapr.proto.internals.v1.ServiceInvocation"),
    };
    let builder = || {
        let names = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", service];
        names.into_iter().fold(Builder::configure().register_encoded_file_descriptor_set(set), Builder::with_service_name)
    };
    let stable = builder().build_v1().ok()?;
    let alpha = builder().build_v1alpha().ok()?;
    Some(Routes::new(stable).add_service(alpha))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_readable() {
        assert!(routes(Role::Api).is_some());
        assert!(routes(Role::Internal).is_some());
    }
}
