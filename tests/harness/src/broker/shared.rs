//! One RabbitMQ for all cases of a test process, because its start takes seconds: each case has a virtual host of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::OnceCell;

use super::{BrokerServer, Kind};

/// How many cases of one process may ask.
const VHOSTS: usize = 120;

static SERVER: OnceCell<BrokerServer> = OnceCell::const_new();
static GIVEN: AtomicUsize = AtomicUsize::new(0);

impl BrokerServer {
    /// The URL of a virtual host that nobody else uses.
    pub async fn rabbitmq_vhost() -> String {
        let number = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(number < VHOSTS, "more cases than virtual hosts");
        let server = SERVER.get_or_init(|| Self::start(Kind::Rabbit, VHOSTS)).await;
        format!("{}/v{number}", server.url())
    }
}
