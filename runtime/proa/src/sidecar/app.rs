//! The application's port and its health.

use proa_core::app::AppChannel;
use proa_core::{AppHealth, Runtime};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Asks for the application's configuration, once it can be called.
pub async fn ask_config(runtime: &Runtime, app: &dyn AppChannel) {
    if runtime.options().disable_init_endpoints.iter().any(|e| e == "config") {
        tracing::info!(target: "dapr.runtime", "Skipping programmatic dapr configuration loading");
    } else if let Err(error) = app.app_config().await {
        tracing::warn!(target: "dapr.runtime", "failed to get the app's configuration: {error}");
    }
}

/// Probes until `stop`, and tells the runtime of every change. The application counts as unhealthy until the first good answer.
pub async fn probe(runtime: Arc<Runtime>, app: Arc<dyn AppChannel>, health: AppHealth, stop: CancellationToken) {
    let (mut healthy, mut failures, mut begun) = (false, 0u32, false);
    loop {
        if app.healthy(health.timeout).await {
            failures = 0;
            if !healthy {
                healthy = true;
                tracing::info!(target: "dapr.runtime", "App entered healthy status");
                if begun {
                    runtime.app_health(true).await
                } else {
                    ask_config(&runtime, app.as_ref()).await;
                    runtime.app_ready(Some(app.clone())).await
                }
                begun = true;
            }
        } else {
            failures = failures.saturating_add(1);
            if healthy && failures >= health.threshold {
                healthy = false;
                tracing::warn!(target: "dapr.runtime", "App entered un-healthy status");
                runtime.app_health(false).await;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(health.interval) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// `--wait`: until the sidecar on this machine can call out, a minute at most.
pub async fn wait_for_sidecar(port: u16) -> ExitCode {
    for _ in 0..600 {
        if outbound_ready(port).await.unwrap_or(false) {
            return ExitCode::SUCCESS;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("the sidecar at port {port} is not ready after 60s");
    ExitCode::FAILURE
}

async fn outbound_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /v1.0/healthz/outbound HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b"204"))
}
