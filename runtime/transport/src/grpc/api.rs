//! `dapr.proto.runtime.v1.Dapr`: one row per method, naming the function that translates it.
//!
//! Rows without work of their own name the failure of a block that is not configured.

use super::error::{failed, unimplemented};
use super::{absent, bindings, invoke, metadata, pubsub, secrets, state, subscribe};
use futures::stream::BoxStream;
use proa_core::Runtime;
use proa_model::Error;
use proa_model::error as failures;
use proa_protocol::common::v1 as common;
use proa_protocol::runtime::v1::dapr_server::Dapr;
use proa_protocol::runtime::v1::*;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The API of one sidecar.
pub(super) struct Api {
    pub(super) runtime: Arc<Runtime>,
    /// The server stops.
    pub(super) stop: CancellationToken,
}

impl Api {
    pub(super) fn new(runtime: Arc<Runtime>, stop: CancellationToken) -> Self {
        Self { runtime, stop }
    }

    /// Renders a failure.
    pub(super) fn fail(&self, error: &Error) -> Status {
        failed(self.runtime.metrics(), error)
    }
}

type Answered<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Spells out what `async_trait` would, so that the methods can be rows of a table.
macro_rules! methods {
    (
        streams { $($stream:ident = $item:ty;)* }
        served { $($name:ident($request:ty) -> $response:ty = $function:path;)* }
        failing { $($failing:ident($failing_request:ty) -> $failing_response:ty = $error:expr;)* }
    ) => {
        impl Dapr for Api {
            $(type $stream = Stream<$item>;)*
            $(
                fn $name<'life0, 'async_trait>(&'life0 self, request: Request<$request>) -> Answered<'async_trait, $response>
                where
                    'life0: 'async_trait,
                    Self: 'async_trait,
                {
                    super::describe::describe(request.get_ref());
                    Box::pin($function(self, request))
                }
            )*
            $(
                fn $failing<'life0, 'async_trait>(&'life0 self, request: Request<$failing_request>) -> Answered<'async_trait, $failing_response>
                where
                    'life0: 'async_trait,
                    Self: 'async_trait,
                {
                    super::describe::describe(request.get_ref());
                    Box::pin(async move { Err(self.fail(&$error)) })
                }
            )*
        }
    };
}

methods! {
    streams {
        SubscribeTopicEventsAlpha1Stream = SubscribeTopicEventsResponseAlpha1;
        SubscribeActorEventsAlpha1Stream = SubscribeActorEventsResponseAlpha1;
        SubscribeConfigurationAlpha1Stream = SubscribeConfigurationResponse;
        SubscribeConfigurationStream = SubscribeConfigurationResponse;
        EncryptAlpha1Stream = EncryptResponse;
        DecryptAlpha1Stream = DecryptResponse;
    }
    served {
        invoke_service(InvokeServiceRequest) -> common::InvokeResponse = invoke::invoke;
        get_state(GetStateRequest) -> GetStateResponse = state::get;
        get_bulk_state(GetBulkStateRequest) -> GetBulkStateResponse = state::get_bulk;
        save_state(SaveStateRequest) -> () = state::save;
        query_state_alpha1(QueryStateRequest) -> QueryStateResponse = state::query;
        delete_state(DeleteStateRequest) -> () = state::delete;
        delete_bulk_state(DeleteBulkStateRequest) -> () = state::delete_bulk;
        execute_state_transaction(ExecuteStateTransactionRequest) -> () = state::transact;
        publish_event(PublishEventRequest) -> () = pubsub::publish;
        bulk_publish_event_alpha1(BulkPublishRequest) -> BulkPublishResponse = pubsub::publish_bulk;
        bulk_publish_event(BulkPublishRequest) -> BulkPublishResponse = pubsub::publish_bulk;
        subscribe_topic_events_alpha1(Streaming<SubscribeTopicEventsRequestAlpha1>) -> Stream<SubscribeTopicEventsResponseAlpha1> = subscribe::topic_events;
        invoke_binding(InvokeBindingRequest) -> InvokeBindingResponse = bindings::invoke;
        get_secret(GetSecretRequest) -> GetSecretResponse = secrets::get;
        get_bulk_secret(GetBulkSecretRequest) -> GetBulkSecretResponse = secrets::get_bulk;
        get_metadata(GetMetadataRequest) -> GetMetadataResponse = metadata::get;
        set_metadata(SetMetadataRequest) -> () = metadata::set;
        shutdown(ShutdownRequest) -> () = metadata::shutdown;
        unsubscribe_configuration_alpha1(UnsubscribeConfigurationRequest) -> UnsubscribeConfigurationResponse = absent::unsubscribe_configuration;
        unsubscribe_configuration(UnsubscribeConfigurationRequest) -> UnsubscribeConfigurationResponse = absent::unsubscribe_configuration;
        subscribe_actor_events_alpha1(Streaming<SubscribeActorEventsRequestAlpha1>) -> Stream<SubscribeActorEventsResponseAlpha1> = absent::actor_events;
        try_lock_alpha1(TryLockRequest) -> TryLockResponse = absent::try_lock;
        encrypt_alpha1(Streaming<EncryptRequest>) -> Stream<EncryptResponse> = absent::encrypt;
        decrypt_alpha1(Streaming<DecryptRequest>) -> Stream<DecryptResponse> = absent::decrypt;
        converse_alpha1(ConversationRequest) -> ConversationResponse = absent::converse;
        converse_alpha2(ConversationRequestAlpha2) -> ConversationResponseAlpha2 = absent::converse_by_role;
    }
    failing {
        get_configuration_alpha1(GetConfigurationRequest) -> GetConfigurationResponse = failures::absent::configuration();
        get_configuration(GetConfigurationRequest) -> GetConfigurationResponse = failures::absent::configuration();
        subscribe_configuration_alpha1(SubscribeConfigurationRequest) -> Stream<SubscribeConfigurationResponse> = failures::absent::configuration();
        subscribe_configuration(SubscribeConfigurationRequest) -> Stream<SubscribeConfigurationResponse> = failures::absent::configuration();
        unlock_alpha1(UnlockRequest) -> UnlockResponse = failures::absent::lock();
        subtle_get_key_alpha1(SubtleGetKeyRequest) -> SubtleGetKeyResponse = unimplemented();
        subtle_encrypt_alpha1(SubtleEncryptRequest) -> SubtleEncryptResponse = unimplemented();
        subtle_decrypt_alpha1(SubtleDecryptRequest) -> SubtleDecryptResponse = unimplemented();
        subtle_wrap_key_alpha1(SubtleWrapKeyRequest) -> SubtleWrapKeyResponse = unimplemented();
        subtle_unwrap_key_alpha1(SubtleUnwrapKeyRequest) -> SubtleUnwrapKeyResponse = unimplemented();
        subtle_sign_alpha1(SubtleSignRequest) -> SubtleSignResponse = unimplemented();
        subtle_verify_alpha1(SubtleVerifyRequest) -> SubtleVerifyResponse = unimplemented();
        register_actor_timer(RegisterActorTimerRequest) -> () = failures::absent::actors();
        unregister_actor_timer(UnregisterActorTimerRequest) -> () = failures::absent::actors();
        register_actor_reminder(RegisterActorReminderRequest) -> () = failures::absent::actors();
        unregister_actor_reminder(UnregisterActorReminderRequest) -> () = failures::absent::actors();
        unregister_actor_reminders_by_type(UnregisterActorRemindersByTypeRequest) -> UnregisterActorRemindersByTypeResponse = failures::absent::actors();
        list_actor_reminders(ListActorRemindersRequest) -> ListActorRemindersResponse = failures::absent::actors();
        get_actor_state(GetActorStateRequest) -> GetActorStateResponse = failures::absent::actors();
        get_actor_reminder(GetActorReminderRequest) -> GetActorReminderResponse = failures::absent::actors();
        execute_actor_state_transaction(ExecuteActorStateTransactionRequest) -> () = failures::absent::actors();
        invoke_actor(InvokeActorRequest) -> InvokeActorResponse = failures::absent::actors();
        start_workflow_alpha1(StartWorkflowRequest) -> StartWorkflowResponse = failures::absent::workflow();
        get_workflow_alpha1(GetWorkflowRequest) -> GetWorkflowResponse = failures::absent::workflow();
        purge_workflow_alpha1(PurgeWorkflowRequest) -> () = failures::absent::workflow();
        terminate_workflow_alpha1(TerminateWorkflowRequest) -> () = failures::absent::workflow();
        pause_workflow_alpha1(PauseWorkflowRequest) -> () = failures::absent::workflow();
        resume_workflow_alpha1(ResumeWorkflowRequest) -> () = failures::absent::workflow();
        raise_event_workflow_alpha1(RaiseEventWorkflowRequest) -> () = failures::absent::workflow();
        start_workflow_beta1(StartWorkflowRequest) -> StartWorkflowResponse = failures::absent::workflow();
        get_workflow_beta1(GetWorkflowRequest) -> GetWorkflowResponse = failures::absent::workflow();
        purge_workflow_beta1(PurgeWorkflowRequest) -> () = failures::absent::workflow();
        terminate_workflow_beta1(TerminateWorkflowRequest) -> () = failures::absent::workflow();
        pause_workflow_beta1(PauseWorkflowRequest) -> () = failures::absent::workflow();
        resume_workflow_beta1(ResumeWorkflowRequest) -> () = failures::absent::workflow();
        raise_event_workflow_beta1(RaiseEventWorkflowRequest) -> () = failures::absent::workflow();
        schedule_job_alpha1(ScheduleJobRequest) -> ScheduleJobResponse = failures::absent::jobs();
        schedule_job(ScheduleJobRequest) -> ScheduleJobResponse = failures::absent::jobs();
        get_job_alpha1(GetJobRequest) -> GetJobResponse = failures::absent::jobs();
        get_job(GetJobRequest) -> GetJobResponse = failures::absent::jobs();
        delete_job_alpha1(DeleteJobRequest) -> DeleteJobResponse = failures::absent::jobs();
        delete_job(DeleteJobRequest) -> DeleteJobResponse = failures::absent::jobs();
        delete_jobs_by_prefix_alpha1(DeleteJobsByPrefixRequestAlpha1) -> DeleteJobsByPrefixResponseAlpha1 = failures::absent::jobs();
        delete_jobs_by_prefix(DeleteJobsByPrefixRequest) -> DeleteJobsByPrefixResponse = failures::absent::jobs();
        list_jobs_alpha1(ListJobsRequestAlpha1) -> ListJobsResponseAlpha1 = failures::absent::jobs();
        list_jobs(ListJobsRequest) -> ListJobsResponse = failures::absent::jobs();
    }
}
