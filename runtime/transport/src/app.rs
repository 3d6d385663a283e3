//! The channel to the application, whatever it speaks, and waiting for the application to listen.

pub mod grpc;
pub mod http;

use proa_core::app::{AppChannel, ChannelError};
use proa_core::{Runtime, RuntimeOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.runtime";
/// The most that an application may take for an event. Policies are what limits it sooner; this frees what a hung one would hold for ever.
pub(crate) const ANSWER: Duration = Duration::from_secs(3600);
/// How often a port is tried, and how long one try may take.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(500);

/// The channel that the options ask for; none without a port. Nothing is connected yet.
///
/// # Errors
/// An address that is none.
pub fn app_channel(runtime: &Arc<Runtime>) -> Result<Option<Arc<dyn AppChannel>>, ChannelError> {
    let options = runtime.options();
    let Some(port) = options.app_port else { return Ok(None) };
    let permits = options.app_max_concurrency.filter(|most| *most > 0).map(|most| Arc::new(Semaphore::new(most)));
    if options.app_protocol.is_grpc() {
        return Ok(Some(Arc::new(grpc::connect(runtime, permits)?)));
    }
    Ok(Some(Arc::new(http::connect(runtime, port, permits)?)))
}

/// Waits until the application listens; false: `stop` came first. Says nothing when there is no application.
pub async fn wait_for_app(options: &RuntimeOptions, stop: &CancellationToken) -> bool {
    let Some(port) = options.app_port else { return true };
    let protocol = options.app_protocol.as_str();
    tracing::info!(
        target: LOG,
        "application protocol: {protocol}. waiting on port {port}.  This will block until the app is listening on that port."
    );
    let listening = async {
        loop {
            let attempt = TcpStream::connect((options.app_channel_address.as_str(), port));
            if matches!(tokio::time::timeout(PATIENCE, attempt).await, Ok(Ok(_))) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = listening => {
            tracing::info!(target: LOG, "application discovered on port {port}");
            true
        }
        () = stop.cancelled() => false,
    }
}
