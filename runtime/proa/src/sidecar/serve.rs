//! One runtime from its configuration to its end, in the order that can be observed from outside: components, then the servers, then the
//! application; and back.

use super::End;
use super::app::{ask_config, probe};
use super::options::{self, Ports};
use super::signals::{Asked, Signals};
use crate::flags::SidecarFlags;
use proa_core::metrics::Series;
use proa_core::{Runtime, RuntimeOptions, names};
use proa_host::{Host, HostOptions};
use proa_pluggable::Sockets as ComponentSockets;
use proa_transport::app::{app_channel, wait_for_app};
use proa_transport::export::Exporter;
use proa_transport::grpc::{self, Role};
use proa_transport::http;
use proa_transport::listen::Listeners;
use proa_transport::outside::HttpOutside;
use proa_transport::peers::GrpcPeers;
use proa_transport::tls::Security;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the end waits for the last spans to be exported.
const FLUSH: Duration = Duration::from_secs(5);
/// How long messages may be with the application once no more are taken.
const DRAIN: Duration = Duration::from_secs(30);

fn fatal(why: impl std::fmt::Display) -> End {
    tracing::error!(target: "dapr.runtime", fatal = true, "Fatal error from runtime: {why}");
    End::Failed
}

/// What listens, bound before anything that could refer to a port.
struct Sockets {
    http: Listeners,
    grpc: Listeners,
    internal: Listeners,
    public: Option<Listeners>,
    metrics: Option<Listeners>,
    profile: Option<Listeners>,
}

pub async fn run(flags: &SidecarFlags, signals: &mut Signals) -> End {
    let begun = Instant::now();
    let started = tokio::select! {
        started = start(flags) => started,
        asked = signals.next() => return if asked == Asked::Stop { End::Clean } else { End::Restart },
    };
    let (runtime, servers) = match started {
        Ok(started) => started,
        Err(why) => return fatal(why),
    };
    tokio::spawn(super::resident::trim());
    let stop_app = CancellationToken::new();
    let app = tokio::spawn(reach_app(runtime.clone(), stop_app.clone(), begun));
    let (asked, forced) = tokio::select! {
        asked = signals.next() => (asked, false),
        forced = runtime.shutdown_requested() => (Asked::Stop, forced),
    };
    if forced {
        tracing::warn!(target: "dapr.runtime", "Force shutdown requested, exiting immediately without graceful shutdown");
        // The answer to the request is still on its way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        return End::Failed;
    }
    let ending = end(flags, &runtime, servers, stop_app, app);
    let end = tokio::select! {
        end = ending => end,
        () = signals.stop() => {
            tracing::warn!(target: "dapr.runtime", "second signal: exiting at once");
            End::Failed
        }
    };
    match (end, asked) {
        (End::Clean, Asked::Reload) => End::Restart,
        (end, _) => end,
    }
}

/// The servers that run, and what stops them.
struct Servers {
    exporter: Option<Exporter>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

async fn start(flags: &SidecarFlags) -> Result<(Arc<Runtime>, Servers), String> {
    let paths: Vec<PathBuf> = flags.config.iter().map(PathBuf::from).collect();
    let known = options::early_environment(flags);
    let variable = |name: &str| known.get(name).cloned().or_else(|| std::env::var(name).ok());
    let mut configuration =
        proa_resources::configuration::load_configuration_with(&paths, &variable).map_err(|e| format!("error loading configuration: {e}"))?;
    configuration.apply_otel_environment(&variable).map_err(|e| format!("error loading configuration: {e}"))?;
    for warning in &configuration.warnings {
        tracing::warn!(target: "dapr.runtime", "configuration: {warning}");
    }
    let security = identity(flags).await?;
    let sockets = bind(flags).await?;
    let ports = Ports {
        http: sockets.http.port().unwrap_or(flags.http_port),
        grpc: sockets.grpc.port().unwrap_or(flags.grpc_port),
        internal: sockets.internal.port().unwrap_or_default(),
        metrics: sockets.metrics.as_ref().and_then(Listeners::port).unwrap_or(flags.metrics_port),
    };
    let options = options::runtime(flags, &ports);
    absent_services(&options);
    let environment = options::environment(flags, &options);
    let host = Host::new(&HostOptions::from_env()).map_err(|e| e.to_string())?.with_remotes(Arc::new(ComponentSockets::from_env()));
    configuration.metrics.enabled &= flags.enable_metrics;
    let runtime = Runtime::new(options, configuration, host, environment).map_err(|e| e.to_string())?;
    let tasks = tokio::runtime::Handle::current().metrics();
    runtime.metrics().count_tasks_with(move || tasks.num_alive_tasks() as u64);
    let exporter = Exporter::start(&runtime)?;
    let peers = meet(flags, &runtime, security.clone()).await;
    runtime.load().await.map_err(|e| e.to_string())?;
    let mut servers = serve(&runtime, sockets, exporter, security.clone());
    servers.tasks.spawn(peers.keep(servers.stop.clone()));
    if let Some(security) = security {
        runtime.metrics().count(Series::MtlsInit, &[]);
        servers.tasks.spawn(security.renew(runtime.metrics().clone(), servers.stop.clone()));
    }
    runtime.outbound_ready();
    Ok((runtime, servers))
}

/// With mTLS nothing may listen before this sidecar can prove who it is: waits for Sentry for as long as it takes.
async fn identity(flags: &SidecarFlags) -> Result<Option<Arc<Security>>, String> {
    if !flags.enable_mtls {
        tracing::warn!(target: "dapr.runtime.security", "mTLS is disabled. Skipping certificate request and tls validation");
        return Ok(None);
    }
    Security::acquire(options::identity(flags)).await.map(Some).map_err(|e| e.to_string())
}

/// Other sidecars find this one where it listens for them.
async fn meet(flags: &SidecarFlags, runtime: &Arc<Runtime>, security: Option<Arc<Security>>) -> Arc<GrpcPeers> {
    let address = options::peers_address(&flags.internal_grpc_listen_address, &runtime.options().host_address);
    let names = names::start(runtime, &address).await;
    let peers = Arc::new(GrpcPeers::new(runtime, security));
    runtime.meet(names, peers.clone());
    runtime.reach_outside(Arc::new(HttpOutside::new(runtime)));
    peers
}

fn absent_services(options: &RuntimeOptions) {
    if options.placement_addresses.is_empty() {
        tracing::info!(target: "dapr.runtime", "Actor runtime disabled: no placement host addresses provided");
    }
    if options.scheduler_addresses.is_empty() {
        tracing::info!(target: "dapr.runtime", "No scheduler host addresses provided. Scheduler disabled");
    } else {
        tracing::info!(target: "dapr.runtime", "Using Scheduler service for reminders.");
    }
}

async fn bind(flags: &SidecarFlags) -> Result<Sockets, String> {
    let text = |e: proa_transport::listen::ListenError| e.to_string();
    let (http, grpc) = match &flags.unix_domain_socket {
        Some(folder) => (
            Listeners::unix("HTTP", &folder.join(format!("dapr-{}-http.socket", flags.app_id))).map_err(text)?,
            Listeners::unix("gRPC", &folder.join(format!("dapr-{}-grpc.socket", flags.app_id))).map_err(text)?,
        ),
        None => (
            Listeners::tcp("HTTP", &flags.listen_addresses, flags.http_port).await.map_err(text)?,
            Listeners::tcp("gRPC", &flags.listen_addresses, flags.grpc_port).await.map_err(text)?,
        ),
    };
    let internal_address = [flags.internal_grpc_listen_address.clone()];
    let wanted = flags.internal_grpc_port.unwrap_or_else(|| options::stable_internal_port(&flags.app_id));
    let internal = match Listeners::tcp("internal gRPC", &internal_address, wanted).await {
        Err(_) if flags.internal_grpc_port.is_none() => Listeners::tcp("internal gRPC", &internal_address, 0).await,
        bound => bound,
    };
    let one = |address: &str| [address.to_owned()];
    let public = match flags.public_port {
        Some(port) => Some(Listeners::tcp("public HTTP", &one(&flags.public_listen_address), port).await.map_err(text)?),
        None => None,
    };
    let metrics = match flags.enable_metrics {
        true => Some(Listeners::tcp("metrics", &one(&flags.metrics_listen_address), flags.metrics_port).await.map_err(text)?),
        false => None,
    };
    let profile = match flags.enable_profiling {
        true => Some(Listeners::tcp("profiling", &flags.listen_addresses, flags.profile_port).await.map_err(text)?),
        false => None,
    };
    Ok(Sockets { http, grpc, internal: internal.map_err(text)?, public, metrics, profile })
}

fn serve(runtime: &Arc<Runtime>, sockets: Sockets, exporter: Option<Exporter>, security: Option<Arc<Security>>) -> Servers {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(grpc::serve(runtime.clone(), Role::Api, sockets.grpc, None, stop.clone()));
    tasks.spawn(http::serve(runtime.clone(), sockets.http, stop.clone()));
    tasks.spawn(grpc::serve(runtime.clone(), Role::Internal, sockets.internal, security, stop.clone()));
    if let Some(listeners) = sockets.public {
        tasks.spawn(http::serve_public(runtime.clone(), listeners, stop.clone()));
    }
    if let Some(listeners) = sockets.metrics {
        tasks.spawn(http::serve_metrics(runtime.clone(), listeners, stop.clone()));
    }
    if let Some(listeners) = sockets.profile {
        tasks.spawn(http::serve_profile(listeners, stop.clone()));
    }
    Servers { exporter, stop, tasks }
}

/// Waits for the application, asks it what it wants, and keeps an eye on it.
async fn reach_app(runtime: Arc<Runtime>, stop: CancellationToken, begun: Instant) {
    let work = async {
        let options = runtime.options();
        if !wait_for_app(options, &stop).await {
            return;
        }
        let channel = app_channel(&runtime).unwrap_or_else(|error| {
            tracing::error!(target: "dapr.runtime", "the application cannot be reached: {error}");
            None
        });
        match (channel, options.app_health.clone()) {
            (Some(app), Some(health)) => {
                // An application that is not well does not make the sidecar unready.
                runtime.app_found();
                running(begun);
                probe(runtime.clone(), app, health, stop.clone()).await;
            }
            (channel, _) => {
                if let Some(app) = &channel {
                    ask_config(&runtime, app.as_ref()).await;
                }
                runtime.app_ready(channel).await;
                running(begun);
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

fn running(begun: Instant) {
    tracing::info!(target: "dapr.runtime", "dapr initialized. Status: Running. Init Elapsed {}ms", begun.elapsed().as_millis());
}

/// No messages and events any more, but the API as ever: until the time is over or the application says that it is done.
async fn blocked(runtime: &Runtime, block: Duration) {
    let text = proa_resources::go_duration::format(block);
    tracing::info!(target: "dapr.runtime", "Blocking graceful shutdown for {text} or until app reports unhealthy...");
    runtime.pause_brokers().await;
    // What did not settle in time goes back to the broker.
    let _ = tokio::time::timeout(DRAIN, runtime.stop_deliveries()).await;
    tokio::select! {
        () = tokio::time::sleep(block) => tracing::info!(target: "dapr.runtime", "Block shutdown period expired, entering shutdown..."),
        () = runtime.app_unwell() => tracing::info!(target: "dapr.runtime", "App reported unhealthy, entering shutdown..."),
    }
}

async fn end(
    flags: &SidecarFlags,
    runtime: &Arc<Runtime>,
    mut servers: Servers,
    stop_app: CancellationToken,
    app: tokio::task::JoinHandle<()>,
) -> End {
    if let Some(block) = flags.block_shutdown {
        blocked(runtime, block).await;
    }
    stop_app.cancel();
    let grace = flags.graceful_shutdown;
    let work = async {
        tracing::info!(target: "dapr.runtime", "Dapr is shutting down");
        // The task ends with its token.
        let _ = app.await;
        runtime.leave().await;
        // One limit for all of it: an inner one of the same length would race with it.
        runtime.stop_deliveries().await;
        servers.stop.cancel();
        while servers.tasks.join_next().await.is_some() {}
        runtime.close().await;
        if let Some(exporter) = servers.exporter.take() {
            exporter.close(FLUSH).await;
        }
        tracing::info!(target: "dapr.runtime", "Dapr runtime stopped");
    };
    if tokio::time::timeout(grace.max(Duration::from_millis(500)), work).await.is_err() {
        tracing::error!(target: "dapr.runtime", "Graceful shutdown timeout exceeded, forcing shutdown");
        return End::Failed;
    }
    End::Clean
}
