//! The application behind the sidecar: answers every request with the bytes it was told to, and keeps the last request's head.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a request may take to arrive. One that is cut short is answered all the same.
const PATIENCE: Duration = Duration::from_millis(100);
const LARGEST: usize = 1 << 20;

#[derive(Default)]
struct Shared {
    subscriptions: String,
    answer: Vec<u8>,
    heads: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub struct App {
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

impl App {
    /// `subscriptions` is the answer to the sidecar's question for them.
    pub fn start(subscriptions: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Mutex::new(Shared { subscriptions: subscriptions.to_owned(), ..Shared::default() }));
        let app = Self { port: listener.local_addr().unwrap().port(), shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        app
    }

    /// What the next requests get, byte by byte; the connection is closed behind it.
    pub fn answer_with(&self, bytes: &[u8]) {
        let mut shared = self.shared.lock().unwrap();
        shared.answer = bytes.to_vec();
        shared.heads.clear();
    }

    /// Request line and headers of what came since then.
    pub fn heads(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.shared.lock().unwrap().heads)
    }
}

/// One request a connection.
fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let Some(head) = request(&mut stream) else { return };
    let answer = {
        let mut shared = shared.lock().unwrap();
        if head.starts_with(b"GET /dapr/subscribe ") {
            plain(&shared.subscriptions)
        } else {
            shared.heads.push(head);
            if shared.answer.is_empty() { plain("{}") } else { shared.answer.clone() }
        }
    };
    // A sidecar that has gone away wants no answer.
    let _ = stream.write_all(&answer);
}

fn plain(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Reads one request to its end and gives its head; none when the peer only looked in.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut read = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let (head, body) = (&read[..end], &read[end + 4..]);
            if whole(head, body) || read.len() > LARGEST {
                return Some(head.to_vec());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return (!read.is_empty()).then_some(read),
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

fn whole(head: &[u8], body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(|v| v.trim().to_owned()));
    match (value("transfer-encoding:"), value("content-length:").and_then(|v| v.parse::<usize>().ok())) {
        (Some(_), _) => body.ends_with(b"0\r\n\r\n"),
        (None, length) => body.len() >= length.unwrap_or(0),
    }
}
