//! Multicast DNS in Dapr's dialect: the type of the service is the application id itself (`<app id>.local`), and its TXT record repeats it.
//!
//! One task owns the sockets. It answers questions about this sidecar, announces it, takes it back at the end, and remembers what others
//! answer.

mod packet;
mod sockets;

use super::cache::Cache;
use super::{LOG, Resolver};
use futures::future::BoxFuture;
use packet::{Data, Packet, Record};
use sockets::{PORT, Sockets};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a first look-up may take, and how soon it asks again.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(200);
/// The same question is not asked more often than this.
const APART: Duration = Duration::from_millis(50);
/// How often everything that is known is asked for again.
const REFRESH: Duration = Duration::from_secs(30);
/// When this sidecar is announced, unasked.
const ANNOUNCED: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];
/// How long others may remember what is said, in seconds.
const TTL: u32 = 120;
/// Questions that wait to be sent.
const QUEUE: usize = 256;
const CLOSING: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    cache: Mutex<Cache>,
    learned: Notify,
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module's text.
pub struct Mdns {
    shared: Arc<Shared>,
    questions: mpsc::Sender<String>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Mdns {
    /// Announces `app_id` at `address:port`, and goes on until [`Resolver::close`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No socket, or an address that is none.
    pub fn start(app_id: &str, hostname: &str, address: &str, port: u16) -> io::Result<Self> {
        let address: IpAddr = address.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{address:?} is not an address")))?;
        let sockets = Sockets::open()?;
        let (questions, asked) = mpsc::channel(QUEUE);
        let (shared, stop) = (Arc::new(Shared::default()), CancellationToken::new());
        let task =
            Task { shared: shared.clone(), sockets, asked: HashMap::new(), heard: None, service: Service::new(app_id, hostname, address, port) };
        tracing::info!(target: LOG, "local service entry announced: {app_id} -> {address}:{port}");
        let task = tokio::spawn(task.run(asked, stop.clone()));
        Ok(Self { shared, questions, stop, task: Mutex::new(Some(task)) })
    }

    async fn browse(&self, app_id: &str) -> String {
        loop {
            let learned = self.shared.learned.notified();
            tokio::pin!(learned);
            learned.as_mut().enable();
            if let Some(address) = self.shared.cache().next(app_id, Instant::now()) {
                return address;
            }
            // A full queue means that questions are going out already.
            let _ = self.questions.try_send(app_id.to_owned());
            let _ = tokio::time::timeout(AGAIN, learned).await;
        }
    }
}

impl Resolver for Mdns {
    fn resolve<'a>(&'a self, app_id: &'a str, _namespace: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let missing = || format!("couldn't find service: {app_id}");
            {
                let mut cache = self.shared.cache();
                if let Some(address) = cache.next(app_id, Instant::now()) {
                    return Ok(address);
                }
                if !cache.want(app_id) {
                    return Err(missing());
                }
            }
            tracing::debug!(target: LOG, "no mDNS address found in cache, browsing network for app id {app_id}");
            let found = tokio::time::timeout(PATIENCE, self.browse(app_id)).await;
            found.map_err(|_| {
                self.shared.cache().give_up(app_id);
                missing()
            })
        })
    }

    fn failed(&self, app_id: &str, address: &str) {
        self.shared.cache().forget(app_id, address);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.stop.cancel();
            let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(task) = task {
                // What was announced grows old by itself.
                let _ = tokio::time::timeout(CLOSING, task).await;
            }
        })
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What is said about this sidecar.
struct Service {
    name: String,
    instance: String,
    host: String,
    records: Vec<Record>,
}

impl Service {
    fn new(app_id: &str, hostname: &str, address: IpAddr, port: u16) -> Self {
        let name = format!("{app_id}.local");
        let instance = format!("{hostname}:{}.{name}", std::process::id());
        let host = match hostname.strip_suffix(".local").unwrap_or(hostname) {
            "" => "localhost.local".to_owned(),
            bare => format!("{bare}.local"),
        };
        let record = |name: &str, data| Record { name: name.to_owned(), ttl: TTL, data };
        let at = match address {
            IpAddr::V4(v4) => Data::A(v4),
            IpAddr::V6(v6) => Data::Aaaa(v6),
        };
        let records = vec![
            record(&name, Data::Ptr(instance.clone())),
            record(&instance, Data::Srv { port, host: host.clone() }),
            record(&instance, Data::Txt(vec![app_id.as_bytes().to_vec()])),
            record(&host, at),
        ];
        Self { name, instance, host, records }
    }

    fn is_meant(&self, question: &packet::Question) -> bool {
        let kinds: (&str, &[u16]) = if question.name.eq_ignore_ascii_case(&self.name) {
            (&self.name, &[packet::PTR, packet::ANY])
        } else if question.name.eq_ignore_ascii_case(&self.instance) {
            (&self.instance, &[packet::SRV, packet::TXT, packet::ANY])
        } else if question.name.eq_ignore_ascii_case(&self.host) {
            (&self.host, &[packet::A, packet::AAAA, packet::ANY])
        } else {
            return false;
        };
        kinds.1.contains(&question.kind)
    }

    fn goodbye(&self) -> Vec<u8> {
        let records: Vec<Record> = self.records.iter().cloned().map(|record| Record { ttl: 0, ..record }).collect();
        packet::response(0, &records)
    }
}

struct Task {
    shared: Arc<Shared>,
    sockets: Sockets,
    /// When each question was last asked.
    asked: HashMap<String, Instant>,
    /// The last question that was answered.
    heard: Option<(Vec<u8>, Instant)>,
    service: Service,
}

impl Task {
    async fn run(mut self, mut questions: mpsc::Receiver<String>, stop: CancellationToken) {
        let mut buffer = vec![0; 9000];
        let (begun, mut announced) = (tokio::time::Instant::now(), ANNOUNCED.into_iter());
        let mut announce = announced.next();
        let mut refresh = tokio::time::interval_at(begun + REFRESH, REFRESH);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                received = self.sockets.receive(&mut buffer) => match received {
                    Ok((length, from)) => self.heard(buffer.get(..length).unwrap_or_default(), from).await,
                    // A datagram that could not be delivered shows here; the socket is fine.
                    Err(_) => tokio::time::sleep(APART).await,
                },
                Some(app_id) = questions.recv() => self.ask(app_id).await,
                () = tokio::time::sleep_until(begun + announce.unwrap_or_default()), if announce.is_some() => {
                    self.sockets.say(&packet::response(0, &self.service.records)).await;
                    announce = announced.next();
                }
                _ = refresh.tick() => self.refresh().await,
            }
        }
        self.sockets.say(&self.service.goodbye()).await;
    }

    async fn refresh(&mut self) {
        self.sockets.join();
        let now = Instant::now();
        self.asked.retain(|_, at| now.duration_since(*at) < REFRESH);
        let apps = self.shared.cache().asked_for(now);
        for app_id in apps {
            self.ask(app_id).await;
        }
    }

    async fn ask(&mut self, app_id: String) {
        let now = Instant::now();
        if self.asked.get(&app_id).is_some_and(|at| now.duration_since(*at) < APART) {
            return;
        }
        self.sockets.say(&packet::query(&format!("{app_id}.local"), packet::PTR)).await;
        self.asked.insert(app_id, now);
    }

    async fn heard(&mut self, message: &[u8], from: SocketAddr) {
        let Some(packet) = packet::read(message) else { return };
        if packet.response {
            return self.learn(&packet);
        }
        let Some(question) = packet.questions.iter().find(|q| self.service.is_meant(q)) else { return };
        // Whoever asks from another port cannot hear the group.
        if from.port() != PORT || question.unicast {
            self.sockets.answer(&packet::response(packet.id, &self.service.records), from).await;
        }
        // The same question comes in by every interface, and the answer goes out by all of them.
        let now = Instant::now();
        if self.heard.as_ref().is_some_and(|(last, at)| last == message && now.duration_since(*at) < APART) {
            return;
        }
        self.heard = Some((message.to_vec(), now));
        if from.port() == PORT {
            self.sockets.say(&packet::response(0, &self.service.records)).await;
        }
    }

    /// What one message says about services; its records complete one another.
    fn learn(&self, packet: &Packet) {
        let now = Instant::now();
        for record in &packet.records {
            let Data::Srv { port, host } = &record.data else { continue };
            let texts = packet.records.iter().find_map(|r| match &r.data {
                Data::Txt(texts) if r.name == record.name => texts.first(),
                _ => None,
            });
            let Some(app_id) = texts.and_then(|text| std::str::from_utf8(text).ok()) else { continue };
            let belongs = record.name.strip_suffix(".local").and_then(|name| name.strip_suffix(app_id)).is_some_and(|name| name.ends_with('.'));
            let Some(ip) = address(packet, host).filter(|_| belongs) else { continue };
            let address = SocketAddr::new(ip, *port).to_string();
            let mut cache = self.shared.cache();
            if record.ttl == 0 {
                cache.forget(app_id, &address);
            } else if cache.learn(app_id, address, now) {
                drop(cache);
                self.shared.learned.notify_waiters();
            }
        }
    }
}

/// Where a host is: by IPv4 rather than IPv6, as Dapr prefers it. An address that needs to be told the link is of no use.
fn address(packet: &Packet, host: &str) -> Option<IpAddr> {
    let of_host = || packet.records.iter().filter(|r| r.name == *host);
    let v4 = of_host().find_map(|r| if let Data::A(v4) = r.data { Some(IpAddr::V4(v4)) } else { None });
    let v6 = || of_host().find_map(|r| if let Data::Aaaa(v6) = r.data { Some(v6) } else { None }.filter(|v6| !v6.is_unicast_link_local()));
    v4.or_else(|| v6().map(IpAddr::V6))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_find_one_another_and_forget_what_is_gone() {
        let id = format!("names-{}", std::process::id());
        let one = Mdns::start(&format!("{id}-1"), "one", "127.0.0.1", 4001).unwrap();
        let two = Mdns::start(&format!("{id}-2"), "two", "127.0.0.1", 4002).unwrap();
        assert_eq!(one.resolve(&format!("{id}-2"), "default").await.unwrap(), "127.0.0.1:4002");
        assert_eq!(two.resolve(&format!("{id}-1"), "default").await.unwrap(), "127.0.0.1:4001");
        two.close().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gone = one.resolve(&format!("{id}-2"), "default").await.unwrap_err();
        assert_eq!(gone, format!("couldn't find service: {id}-2"));
    }
}
