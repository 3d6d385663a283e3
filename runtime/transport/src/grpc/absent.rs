//! Blocks without a component, where Dapr looks at the request before it says so.

use super::api::Api;
use futures::StreamExt;
use futures::stream::BoxStream;
use proa_model::Error;
use proa_model::error::{absent, common};
use proa_protocol::runtime::v1 as pb;
use std::time::Duration;
use tonic::{Request, Response, Status, Streaming};

/// How long a stream of data may take to send its options.
const FIRST_MESSAGE: Duration = Duration::from_secs(5);

type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// No subscription can exist, which is an answer and not a failure.
pub(super) async fn unsubscribe_configuration(
    api: &Api,
    request: Request<pb::UnsubscribeConfigurationRequest>,
) -> Result<Response<pb::UnsubscribeConfigurationResponse>, Status> {
    api.runtime.metrics().error_code("ERR_CONFIGURATION_UNSUBSCRIBE", "configuration");
    let id = request.into_inner().id;
    let message = format!("failed to unsubscribe to configuration request {id}: subscription does not exist");
    Ok(Response::new(pb::UnsubscribeConfigurationResponse { ok: false, message }))
}

pub(super) async fn actor_events(
    _: &Api,
    _: Request<Streaming<pb::SubscribeActorEventsRequestAlpha1>>,
) -> Result<Response<Stream<pb::SubscribeActorEventsResponseAlpha1>>, Status> {
    Err(Status::failed_precondition("actor callback streaming requires a gRPC app channel"))
}

pub(super) async fn try_lock(api: &Api, request: Request<pb::TryLockRequest>) -> Result<Response<pb::TryLockResponse>, Status> {
    let request = request.into_inner();
    if request.expiry_in_seconds <= 0 {
        return Err(api.fail(&common::malformed(format!("ExpiryInSeconds is not positive in lock store {}", request.store_name))));
    }
    Err(api.fail(&absent::lock()))
}

pub(super) async fn encrypt(api: &Api, request: Request<Streaming<pb::EncryptRequest>>) -> Result<Response<Stream<pb::EncryptResponse>>, Status> {
    let first = first(request.into_inner()).await.map_err(|error| api.fail(&error))?;
    let missing = match first.options {
        None => "first message does not contain the required options",
        Some(options) if options.key_name.is_empty() => "missing property 'keyName' in the options message",
        Some(options) if options.key_wrap_algorithm.is_empty() => "missing property 'keyWrapAlgorithm' in the options message",
        Some(_) => return Err(api.fail(&absent::crypto())),
    };
    Err(api.fail(&invalid(missing)))
}

pub(super) async fn decrypt(api: &Api, request: Request<Streaming<pb::DecryptRequest>>) -> Result<Response<Stream<pb::DecryptResponse>>, Status> {
    let first = first(request.into_inner()).await.map_err(|error| api.fail(&error))?;
    match first.options {
        None => Err(api.fail(&invalid("first message does not contain the required options"))),
        Some(_) => Err(api.fail(&absent::crypto())),
    }
}

/// The first message of a stream, if it comes in time.
async fn first<T>(mut stream: Streaming<T>) -> Result<T, Error> {
    match tokio::time::timeout(FIRST_MESSAGE, stream.next()).await {
        Err(_) => Err(invalid("error waiting for first message: context deadline exceeded")),
        Ok(Some(Ok(message))) => Ok(message),
        Ok(Some(Err(status))) => Err(unreadable(status.message())),
        Ok(None) => Err(unreadable("EOF")),
    }
}

fn invalid(why: &str) -> Error {
    common::bad_request(format!("invalid request: {why}"))
}

fn unreadable(why: &str) -> Error {
    let text = format!("failed to perform operation: error receiving the first message: {why}");
    Error::plain("crypto", "ERR_CRYPTO", 500, proa_model::Grpc::Internal, text)
}

pub(super) async fn converse(api: &Api, request: Request<pb::ConversationRequest>) -> Result<Response<pb::ConversationResponse>, Status> {
    Err(api.fail(&absent::conversation(&request.into_inner().name)))
}

pub(super) async fn converse_by_role(
    api: &Api,
    request: Request<pb::ConversationRequestAlpha2>,
) -> Result<Response<pb::ConversationResponseAlpha2>, Status> {
    Err(api.fail(&absent::conversation(&request.into_inner().name)))
}
