//! The sidecar as an object: built from options, configuration and a host; started, reconciled, stopped. No global state.

use crate::access::AccessList;
use crate::app::AppChannel;
use crate::delivery::Deliveries;
use crate::health::{Health, Targets};
use crate::input::Inputs;
use crate::invocation::{Neighbours, Outside, Peers};
use crate::metrics::{HttpOptions, Metrics, MetricsError, MetricsOptions, Rule, RuleLabel};
use crate::names::Resolver;
use crate::options::RuntimeOptions;
use crate::reconcile::{self, Reconciler};
use crate::resiliency::Resiliency;
use crate::services::invoke::Endpoints;
use crate::slots::{Slot, Slots};
use crate::trace::Tracer;
use proa_host::Host;
use proa_host::manifest::Kind;
use proa_host::middleware::{BoxError, Lease as StageLease, Pipeline, Service, Stage};
use proa_resources::Configuration;
use proa_resources::configuration::{Handler, MetricLabel};
use proa_resources::resource::Resource;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a runtime does not start; the text follows "Fatal error from runtime: ".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Components(String),
    #[error("{0}")]
    Metrics(#[from] MetricsError),
    #[error("{0}")]
    Host(String),
    #[error("{0}")]
    Access(String),
}

/// See the module's text.
pub struct Runtime {
    options: RuntimeOptions,
    configuration: Arc<Configuration>,
    metrics: Metrics,
    resiliency: Resiliency,
    tracer: OnceLock<Tracer>,
    pub(crate) host: Host,
    pub(crate) slots: Slots,
    pub(crate) targets: Targets,
    pub(crate) app: OnceLock<Arc<dyn AppChannel>>,
    pub(crate) neighbours: OnceLock<Neighbours>,
    /// The name resolver, when it is a component.
    pub(crate) resolver: OnceLock<Arc<Slot>>,
    pub(crate) outside: OnceLock<Arc<dyn Outside>>,
    pub(crate) endpoints: Endpoints,
    access: Option<AccessList>,
    pub(crate) deliveries: Deliveries,
    pub(crate) inputs: Inputs,
    pub(crate) reconciler: Reconciler,
    pub(crate) reported: crate::guests::Reported,
    /// What `PUT /metadata/{key}` has set.
    pub(crate) extended: Mutex<BTreeMap<String, String>>,
    /// The state store that actors would use.
    pub(crate) actor_store: Mutex<Option<String>>,
    shutdown: CancellationToken,
    forced: AtomicBool,
    /// Whether the application may be called; only probing makes it false.
    app_well: watch::Sender<bool>,
    pub(crate) tasks: TaskTracker,
    environment: BTreeMap<String, String>,
}

impl Runtime {
    /// Builds the runtime without starting anything. `environment` holds variables that stand before the process's own.
    pub fn new(
        options: RuntimeOptions,
        configuration: Configuration,
        host: Host,
        environment: BTreeMap<String, String>,
    ) -> Result<Arc<Self>, StartError> {
        let metrics = Metrics::new(metrics_options(&options, &configuration))?;
        let reconciler = Reconciler::new(&options);
        let access = AccessList::new(configuration.access_control.as_ref(), !options.app_protocol.is_grpc()).map_err(StartError::Access)?;
        let runtime = Arc::new(Self {
            options,
            configuration: Arc::new(configuration),
            resiliency: Resiliency::new(metrics.clone()),
            metrics,
            tracer: OnceLock::new(),
            host,
            slots: Slots::default(),
            targets: Targets::default(),
            app: OnceLock::new(),
            neighbours: OnceLock::new(),
            resolver: OnceLock::new(),
            outside: OnceLock::new(),
            endpoints: Endpoints::default(),
            access,
            deliveries: Deliveries::default(),
            inputs: Inputs::default(),
            reconciler,
            reported: crate::guests::Reported::default(),
            extended: Mutex::default(),
            actor_store: Mutex::default(),
            shutdown: CancellationToken::new(),
            forced: AtomicBool::new(false),
            app_well: watch::Sender::new(true),
            tasks: TaskTracker::new(),
            environment,
        });
        runtime.targets.set("outbound", false);
        runtime.targets.set("app", false);
        Ok(runtime)
    }

    pub fn options(&self) -> &RuntimeOptions {
        &self.options
    }
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    /// Timeouts, retries and circuit breakers of every target.
    pub fn resiliency(&self) -> &Resiliency {
        &self.resiliency
    }
    /// Makes the spans of this sidecar; once in a runtime's life, before anything is served.
    pub fn trace_with(&self, tracer: Tracer) {
        // The first stays.
        let _ = self.tracer.set(tracer);
    }
    pub fn tracer(&self) -> Tracer {
        self.tracer.get().cloned().unwrap_or_default()
    }
    pub fn configuration(&self) -> Arc<Configuration> {
        self.configuration.clone()
    }
    pub fn health(&self) -> Health {
        self.targets.get()
    }

    /// A variable that components may refer to.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// Loads and starts every component. Until it returns no API should be served.
    pub async fn load(self: &Arc<Self>) -> Result<(), StartError> {
        reconcile::load(self).await.map_err(StartError::Components)
    }

    /// How other applications are found and reached; once in a runtime's life.
    pub fn meet(&self, names: Option<Arc<dyn Resolver>>, peers: Arc<dyn Peers>) {
        // The first stay.
        let _ = self.neighbours.set(Neighbours { names, peers });
    }

    /// How services outside are reached; once in a runtime's life.
    pub fn reach_outside(&self, outside: Arc<dyn Outside>) {
        // The first stays.
        let _ = self.outside.set(outside);
    }

    /// Who may call what of the application; none: everyone everything.
    pub fn access(&self) -> Option<&AccessList> {
        self.access.as_ref()
    }

    /// The application's channel, once the application was found.
    pub fn app(&self) -> Option<Arc<dyn AppChannel>> {
        self.app.get().cloned()
    }

    /// Takes back what was announced to other sidecars.
    pub async fn leave(&self) {
        if let Some(names) = self.neighbours.get().and_then(|n| n.names.as_ref()) {
            names.close().await;
        }
    }

    /// The API is served: calls out may begin.
    pub fn outbound_ready(&self) {
        self.targets.set("outbound", true);
    }

    /// The application listens; whether it is well is found out by probing.
    pub fn app_found(&self) {
        self.app_well.send_replace(false);
        self.targets.set("app", true);
    }

    /// The application can be reached (or there is none): deliveries begin, and resources are watched.
    pub async fn app_ready(self: &Arc<Self>, app: Option<Arc<dyn AppChannel>>) {
        self.app_well.send_replace(true);
        if let Some(app) = app {
            // Set once in a runtime's life.
            let _ = self.app.set(app);
            crate::input::start_all(self).await;
            crate::delivery::start_all(self).await;
        }
        self.targets.set("app", true);
        reconcile::watch(self);
    }

    /// The application turned healthy or unhealthy: deliveries stop and begin with it.
    pub async fn app_health(self: &Arc<Self>, healthy: bool) {
        self.app_well.send_replace(healthy);
        if healthy {
            crate::input::start_all(self).await;
            crate::delivery::start_all(self).await;
        } else {
            tokio::join!(self.inputs.stop_all(), self.deliveries.stop_all());
        }
    }

    /// Whether the application may be called.
    pub fn app_is_well(&self) -> bool {
        *self.app_well.borrow()
    }

    pub fn request_shutdown(&self, force: bool) {
        tracing::info!(target: "dapr.runtime", "Shutdown requested via API");
        self.forced.store(force, Ordering::SeqCst);
        self.shutdown.cancel();
    }

    /// Resolves when the API asked for the end; true: at once, without grace.
    pub async fn shutdown_requested(&self) -> bool {
        self.shutdown.cancelled().await;
        self.forced.load(Ordering::SeqCst)
    }

    /// Stops taking messages and events, for good, and settles what is in flight. Whoever gives up waiting leaves the rest to the broker.
    pub async fn stop_deliveries(&self) {
        self.reconciler.stop.cancel();
        tokio::join!(self.inputs.close(), self.deliveries.close());
    }

    /// Resolves when the application is not well; never without probing.
    pub async fn app_unwell(&self) {
        let mut well = self.app_well.subscribe();
        if well.wait_for(|well| !*well).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks brokers of other processes to hand out nothing more; what they have handed out goes on its way.
    pub async fn pause_brokers(&self) {
        for slot in self.slots.of_kind(Kind::Pubsub) {
            let Some(current) = slot.peek() else { continue };
            if let Err(error) = current.generation.pubsub().pause().await {
                tracing::warn!(target: "dapr.runtime.pubsub", "failed to pause subscriptions of pubsub {} during graceful shutdown: {error}", slot.name);
            }
        }
    }

    /// Closes every component, and waits for what still runs.
    pub async fn close(&self) {
        for slot in self.slots.all() {
            if let Some(closed) = slot.install(None) {
                tracing::info!(target: "dapr.runtime", "Shutting down component {}", closed.prepared.component.log_name());
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// `httpPipeline` as it is now; none when it is empty.
    pub fn pipeline(self: &Arc<Self>, end: Arc<dyn Service>) -> Option<Arc<dyn Service>> {
        self.build_pipeline(&self.configuration.http_pipeline, end)
    }

    /// `appHttpPipeline` as it is now; none when it is empty.
    pub fn app_pipeline(self: &Arc<Self>, end: Arc<dyn Service>) -> Option<Arc<dyn Service>> {
        self.build_pipeline(&self.configuration.app_http_pipeline, end)
    }

    fn build_pipeline(self: &Arc<Self>, handlers: &[Handler], end: Arc<dyn Service>) -> Option<Arc<dyn Service>> {
        let stages: Vec<Stage> = handlers.iter().filter_map(|h| self.stage(h)).collect();
        (!stages.is_empty()).then(|| Arc::new(Pipeline::new(stages, end)) as Arc<dyn Service>)
    }

    /// A handler whose component is not loaded is passed over, as in Dapr.
    fn stage(self: &Arc<Self>, handler: &Handler) -> Option<Stage> {
        let slot = self.slots.find(Kind::Middleware, &handler.name)?;
        let current = slot.peek()?;
        if !handler.type_.is_empty() && current.prepared.component.type_ != handler.type_ {
            return None;
        }
        Some(Arc::new(move || {
            let slot = slot.clone();
            Box::pin(async move {
                let lease = slot.lease().await.ok_or_else(|| -> BoxError { format!("middleware {} is not loaded", slot.name).into() })?;
                Ok(StageLease { generation: lease.generation.clone(), guard: Box::new(lease) })
            })
        }))
    }
}

fn metrics_options(options: &RuntimeOptions, configuration: &Configuration) -> MetricsOptions {
    let m = &configuration.metrics;
    let label = |l: &MetricLabel| RuleLabel { name: l.name.clone(), regex: l.regex.clone().into_iter().collect() };
    let rules = m.rules.iter().map(|r| Rule { name: r.name.clone(), labels: r.labels.iter().map(label).collect() });
    MetricsOptions {
        app_id: options.app_id.clone(),
        namespace: if options.namespace_set { options.namespace.clone() } else { String::new() },
        enabled: m.enabled,
        http: HttpOptions {
            increased_cardinality: m.http.increased_cardinality,
            path_matching: m.http.path_matching.clone(),
            exclude_verbs: m.http.exclude_verbs,
        },
        latency_buckets: buckets(m.latency_distribution_buckets.iter().map(|b| *b as f64).collect()),
        workflow_latency_buckets: buckets(m.workflow_latency_buckets.clone()),
        record_error_codes: m.record_error_codes,
        rules: rules.collect(),
    }
}

/// None: the default buckets.
fn buckets(bounds: Vec<f64>) -> Option<Vec<f64>> {
    (!bounds.is_empty()).then_some(bounds)
}
