//! From one application to another through two sidecars: `VERB method`, headers, an empty line, the body, a line `<<<`, and the bytes
//! that the application answers.
//!
//! Besides ending, a call has to arrive plain: no dot segment, no empty one, and the caller's name is the caller's, whoever claims another.
#![no_main]

use proa_fuzz::wire::{Input, exchange, framed, split};
use proa_fuzz::{App, Ports, Sidecar};

struct Invoke {
    caller: Sidecar,
    app: App,
    _callee: Sidecar,
    callee_id: String,
    caller_id: String,
}

impl Invoke {
    fn start() -> Self {
        let (caller_id, callee_id) = (format!("caller{}", std::process::id()), format!("callee{}", std::process::id()));
        let app = App::start("[]");
        let callee = Sidecar::start(&callee_id, Ports { app: app.port, internal: 0 }, &[], "");
        let caller = Sidecar::start(&caller_id, Ports::default(), &[], "");
        let found = || caller.ask(&format!("/v1.0/invoke/{callee_id}/method/hello")).unwrap_or_default();
        assert!((0..30).any(|_| found().starts_with("HTTP/1.1 200")), "the callee is not found: {}", found());
        Self { caller, app, _callee: callee, callee_id, caller_id }
    }

    fn run(&mut self, data: &[u8]) {
        let (request, answer) = split(data, b"\n<<<\n").unwrap_or((data, &[]));
        self.app.answer_with(answer);
        let input = Input::parse(request);
        let mut words = input.first.splitn(2, |byte| *byte == b' ');
        let (verb, method) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let first = [verb, b" /v1.0/invoke/", self.callee_id.as_bytes(), b"/method/", method].concat();
        // Another target than ours would be waited for.
        let lines = input.lines.iter().copied().filter(|line| !redirects(line)).collect();
        exchange(&self.caller.http, &framed(&Input { first: &first, lines, body: input.body }), false);
        for head in self.app.heads() {
            self.check(&head);
        }
    }

    fn check(&self, head: &[u8]) {
        let head = String::from_utf8_lossy(head);
        let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
        let inner = path.strip_prefix('/').unwrap_or(path);
        assert!(inner.is_empty() || inner.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "not plain: {path}");
        let callers: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("dapr-caller-app-id: ")).collect();
        assert_eq!(callers, [self.caller_id.as_str()], "{head}");
    }
}

fn redirects(line: &[u8]) -> bool {
    let line = line.to_ascii_lowercase();
    line.starts_with(b"dapr-app-id") || line.starts_with(b"authorization")
}

proa_fuzz::target!(Invoke);
