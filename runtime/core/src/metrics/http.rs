//! Series of the HTTP API, of calls to an HTTP app and of its health probes.
//!
//! One look-up by (method, path label, status); sizes have no labels and no look-up. Path labels cost a scan of the
//! path, plus a walk through the configured patterns if there are any.

use std::time::Duration;

use super::Metrics;
use super::calls::ms;
use super::registry::Handle;
use super::table::Series;

const SERVER: &[Series] = &[Series::HttpServerRequestCount, Series::HttpServerLatency];
const SERVER_INCREASED: &[Series] = &[Series::HttpServerRequestCount, Series::HttpServerLatency, Series::HttpServerResponseCount];
const CLIENT: &[Series] = &[Series::HttpClientCount, Series::HttpClientLatency];
const SIZES: &[Series] = &[Series::HttpServerRequestBytes, Series::HttpServerResponseBytes];

impl Metrics {
    /// A request to the HTTP API was answered. `path` is the decoded path of the request line without its query;
    /// `request_bytes` its Content-Length, 0 if it had none.
    pub fn http_server(&self, method: &str, path: &str, status: u16, elapsed: Duration, request_bytes: u64, response_bytes: u64) {
        let Some(registry) = &self.registry else {
            return;
        };
        let labels = &registry.labels;
        let path = labels.server_path(path);
        let bundle = if labels.is_increased() { SERVER_INCREASED } else { SERVER };
        let mut digits = [0; 5];
        let values = [labels.method(method), path.as_ref(), decimal(status, &mut digits)];
        self.event(bundle, &values, Some(ms(elapsed)));
        let sizes = registry.http_sizes.get_or_init(|| registry.handles(SIZES, &[]).unwrap_or_else(|| [].into()));
        if let [request, response] = &**sizes {
            Handle::observe(request, request_bytes as f64);
            Handle::observe(response, response_bytes as f64);
        }
    }

    /// A request with a body of `bytes` goes to the app. `path` is the method name or path asked for.
    pub fn http_client_started(&self, method: &str, path: &str, bytes: u64) {
        let Some(registry) = &self.registry else {
            return;
        };
        let path = registry.labels.client_path(path);
        // Dapr's series has a status label although nothing is known yet
        let values = [registry.labels.method(method), path.as_ref(), ""];
        self.observe(Series::HttpClientSentBytes, &values, bytes as f64);
    }

    /// The app answered with a body of `bytes`, or the call failed (status 500).
    pub fn http_client_completed(&self, method: &str, path: &str, status: u16, elapsed: Duration, bytes: u64) {
        let Some(registry) = &self.registry else {
            return;
        };
        let path = registry.labels.client_path(path);
        let mut digits = [0; 5];
        let values = [registry.labels.method(method), path.as_ref(), decimal(status, &mut digits)];
        self.event(CLIENT, &values, Some(ms(elapsed)));
        self.observe(Series::HttpClientReceivedBytes, &[], bytes as f64);
    }

    /// A health probe of the app over HTTP ended with `status` (500 if it could not be made).
    pub fn http_probe(&self, status: u16, elapsed: Duration) {
        let mut digits = [0; 5];
        let values = [decimal(status, &mut digits)];
        self.event(&[Series::HttpProbeCount, Series::HttpProbeLatency], &values, Some(ms(elapsed)));
    }
}

/// `number` as text in `digits`, which spares an allocation per request.
fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &str {
    let mut start = digits.len();
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = position;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or_default()
}
