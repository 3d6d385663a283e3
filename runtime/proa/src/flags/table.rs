//! The sidecar's flags as data: name, kind, default, what it is for. Parsing, usage and hints all read this table.

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// Any text; the last occurrence counts.
    Text,
    /// Comma-separated texts; occurrences add up.
    List,
    /// A whole number that may be negative.
    Integer,
    /// A whole number that may not be negative.
    Unsigned,
    /// A Go duration.
    Duration,
    /// Present for true, or `=true`/`=false`; never takes the next argument.
    Switch,
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct FlagSpec {
    /// The name without dashes.
    pub name: &'static str,
    /// What it takes.
    pub kind: FlagKind,
    /// The default as it would be written; empty for none.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// What to use instead when it is on its way out.
    pub deprecated: Option<&'static str>,
}

const fn flag(name: &'static str, kind: FlagKind, default: &'static str, help: &'static str) -> FlagSpec {
    FlagSpec { name, kind, default, help, deprecated: None }
}

const fn old(name: &'static str, kind: FlagKind, default: &'static str, help: &'static str, instead: &'static str) -> FlagSpec {
    FlagSpec { name, kind, default, help, deprecated: Some(instead) }
}

use FlagKind::{Duration, Integer, List, Switch, Text, Unsigned};

/// All flags of the sidecar, by name.
pub const FLAGS: &[FlagSpec] = &[
    flag(
        "actors-disseminate-timeout",
        Duration,
        "30s",
        "how long one round of actor placement may take before the sidecar gives its actors up and reconnects",
    ),
    old("actors-service", Text, "", "type and address of the actors service", "flag no longer has any effect"),
    flag("allowed-origins", Text, "", "origins that browsers may call from, comma-separated; * for all, empty for no CORS"),
    flag("app-binding-options-timeout", Duration, "3s", "how long the app may take to say which input bindings it wants"),
    flag("app-channel-address", Text, "127.0.0.1", "the address the app listens on"),
    flag("app-health-check-path", Text, "/healthz", "the app's path for health checks over HTTP"),
    flag("app-health-probe-interval", Integer, "5", "seconds between health checks of the app"),
    flag("app-health-probe-timeout", Integer, "500", "milliseconds a health check of the app may take"),
    flag("app-health-threshold", Integer, "3", "failed health checks in a row that make the app unhealthy"),
    flag("app-id", Text, "", "the app's unique name"),
    flag("app-max-concurrency", Integer, "-1", "calls the app gets at once; -1 for no limit"),
    flag("app-port", Text, "", "the port the app listens on"),
    flag("app-protocol", Text, "http", "what the app speaks: grpc, grpcs, http, https or h2c"),
    old("app-ssl", Switch, "false", "speak TLS with the app", "use '--app-protocol https|grpcs'"),
    flag("build-info", Switch, "false", "print version and build, then exit"),
    old("components-path", Text, "", "a folder with resources", "use --resources-path"),
    flag("config", List, "", "a configuration file (in Kubernetes the name of a Configuration); may be given several times"),
    flag("control-plane-address", Text, "", "the operator's address"),
    flag("control-plane-namespace", Text, "default", "the control plane's namespace"),
    flag("control-plane-trust-domain", Text, "localhost", "the control plane's trust domain"),
    flag(
        "dapr-block-shutdown-duration",
        Duration,
        "0s",
        "how long a shutdown waits for the app to become unhealthy before it begins; off when not given",
    ),
    flag("dapr-graceful-shutdown-seconds", Integer, "5", "how long a shutdown may take"),
    flag("dapr-grpc-port", Text, "50001", "the port of the gRPC API; 0 for any free one"),
    flag("dapr-http-port", Text, "3500", "the port of the HTTP API; 0 for any free one"),
    old("dapr-http-max-request-size", Integer, "4", "the largest request in megabytes", "use '--max-body-size 4Mi'"),
    old("dapr-http-read-buffer-size", Integer, "4", "the largest request head in kilobytes", "use '--read-buffer-size 4Ki'"),
    flag("dapr-internal-grpc-listen-address", Text, "", "the address other sidecars reach this one at"),
    flag("dapr-internal-grpc-port", Text, "", "the port other sidecars reach this one at; a stable free one when not given"),
    flag("dapr-listen-addresses", Text, "", "addresses the API listens on, comma-separated; all when not given"),
    flag("dapr-public-listen-address", Text, "", "the address of the public health and metadata endpoints"),
    flag("dapr-public-port", Text, "", "the port of the public health and metadata endpoints"),
    flag("disable-builtin-k8s-secret-store", Switch, "false", "do without the secret store of Kubernetes"),
    flag("disable-init-endpoints", List, "", "which of the app's config and subscribe endpoints not to ask at start"),
    flag("enable-api-logging", Switch, "false", "log API calls; when not given, the configuration decides"),
    flag("enable-app-health-check", Switch, "false", "check the app's health"),
    flag("enable-metrics", Switch, "true", "serve metrics"),
    flag("enable-mtls", Switch, "false", "encrypt and authenticate traffic between sidecars"),
    flag("enable-profiling", Switch, "false", "serve profiles"),
    flag("hot-reload-reconcile-interval", Duration, "0s", "how often all resources are compared even without an event; 0 for 60s"),
    flag("log-as-json", Switch, "false", "write log lines as JSON"),
    flag("log-file", Text, "", "a file for log lines"),
    flag("log-level", Text, "info", "debug, info, warn, error or fatal"),
    flag("max-body-size", Text, "4Mi", "the largest request, as a quantity"),
    flag("metrics-listen-address", Text, "0.0.0.0", "the address metrics are served at"),
    flag("metrics-port", Text, "9090", "the port metrics are served at"),
    flag("mode", Text, "standalone", "standalone or kubernetes"),
    flag("placement-host-address", Text, "", "the placement services, comma-separated; none turns actors off"),
    flag("profile-port", Text, "7777", "the port profiles are served at"),
    flag("read-buffer-size", Text, "4Ki", "the largest request head, as a quantity"),
    old("reminders-service", Text, "", "type and address of the reminders service", "flag no longer has any effect"),
    flag("resources-path", List, "", "a folder with resources; may be given several times"),
    flag("scheduler-host-address", List, "", "the scheduler services, comma-separated; none turns jobs and reminders off"),
    flag("scheduler-job-streams", Unsigned, "3", "connections per scheduler for triggered jobs"),
    flag("sentry-address", Text, "", "the certificate authority's address"),
    flag("sentry-request-jwt-audiences", List, "", "audiences of the identity token, comma-separated"),
    flag("unix-domain-socket", Text, "", "a folder for unix sockets; the API then listens on those instead of ports"),
    flag("version", Switch, "false", "print the version, then exit"),
    flag("wait", Switch, "false", "wait until the sidecar on this machine can do outbound calls, then exit"),
];

/// The flag of that name.
pub fn find(name: &str) -> Option<&'static FlagSpec> {
    FLAGS.iter().find(|spec| spec.name == name)
}

/// The list of flags for people.
pub fn usage(program: &str) -> String {
    let mut text = format!("Usage of {program}:\n");
    for spec in FLAGS.iter().filter(|spec| spec.deprecated.is_none()) {
        let kind = match spec.kind {
            FlagKind::Text => " string",
            FlagKind::List => " strings",
            FlagKind::Integer => " int",
            FlagKind::Unsigned => " uint",
            FlagKind::Duration => " duration",
            FlagKind::Switch => "",
        };
        let default = match spec.default {
            "" | "false" | "0s" => String::new(),
            value => format!(" (default {value})"),
        };
        text.push_str(&format!("      --{}{kind}\n            {}{default}\n", spec.name, spec.help));
    }
    text
}
