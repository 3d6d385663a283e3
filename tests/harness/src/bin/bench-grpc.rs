//! Load over gRPC, and its target.
//!
//! `bench-grpc app <port>` is an application whose `OnInvoke` gives back what it gets. `bench-grpc load <how> <port> <app id> <bytes>
//! <connections> <seconds>` calls it in closed loops, one a connection, on one thread, and prints JSON: requests, failed, rate (1/s), p50,
//! p99 and longest (ms), and the codes of what failed. `how`: `direct` is the application's own port; `invoke` is a sidecar's `InvokeService`; `proxied` is the application's method through
//! a sidecar.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proa_protocol::common::v1::{HttpExtension, InvokeRequest, InvokeResponse, http_extension::Verb};
use proa_protocol::runtime::v1 as pb;
use proa_protocol::runtime::v1::app_callback_client::AppCallbackClient;
use proa_protocol::runtime::v1::app_callback_server::{AppCallback, AppCallbackServer};
use proa_protocol::runtime::v1::dapr_client::DaprClient;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

const LARGEST: usize = 8 << 20;

struct Echo;

#[tonic::async_trait]
impl AppCallback for Echo {
    async fn on_invoke(&self, request: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(InvokeResponse { data: request.data, content_type: request.content_type }))
    }

    async fn list_topic_subscriptions(&self, _: Request<()>) -> Result<Response<pb::ListTopicSubscriptionsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn on_topic_event(&self, _: Request<pb::TopicEventRequest>) -> Result<Response<pb::TopicEventResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn list_input_bindings(&self, _: Request<()>) -> Result<Response<pb::ListInputBindingsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn on_bulk_topic_event(&self, _: Request<pb::TopicEventBulkRequest>) -> Result<Response<pb::TopicEventBulkResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn on_job_event(&self, _: Request<pb::JobEventRequest>) -> Result<Response<pb::JobEventResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn on_binding_event(&self, _: Request<pb::BindingEventRequest>) -> Result<Response<pb::BindingEventResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

#[derive(Clone, Copy)]
enum How {
    Direct,
    Invoke,
    Proxied,
}

/// One connection and what it sends.
struct Caller {
    how: How,
    app_id: String,
    message: InvokeRequest,
    app: AppCallbackClient<Channel>,
    sidecar: DaprClient<Channel>,
}

impl Caller {
    fn new(how: How, port: u16, app_id: &str, bytes: usize) -> Self {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address").tcp_nodelay(true).connect_lazy();
        let message = InvokeRequest {
            method: "echo".into(),
            data: Some(prost_types::Any { type_url: String::new(), value: vec![b'x'; bytes] }),
            content_type: "application/octet-stream".into(),
            http_extension: Some(HttpExtension { verb: Verb::Post as i32, querystring: String::new() }),
        };
        let app = AppCallbackClient::new(channel.clone()).max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST);
        let sidecar = DaprClient::new(channel).max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST);
        Self { how, app_id: app_id.to_owned(), message, app, sidecar }
    }

    /// Whether the answer is what was sent; if not, the code that came instead.
    async fn call(&mut self) -> Result<(), Code> {
        let message = self.message.clone();
        let answer = match self.how {
            How::Invoke => self.sidecar.invoke_service(pb::InvokeServiceRequest { id: self.app_id.clone(), message: Some(message) }).await,
            How::Direct | How::Proxied => {
                let mut request = Request::new(message);
                if matches!(self.how, How::Proxied) {
                    request.metadata_mut().insert("dapr-app-id", self.app_id.parse().expect("an app id"));
                }
                self.app.on_invoke(request).await
            }
        };
        let sent = self.message.data.as_ref().map(|data| data.value.len());
        match answer {
            Ok(answer) if answer.get_ref().data.as_ref().map(|data| data.value.len()) == sent => Ok(()),
            Ok(_) => Err(Code::DataLoss),
            Err(status) => {
                eprintln!("{status}");
                Err(status.code())
            }
        }
    }
}

async fn serve(port: u16) {
    let service = AppCallbackServer::new(Echo).max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST);
    Server::builder().tcp_nodelay(true).add_service(service).serve(([127, 0, 0, 1], port).into()).await.expect("app port");
}

async fn load(how: How, port: u16, app_id: &str, bytes: usize, connections: usize, limit: Duration) {
    let mut callers: Vec<Caller> = (0..connections).map(|_| Caller::new(how, port, app_id, bytes)).collect();
    // Connections and names are found before the clock runs.
    for caller in &mut callers {
        let _ = caller.call().await;
    }
    let begun = Instant::now();
    let loops = callers.into_iter().map(|mut caller| {
        tokio::spawn(async move {
            let (mut times, mut codes, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
            while begun.elapsed() < limit {
                let asked = Instant::now();
                let outcome = caller.call().await;
                longest = longest.max(asked.elapsed());
                match outcome {
                    Ok(()) => times.push(asked.elapsed()),
                    Err(code) => {
                        codes.push(code);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
            (times, codes, longest)
        })
    });
    let (mut times, mut codes, mut longest) = (Vec::new(), BTreeMap::<String, usize>::new(), Duration::ZERO);
    for one in futures::future::join_all(loops).await {
        let (more, wrong, long) = one.expect("a loop");
        times.extend(more);
        for code in wrong {
            *codes.entry(format!("{code:?}")).or_default() += 1;
        }
        longest = longest.max(long);
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let percentile =
        |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    let rate = times.len() as f64 / seconds;
    let figures = serde_json::json!({
        "requests": times.len(), "failed": codes.values().sum::<usize>(), "rate": rate, "p50": percentile(0.5), "p99": percentile(0.99),
        "longest": longest.as_secs_f64() * 1e3, "codes": codes,
    });
    println!("{figures}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("missing argument: {what}"));
    match next("app or load").as_str() {
        "app" => serve(next("port").parse().expect("a port")).await,
        "load" => {
            let how = match next("how").as_str() {
                "direct" => How::Direct,
                "invoke" => How::Invoke,
                "proxied" => How::Proxied,
                other => panic!("{other}: direct, invoke or proxied"),
            };
            let port = next("port").parse().expect("a port");
            let app_id = next("app id");
            let mut number = |what: &str| next(what).parse::<usize>().expect("a number");
            let (bytes, connections, seconds) = (number("bytes"), number("connections"), number("seconds"));
            load(how, port, &app_id, bytes, connections, Duration::from_secs(seconds as u64)).await;
        }
        other => panic!("{other}: app or load"),
    }
}
