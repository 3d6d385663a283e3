//! The table of series: one row per metric with its kind, its labels and what it says.
//!
//! Names are in Dapr's internal spelling (`/` between parts), which `metrics.rules` are matched against; the exposed
//! name is `dapr_` + the name with `_` for every other character. Every row has the label `app_id` in front, except
//! rows that name it themselves because it is somebody else's.

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Counter of events.
    Count,
    /// Counter of seconds.
    Seconds,
    /// Current value.
    Gauge,
    /// Histogram of milliseconds.
    Latency,
    /// Histogram of milliseconds with the buckets of workflow executions.
    WorkflowLatency,
    /// Histogram of bytes.
    Size,
    /// Histogram of a fraction of a limit.
    Ratio,
}

/// One metric.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

impl Row {
    /// All rows, in the order of [`Series`].
    pub(super) fn all() -> &'static [Self] {
        ROWS
    }

    /// The name in the exposition.
    pub(super) fn exposed_name(&self) -> String {
        let prefix = if self.name.starts_with("proa_") { "" } else { "dapr_" };
        let name = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        prefix.chars().chain(name).collect()
    }
}

/// Bucket bounds of the histograms.
pub(super) struct Buckets {
    pub(super) latency: Vec<f64>,
    pub(super) workflow: Vec<f64>,
}

const LATENCY: &[f64] = &[
    1., 2., 3., 4., 5., 6., 8., 10., 13., 16., 20., 25., 30., 40., 50., 65., 80., 100., 130., 160., 200., 250., 300., 400., 500., 650., 800., 1_000.,
    2_000., 5_000., 10_000., 20_000., 50_000., 100_000.,
];

impl Buckets {
    pub(super) const SIZE: &[f64] = &[
        1024.,
        2048.,
        4096.,
        16_384.,
        65_536.,
        262_144.,
        1_048_576.,
        4_194_304.,
        16_777_216.,
        67_108_864.,
        268_435_456.,
        1_073_741_824.,
        4_294_967_296.,
    ];
    pub(super) const RATIO: &[f64] = &[0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0, 1.5, 2.0];

    pub(super) fn new(latency: Option<Vec<f64>>, workflow: Option<Vec<f64>>) -> Self {
        let latency = match usable(latency) {
            Some(bounds) => {
                tracing::info!(target: "dapr.runtime.diagnostics", "Using custom latency distribution buckets: {}", listed(&bounds));
                bounds
            }
            None => {
                tracing::info!(target: "dapr.runtime.diagnostics", "Using default latency distribution buckets: {}", listed(LATENCY));
                LATENCY.to_vec()
            }
        };
        let workflow = usable(workflow).unwrap_or_else(|| latency.clone());
        Self { latency, workflow }
    }
}

/// Bounds in the order a histogram needs; not positive ones mean nothing for a latency and are left out.
fn usable(bounds: Option<Vec<f64>>) -> Option<Vec<f64>> {
    let mut bounds = bounds?;
    bounds.retain(|bound| bound.is_finite() && *bound > 0.0);
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    (!bounds.is_empty()).then_some(bounds)
}

fn listed(bounds: &[f64]) -> String {
    let bounds: Vec<_> = bounds.iter().map(f64::to_string).collect();
    format!("[{}]", bounds.join(" "))
}

macro_rules! rows {
    ($($series:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every series, by what it measures. The label values of a record are listed in the order of its row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Series {
            $(
                #[doc = concat!("`", $name, "`, labels: ", $($label, " ",)* "— ", $help)]
                $series,
            )*
        }

        static ROWS: &[Row] = &[
            $(Row { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

rows! {
    StateCount: Count "component/state/count" ["component", "namespace", "operation", "success"] "Calls to state stores.";
    StateLatency: Latency "component/state/latencies" ["component", "namespace", "operation", "success"] "Milliseconds a state store took.";
    ConfigurationCount: Count "component/configuration/count" ["component", "namespace", "operation", "success"] "Calls to configuration stores.";
    ConfigurationLatency: Latency "component/configuration/latencies" ["component", "namespace", "operation", "success"] "Milliseconds a configuration store took.";
    SecretCount: Count "component/secret/count" ["component", "namespace", "operation", "success"] "Calls to secret stores.";
    SecretLatency: Latency "component/secret/latencies" ["component", "namespace", "operation", "success"] "Milliseconds a secret store took.";
    CryptoCount: Count "component/crypto/count" ["component", "namespace", "operation", "success"] "Calls to crypto providers.";
    CryptoLatency: Latency "component/crypto/latencies" ["component", "namespace", "operation", "success"] "Milliseconds a crypto provider took.";
    OutputBindingCount: Count "component/output_binding/count" ["component", "namespace", "operation", "success"] "Operations on output bindings.";
    OutputBindingLatency: Latency "component/output_binding/latencies" ["component", "namespace", "operation", "success"] "Milliseconds an output binding took.";
    InputBindingCount: Count "component/input_binding/count" ["component", "namespace", "success"] "Events from input bindings.";
    InputBindingLatency: Latency "component/input_binding/latencies" ["component", "namespace", "success"] "Milliseconds the app took for an input binding's event.";
    ConversationCount: Count "component/conversation/count" ["component", "namespace", "success"] "Calls to conversation components.";
    ConversationLatency: Latency "component/conversation/latencies" ["component", "namespace", "success"] "Milliseconds a conversation component took.";
    PubsubEgressCount: Count "component/pubsub_egress/count" ["component", "namespace", "topic", "success"] "Messages published.";
    PubsubEgressLatency: Latency "component/pubsub_egress/latencies" ["component", "namespace", "topic", "success"] "Milliseconds a broker took to accept a message.";
    BulkEgressCount: Count "component/pubsub_egress/bulk/count" ["component", "namespace", "topic", "success"] "Bulk publish calls.";
    BulkEgressLatency: Latency "component/pubsub_egress/bulk/latencies" ["component", "namespace", "topic", "success"] "Milliseconds a broker took for a bulk publish call.";
    BulkEgressEventCount: Count "component/pubsub_egress/bulk/event_count" ["component", "namespace", "topic", "success"] "Messages published by bulk publish calls.";
    PubsubIngressCount: Count "component/pubsub_ingress/count" ["component", "namespace", "topic", "process_status", "status"] "Messages delivered to the app.";
    PubsubIngressLatency: Latency "component/pubsub_ingress/latencies" ["component", "namespace", "topic", "process_status", "status"] "Milliseconds the app took for a message.";
    BulkIngressCount: Count "component/pubsub_ingress/bulk/count" ["component", "namespace", "topic", "process_status"] "Bulk deliveries to the app.";
    BulkIngressLatency: Latency "component/pubsub_ingress/bulk/latencies" ["component", "namespace", "topic", "process_status"] "Milliseconds the app took for a bulk delivery.";
    BulkIngressEventCount: Count "component/pubsub_ingress/bulk/event_count" ["component", "namespace", "topic", "process_status"] "Messages inside bulk deliveries.";
    JobSuccessCount: Count "component/job/success_count" ["namespace", "operation"] "Job triggers the app accepted.";
    JobFailureCount: Count "component/job/failure_count" ["namespace", "operation"] "Job triggers that failed.";
    JobLatency: Latency "component/job/latencies" ["namespace", "operation", "success"] "Milliseconds the app took for a job trigger.";

    HttpServerRequestBytes: Size "http/server/request_bytes" [] "Bytes of request bodies, as announced by Content-Length.";
    HttpServerResponseBytes: Size "http/server/response_bytes" [] "Bytes of response bodies sent.";
    HttpServerLatency: Latency "http/server/latency" ["method", "path", "status"] "Milliseconds from a request to the end of its response.";
    HttpServerRequestCount: Count "http/server/request_count" ["method", "path", "status"] "Requests served.";
    HttpServerResponseCount: Count "http/server/response_count" ["method", "path", "status"] "Responses sent.";
    HttpClientSentBytes: Size "http/client/sent_bytes" ["method", "path", "status"] "Bytes of request bodies sent to the app.";
    HttpClientReceivedBytes: Size "http/client/received_bytes" [] "Bytes of response bodies received from the app.";
    HttpClientLatency: Latency "http/client/roundtrip_latency" ["method", "path", "status"] "Milliseconds until the app's response was complete or the call failed.";
    HttpClientCount: Count "http/client/completed_count" ["method", "path", "status"] "Requests to the app that ended.";
    HttpProbeCount: Count "http/healthprobes/completed_count" ["status"] "Health probes of the app over HTTP.";
    HttpProbeLatency: Latency "http/healthprobes/roundtrip_latency" ["status"] "Milliseconds a health probe over HTTP took.";

    GrpcServerReceivedBytes: Size "grpc.io/server/received_bytes_per_rpc" ["grpc_server_method"] "Bytes of request messages of one call.";
    GrpcServerSentBytes: Size "grpc.io/server/sent_bytes_per_rpc" ["grpc_server_method"] "Bytes of response messages of one call.";
    GrpcServerLatency: Latency "grpc.io/server/server_latency" ["grpc_server_method", "grpc_server_status"] "Milliseconds a call took to serve.";
    GrpcServerCount: Count "grpc.io/server/completed_rpcs" ["grpc_server_method", "grpc_server_status"] "Calls served.";
    GrpcClientSentBytes: Size "grpc.io/client/sent_bytes_per_rpc" ["grpc_client_method"] "Bytes of request messages of one outgoing call.";
    GrpcClientReceivedBytes: Size "grpc.io/client/received_bytes_per_rpc" ["grpc_client_method"] "Bytes of response messages of one outgoing call.";
    GrpcClientLatency: Latency "grpc.io/client/roundtrip_latency" ["grpc_client_method", "grpc_client_status"] "Milliseconds an outgoing call took.";
    GrpcClientCount: Count "grpc.io/client/completed_rpcs" ["grpc_client_method", "grpc_client_status"] "Outgoing calls that ended.";
    GrpcProbeCount: Count "grpc.io/healthprobes/completed_count" ["grpc_client_status"] "Health probes of the app over gRPC.";
    GrpcProbeLatency: Latency "grpc.io/healthprobes/roundtrip_latency" ["grpc_client_status"] "Milliseconds a health probe over gRPC took.";

    ErrorCode: Count "error_code/total" ["error_code", "category"] "Errors answered, by code.";

    ResiliencyLoaded: Count "resiliency/loaded" ["name", "namespace"] "Resiliency resources loaded.";
    ResiliencyCount: Count "resiliency/count" ["name", "policy", "namespace", "flow_direction", "target", "status"] "Times a policy guarded a call.";
    ResiliencyActivations: Count "resiliency/activations_total" ["name", "policy", "namespace", "flow_direction", "target", "status"] "Times a policy stepped in after a failure or changed its state.";
    ResiliencyBreakerState: Gauge "resiliency/cb_state" ["name", "policy", "namespace", "flow_direction", "target", "status"] "1 for the state a circuit breaker is in, 0 for its other states.";

    ComponentLoaded: Count "runtime/component/loaded" [] "Components loaded.";
    ComponentInit: Count "runtime/component/init_total" ["component"] "Components initialised.";
    ComponentInitFail: Count "runtime/component/init_fail_total" ["component", "reason", "componentName"] "Components that failed to initialise.";

    MtlsInit: Count "runtime/mtls/init_total" [] "Identities obtained at start.";
    MtlsInitFail: Count "runtime/mtls/init_fail_total" ["reason"] "Failures to obtain an identity at start.";
    MtlsRotated: Count "runtime/mtls/workload_cert_rotated_total" [] "Certificate rotations.";
    MtlsRotatedFail: Count "runtime/mtls/workload_cert_rotated_fail_total" ["reason"] "Failed certificate rotations.";

    ActorStatusReport: Count "runtime/actor/status_report_total" ["actor_type", "operation"] "Reports to placement.";
    ActorStatusReportFail: Count "runtime/actor/status_report_fail_total" ["actor_type", "operation", "reason"] "Failed reports to placement.";
    ActorTableOperation: Count "runtime/actor/table_operation_recv_total" ["actor_type", "operation"] "Placement table operations received.";
    ActorRebalanced: Count "runtime/actor/rebalanced_total" ["actor_type"] "Actors drained because they moved.";
    ActorDeactivated: Count "runtime/actor/deactivated_total" ["actor_type"] "Actors deactivated.";
    ActorDeactivatedFail: Count "runtime/actor/deactivated_failed_total" ["actor_type"] "Actors that failed to deactivate.";
    ActorPendingCalls: Gauge "runtime/actor/pending_actor_calls" ["actor_type"] "Calls waiting for an actor's turn.";
    ActorTimers: Gauge "runtime/actor/timers" ["actor_type"] "Timers registered.";
    ActorReminders: Gauge "runtime/actor/reminders" ["actor_type"] "Reminders registered.";
    ActorRemindersFired: Count "runtime/actor/reminders_fired_total" ["actor_type", "success"] "Reminders fired.";
    ActorTimersFired: Count "runtime/actor/timers_fired_total" ["actor_type", "success"] "Timers fired.";

    AclAppAllowed: Count "runtime/acl/app_policy_action_allowed_total" ["app_id", "trustDomain", "namespace"] "Calls allowed by the policy for their caller.";
    AclGlobalAllowed: Count "runtime/acl/global_policy_action_allowed_total" ["app_id", "trustDomain", "namespace"] "Calls allowed by the default policy.";
    AclAppBlocked: Count "runtime/acl/app_policy_action_blocked_total" ["app_id", "trustDomain", "namespace"] "Calls refused by the policy for their caller.";
    AclGlobalBlocked: Count "runtime/acl/global_policy_action_blocked_total" ["app_id", "trustDomain", "namespace"] "Calls refused by the default policy.";

    InvokeRequestSent: Count "runtime/service_invocation/req_sent_total" ["dst_app_id", "type"] "Requests sent to other sidecars.";
    InvokeRequestReceived: Count "runtime/service_invocation/req_recv_total" ["src_app_id"] "Requests received from other sidecars.";
    InvokeResponseSent: Count "runtime/service_invocation/res_sent_total" ["dst_app_id", "status"] "Responses sent to other sidecars.";
    InvokeResponseReceived: Count "runtime/service_invocation/res_recv_total" ["src_app_id", "status", "type"] "Responses received from other sidecars.";
    InvokeLatency: Latency "runtime/service_invocation/res_recv_latency_ms" ["src_app_id", "status"] "Milliseconds until another sidecar's response.";

    WorkflowAclAllowed: Count "runtime/workflow/acl_action_allowed_total" ["src_app_id", "operation", "type"] "Workflow operations allowed by access policy.";
    WorkflowAclDenied: Count "runtime/workflow/acl_action_denied_total" ["src_app_id", "operation", "type"] "Workflow operations refused by access policy.";
    WorkflowOperationCount: Count "runtime/workflow/operation/count" ["namespace", "operation", "status"] "Workflow operations.";
    WorkflowOperationLatency: Latency "runtime/workflow/operation/latency" ["namespace", "operation", "status"] "Milliseconds a workflow operation took.";
    WorkflowExecutionCount: Count "runtime/workflow/execution/count" ["namespace", "workflow_name", "status"] "Workflow executions that ended.";
    WorkflowExecutionLatency: WorkflowLatency "runtime/workflow/execution/latency" ["namespace", "workflow_name", "status"] "Milliseconds from a workflow's start to its end.";
    WorkflowSchedulingLatency: Latency "runtime/workflow/scheduling/latency" ["namespace", "workflow_name"] "Milliseconds from a workflow's request to its start.";
    ActivityOperationCount: Count "runtime/workflow/activity/operation/count" ["namespace", "activity_name", "status"] "Activity requests.";
    ActivityOperationLatency: Latency "runtime/workflow/activity/operation/latency" ["namespace", "activity_name", "status"] "Milliseconds an activity request took.";
    ActivityExecutionCount: Count "runtime/workflow/activity/execution/count" ["namespace", "activity_name", "status"] "Activity executions that ended.";
    ActivityExecutionLatency: WorkflowLatency "runtime/workflow/activity/execution/latency" ["namespace", "activity_name", "status"] "Milliseconds an activity ran.";
    WorkflowPayloadRatio: Ratio "runtime/workflow/payload/size_ratio" ["namespace", "workflow_name"] "Size of a workflow's payload as a fraction of the largest message.";
    ActivityPayloadRatio: Ratio "runtime/workflow/activity/payload/size_ratio" ["namespace", "workflow_name", "activity_name"] "Size of an activity's payload as a fraction of the largest message.";
    AttestationGenerated: Count "runtime/workflow/attestation/generated/count" ["namespace", "attestation_kind", "status"] "Completion attestations made.";
    AttestationVerified: Count "runtime/workflow/attestation/verified/count" ["namespace", "attestation_kind", "attestation_result"] "Completion attestations checked.";
    AttestationVerifyLatency: Latency "runtime/workflow/attestation/verify/latency" ["namespace", "attestation_kind", "attestation_result"] "Milliseconds checking an attestation took.";
    AttestationCertCache: Count "runtime/workflow/attestation/cert_cache/count" ["namespace", "cert_cache_outcome"] "Look-ups of verified certificate chains.";
    CompletionRoute: Count "runtime/workflow/completion/route/count" ["namespace", "task_type", "route"] "Completions, by the way they took.";
    CompletionsFoldCount: Count "runtime/workflow/completions_fold/count" ["namespace", "status"] "Completions folded into a turn.";
    CompletionsFoldWait: Latency "runtime/workflow/completions_fold/wait_latency" ["namespace"] "Milliseconds a folded completion waited.";
    WorkflowLocalWakeCount: Count "runtime/workflow/local_wake/count" ["namespace", "status"] "Workflow turns driven without the scheduler.";
    WorkflowLocalWakeLatency: Latency "runtime/workflow/local_wake/drive_latency" ["namespace", "status"] "Milliseconds a locally driven turn took.";
    WorkflowLocalActivityCount: Count "runtime/workflow/local_activity/count" ["namespace", "status"] "Activities driven without the scheduler.";
    WorkflowLocalActivityLatency: Latency "runtime/workflow/local_activity/drive_latency" ["namespace", "status"] "Milliseconds a locally driven activity took.";
    WorkflowLockWait: Latency "runtime/workflow/lock_wait" ["namespace", "operation"] "Milliseconds a workflow call waited for its turn.";

    GuestCalls: Count "proa_component_calls_total" ["component", "type"] "Calls into a component's sandbox.";
    GuestCpu: Seconds "proa_component_cpu_seconds_total" ["component", "type"] "CPU seconds spent in a component's sandbox.";
    GuestMemory: Gauge "proa_component_memory_bytes" ["component", "type"] "Linear memory held by a component's instances.";
    GuestTraps: Count "proa_component_traps_total" ["component", "type"] "Instances lost to a trap.";
    GuestSwaps: Count "proa_component_swaps_total" ["component", "type", "outcome"] "Replacements of a component.";
    GuestGeneration: Gauge "proa_component_generation" ["component", "type"] "Number of the generation that serves.";
    GuestDenied: Count "proa_component_denied_total" ["component", "type", "grant"] "Attempts of a component beyond its grants.";
    GuestLogDropped: Count "proa_component_log_dropped_total" ["component", "type"] "Log lines of a component dropped by the rate limit.";
    TraceContextDropped: Count "proa_trace_context_dropped_total" ["header"] "Trace headers of callers that were not well-formed.";
    TraceSpansDropped: Count "proa_trace_spans_dropped_total" ["reason"] "Spans that were not exported.";
    MetricsDropped: Count "proa_metrics_dropped_total" ["reason"] "Records dropped because of a label value or the series limit.";
}
