//! From a broker or a schedule to the app: every way of subscribing, what the app's answer means, what happens to what it
//! refuses.

/// One test per broker and app protocol for each case `async fn case(bench: &Bench)`.
macro_rules! over_every_broker {
    ($($case:ident),* $(,)?) => {
        over_every_broker!(@broker in_memory InMemory, $($case),*);
        over_every_broker!(@broker redis Redis, $($case),*);
        over_every_broker!(@broker rabbitmq RabbitMq, $($case),*);
        over_every_broker!(@broker jetstream JetStream, $($case),*);
        over_every_broker!(@broker mqtt3 Mqtt, $($case),*);
    };
    (@broker $module:ident $broker:ident, $($case:ident),*) => {
        mod $module {
            over_every_broker!(@app http_app Http $broker, $($case),*);
            over_every_broker!(@app grpc_app Grpc $broker, $($case),*);
        }
    };
    (@app $module:ident $wire:ident $broker:ident, $($case:ident),*) => {
        mod $module {
            $(#[tokio::test] async fn $case() {
                let bench = crate::brokers::Bench::new(crate::brokers::Broker::$broker, proa_harness::Wire::$wire).await;
                super::super::$case(bench).await
            })*
        }
    };
}

#[path = "delivery/answers.rs"]
mod answers;
#[path = "delivery/bindings.rs"]
mod bindings;
#[path = "delivery/brokers.rs"]
mod brokers;
#[path = "delivery/bulk.rs"]
mod bulk;
#[path = "delivery/crashes.rs"]
mod crashes;
#[path = "delivery/outbox.rs"]
mod outbox;
#[path = "delivery/policies.rs"]
mod policies;
#[path = "delivery/pressure.rs"]
mod pressure;
// One of several that share it.
#[allow(dead_code)]
#[path = "shared/process.rs"]
mod process;
#[path = "delivery/queues.rs"]
mod queues;
#[path = "delivery/raw.rs"]
mod raw;
#[path = "delivery/redis.rs"]
mod redis;
#[path = "delivery/routing.rs"]
mod routing;
#[path = "delivery/servers.rs"]
mod servers;
#[path = "delivery/shutdown.rs"]
mod shutdown;
#[path = "delivery/streaming.rs"]
mod streaming;
#[path = "delivery/subscriptions.rs"]
mod subscriptions;
