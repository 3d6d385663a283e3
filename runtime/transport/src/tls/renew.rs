//! The sidecar's identity over time: obtained before anything listens, then replaced long before it ends.
//!
//! Readers always find the newest identity, and can wait for the next. A renewal that fails is tried again after ten seconds for
//! as long as it takes; each try has a deadline.

use super::sentry::{IdentityOptions, Issuer};
use super::{Identity, TlsError};
use proa_core::metrics::{Metrics, Series};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Waits between tries to reach Sentry at start grow from the first to the last of these.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Clocks jump and machines sleep: the time is looked at this often at least.
const GLANCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(10);
/// For one renewal, from connecting to the certificate.
const RENEWAL: Duration = Duration::from_secs(60);

/// Who this sidecar is now, and how it stays so.
#[derive(Debug)]
pub struct Security {
    issuer: Issuer,
    current: watch::Sender<Arc<Identity>>,
    /// What servers were given last, and for which identity.
    pub(super) server: Mutex<Option<(Arc<Identity>, Arc<rustls::ServerConfig>)>>,
}

impl Security {
    /// Obtains the first identity. Waits for as long as Sentry cannot be reached; drop the future to give up.
    ///
    /// # Errors
    /// [`TlsError`] when the options cannot work, and when Sentry answers but refuses.
    pub async fn acquire(options: IdentityOptions) -> Result<Arc<Self>, TlsError> {
        let issuer = Issuer::new(options)?;
        tracing::info!(target: "dapr.runtime.security", "Fetching initial identity");
        let identity = first(&issuer).await.map_err(|why| TlsError::Initial(Box::new(why)))?;
        tracing::info!(target: "dapr.runtime.security", "Security is initialized successfully");
        Ok(Arc::new(Self { issuer, current: watch::Sender::new(Arc::new(identity)), server: Mutex::default() }))
    }

    /// The identity as of now.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.current.borrow().clone()
    }

    /// Tells of each new identity.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Identity>> {
        self.current.subscribe()
    }

    /// Replaces the identity whenever its time has come, until `stop`.
    pub async fn renew(self: Arc<Self>, metrics: Metrics, stop: CancellationToken) {
        let identity = self.identity();
        let (expiry, renewal) = (moment(identity.expiry), moment(identity.renewal()));
        tracing::info!(target: "dapr.runtime.security", "Starting workload identity expiry watcher; cert expires on: {expiry}, renewal at: {renewal}");
        // Between two steps nothing is half done, so ending here loses nothing.
        let _stopped = stop.run_until_cancelled(self.keep_fresh(&metrics)).await;
        tracing::debug!(target: "dapr.runtime.security", "stopping workload identity expiry watcher");
    }

    async fn keep_fresh(&self, metrics: &Metrics) {
        loop {
            let identity = self.identity();
            if let Ok(left) = identity.renewal().duration_since(SystemTime::now())
                && !left.is_zero()
            {
                tokio::time::sleep(left.min(GLANCE)).await;
                continue;
            }
            tracing::info!(target: "dapr.runtime.security", "Renewing workload identity; cert expires on: {}", moment(identity.expiry));
            if let Err(error) = self.replace().await {
                metrics.count(Series::MtlsRotatedFail, &[error.reason().unwrap_or("internal")]);
                tracing::error!(target: "dapr.runtime.security", "Error renewing identity, trying again in 10 seconds: {error}");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            metrics.count(Series::MtlsRotated, &[]);
            let identity = self.identity();
            let (expiry, renewal) = (moment(identity.expiry), moment(identity.renewal()));
            tracing::info!(target: "dapr.runtime.security", "Successfully renewed workload identity; cert expires on: {expiry}, renewal at: {renewal}");
        }
    }

    async fn replace(&self) -> Result<(), TlsError> {
        let late = |_| Err(TlsError::Connection(format!("no identity within {RENEWAL:?}")));
        let identity = tokio::time::timeout(RENEWAL, self.issuer.request()).await.unwrap_or_else(late)?;
        if identity.expiry <= SystemTime::now() {
            // Asking at once for another would be an endless loop.
            return Err(TlsError::ValidUntil("it has passed already"));
        }
        self.current.send_replace(Arc::new(identity));
        Ok(())
    }
}

async fn first(issuer: &Issuer) -> Result<Identity, TlsError> {
    let mut wait = FIRST_WAIT;
    loop {
        match issuer.request().await {
            Err(error) if error.is_passing() => {
                let server = issuer.server();
                tracing::warn!(target: "dapr.runtime.security", "no identity from {server} yet, trying again in {wait:?}: {error}");
            }
            answered => return answered,
        }
        tokio::time::sleep(wait).await;
        wait = wait.mul_f64(1.6).min(LAST_WAIT);
    }
}

/// A time as Dapr writes it.
fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|e| e.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}
