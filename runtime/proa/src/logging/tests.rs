#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use tracing_subscriber::layer::SubscriberExt;

use super::fields::{Collected, Collector};
use super::format::Style;
use super::quote::{push_json, push_text};
use super::*;

const TIME: &str = "2026-11-20T13:35:53.901148269Z";

fn options() -> LogOptions {
    LogOptions { app_id: "myapp".into(), instance: "vm".into(), version: "unknown".into(), ..LogOptions::default() }
}

fn line(options: &LogOptions, level: LogLevel, fill: impl FnOnce(&mut Collector<'_>)) -> String {
    let mut collected = Collected::default();
    fill(&mut Collector(&mut collected));
    let mut line = String::new();
    Style::new(options).write_line(TIME, level, "dapr.runtime", collected, &mut line);
    line
}

fn message(text: &str) -> impl FnOnce(&mut Collector<'_>) + use<'_> {
    move |event| event.text("message", format_args!("{text}"))
}

#[test]
fn a_text_line_is_daprs() {
    assert_eq!(
        line(&options(), LogLevel::Info, message("app id: myapp")),
        "time=\"2026-11-20T13:35:53.901148269Z\" level=info msg=\"app id: myapp\" app_id=myapp instance=vm scope=dapr.runtime type=log ver=unknown\n"
    );
}

#[test]
fn an_events_fields_are_sorted_in() {
    let api = |event: &mut Collector<'_>| {
        event.text("message", format_args!("HTTP API Called"));
        event.text("scope", format_args!("dapr.runtime.http-info"));
        event.text("useragent", format_args!("curl/7.88.1"));
        event.text("method", format_args!("GET /v1.0/healthz"));
        event.number("size", 0);
        event.number("duration", 0);
        event.number("code", 204);
    };
    assert_eq!(
        line(&options(), LogLevel::Info, api),
        "time=\"2026-11-20T13:35:53.901148269Z\" level=info msg=\"HTTP API Called\" app_id=myapp code=204 duration=0 instance=vm method=\"GET /v1.0/healthz\" scope=dapr.runtime.http-info size=0 type=log useragent=curl/7.88.1 ver=unknown\n"
    );
    let json = LogOptions { json: true, app_id: "my app".into(), ..options() };
    assert_eq!(
        line(&json, LogLevel::Info, api),
        "{\"app_id\":\"my app\",\"code\":204,\"duration\":0,\"instance\":\"vm\",\"level\":\"info\",\"method\":\"GET /v1.0/healthz\",\"msg\":\"HTTP API Called\",\"scope\":\"dapr.runtime.http-info\",\"size\":0,\"time\":\"2026-11-20T13:35:53.901148269Z\",\"type\":\"log\",\"useragent\":\"curl/7.88.1\",\"ver\":\"unknown\"}\n"
    );
}

#[test]
fn a_field_replaces_a_common_one_but_not_a_fixed_one() {
    let clash = |event: &mut Collector<'_>| {
        event.text("r#type", format_args!("request"));
        event.text("level", format_args!("high"));
        event.truth("ok", true);
    };
    assert_eq!(
        line(&options(), LogLevel::Warn, clash),
        "time=\"2026-11-20T13:35:53.901148269Z\" level=warning app_id=myapp fields.level=high instance=vm ok=true scope=dapr.runtime type=request ver=unknown\n"
    );
}

#[test]
fn no_app_id_no_field() {
    let bare = LogOptions { version: String::new(), app_id: String::new(), ..options() };
    assert_eq!(
        line(&bare, LogLevel::Fatal, message("x")),
        "time=\"2026-11-20T13:35:53.901148269Z\" level=fatal msg=x instance=vm scope=dapr.runtime type=log ver=\n"
    );
}

#[test]
fn quoting_is_gos() {
    let cases = [
        ("plain-._/@^+9", "plain-._/@^+9"),
        ("a b", "\"a b\""),
        ("", ""),
        ("Loading components…", "\"Loading components…\""),
        ("say \"hi\"\n\tback\\slash", r#""say \"hi\"\n\tback\\slash""#),
        ("\u{7}\u{8}\u{b}\u{c}\r\u{1}\u{7f}", r#""\a\b\v\f\r\x01\x7f""#),
        ("\u{a0}\u{200b}\u{feff}", r#""\u00a0\u200b\ufeff""#),
        ("\u{e0001}\u{85}", r#""\U000e0001\u0085""#),
        ("e\u{301}😀", "\"e\u{301}😀\""),
    ];
    for (value, quoted) in cases {
        let mut text = String::new();
        push_text(value, &mut text);
        assert_eq!(text, quoted);
    }
}

#[test]
fn json_escapes_what_gos_encoder_escapes() {
    let mut text = String::new();
    push_json("x<y>&\"é\\\u{8}\u{c}\n\r\t\u{1}\u{7f}\u{2028}", &mut text);
    assert_eq!(text, "\"x\\u003cy\\u003e\\u0026\\\"é\\\\\\b\\f\\n\\r\\t\\u0001\u{7f}\\u2028\"");
}

#[test]
fn levels_have_daprs_names() {
    assert_eq!("WARN".parse::<LogLevel>().unwrap(), LogLevel::Warn);
    assert_eq!("warning".parse::<LogLevel>().unwrap().to_string(), "warn");
    let error = "loud".parse::<LogLevel>().unwrap_err();
    assert_eq!(error.to_string(), "invalid value for --log-level: loud");
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let options = LogOptions { file: Some("/nonexistent/a".into()), ..options() };
    let Err(error) = layer(&options) else { panic!("opened") };
    assert_eq!(error.to_string(), "failed to open log file \"/nonexistent/a\": open /nonexistent/a: no such file or directory");
}

#[test]
fn events_reach_the_file_by_level_and_target() {
    let path = std::env::temp_dir().join(format!("proa-log-{}", std::process::id()));
    fs::write(&path, "before\n").unwrap();
    let file = Some(path.to_string_lossy().into_owned());
    let (layer, handle) = layer(&LogOptions { file, level: LogLevel::Warn, ..options() }).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "dapr.runtime", "not yet");
        handle.set_level(LogLevel::Debug);
        tracing::debug!(target: "dapr.runtime.x", code = 7, ok = true, r#type = "request", name = %"a b", "now {}", 1);
        tracing::trace!(target: "dapr.runtime", "never");
        tracing::info!(target: "hyper::client", "a library talks");
        tracing::warn!(target: "hyper::client", "a library warns");
        handle.set_level(LogLevel::Fatal);
        tracing::error!(target: "dapr.runtime", "not that bad");
        tracing::error!(target: "dapr.runtime", fatal = true, "the end");
    });
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(" level=").map_or(line, |(_, rest)| rest)).collect();
    assert_eq!(
        lines,
        [
            "before",
            "debug msg=\"now 1\" app_id=myapp code=7 instance=vm name=\"a b\" ok=true scope=dapr.runtime.x type=request ver=unknown",
            "warning msg=\"a library warns\" app_id=myapp instance=vm scope=\"hyper::client\" type=log ver=unknown",
            "fatal msg=\"the end\" app_id=myapp instance=vm scope=dapr.runtime type=log ver=unknown",
        ]
    );
}
