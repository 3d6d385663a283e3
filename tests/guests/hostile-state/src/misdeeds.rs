//! What a key can ask for. Each returns an ordinary item when the host lets it survive, so that a test can tell what happened.
//!
//! `spin` loops without end · `alloc` allocates 1 GiB · `deep` recurses without end · `trap` panics in mid-call · `never` never answers ·
//! `flood` writes 100 000 log lines · `dial:<host:port>` connects · `listen:<port>` listens · `resolve:<host>` looks a name up ·
//! `path:<p>` reads a file with std · `file:<p>` reads one through the host · `write:<p>` writes one · `env:<name>` reads a variable ·
//! `huge` answers 1 GiB · `odd` answers 100 000 metadata entries · `slow:<ms>` sleeps · `block:<ms>` sleeps in a blocking call ·
//! `error:<kind>` fails with that error.

use proa_sdk::state::{Error, Item};
use std::future;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

const GIB: usize = 1 << 30;

/// The part of a key that the application chose.
pub fn name(key: &str) -> &str {
    key.rsplit("||").next().unwrap_or(key)
}

pub fn plain(text: String) -> Item {
    Item { value: text.into_bytes(), etag: None, content_type: None, metadata: Vec::new() }
}

pub async fn never() -> ! {
    future::pending::<()>().await;
    unreachable!()
}

pub fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[allow(unconditional_recursion)]
#[inline(never)]
fn deep(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    deep(n + 1).wrapping_add(std::hint::black_box(frame)[63])
}

/// None when the name asks for nothing.
pub async fn commit(name: &str) -> Option<Result<Item, Error>> {
    let (verb, argument) = name.split_once(':').unwrap_or((name, ""));
    Some(match verb {
        "spin" => spin(),
        "deep" => Ok(plain(deep(0).to_string())),
        "never" => never().await,
        "trap" => {
            // In mid-call: others may have calls in flight here.
            proa_sdk::time::sleep(Duration::from_millis(20)).await;
            panic!("trap on request");
        }
        "alloc" | "huge" => {
            let mut block = vec![0u8; GIB];
            for page in block.chunks_mut(64 * 1024) {
                page[0] = 1;
            }
            if verb == "huge" { Ok(Item { value: block, ..plain(String::new()) }) } else { Ok(plain(format!("allocated {}", block.len()))) }
        }
        "flood" => {
            for n in 0..100_000 {
                proa_sdk::log::info(format!("line {n} of a flood"));
            }
            eprintln!("and one on stderr");
            Ok(plain("flooded".into()))
        }
        "odd" | "badutf8" => {
            let metadata = (0..100_000).map(|n| (format!("name-{n}\r\n\u{0}"), "\u{202e}value".to_owned())).collect();
            Ok(Item { metadata, etag: Some("\r\netag: x".into()), ..plain("odd".into()) })
        }
        "slow" | "block" => {
            let wait = Duration::from_millis(argument.parse().unwrap_or(100));
            if verb == "slow" {
                proa_sdk::time::sleep(wait).await;
            } else {
                std::thread::sleep(wait);
            }
            Ok(plain(format!("waited {argument}")))
        }
        "error" => Err(error(argument)),
        _ => return reach(verb, argument),
    })
}

/// Attempts to reach what may not be granted; the value tells how each ended.
fn reach(verb: &str, argument: &str) -> Option<Result<Item, Error>> {
    let report = attempt(verb, argument)?;
    Some(Ok(plain(report.unwrap_or_else(|e| format!("denied: {e}")))))
}

/// None when the verb is none of these.
pub fn attempt(verb: &str, argument: &str) -> Option<Result<String, String>> {
    if verb == "file" {
        return Some(proa_sdk::files::read(argument).map(|t| format!("read {}", String::from_utf8_lossy(&t))));
    }
    let outcome = match verb {
        "dial" => TcpStream::connect(argument).map(|s| format!("connected {:?}", s.peer_addr())),
        "listen" => TcpListener::bind(format!("127.0.0.1:{argument}")).map(|l| format!("listening {:?}", l.local_addr())),
        "resolve" => (argument, 80).to_socket_addrs().map(|a| format!("resolved {:?}", a.collect::<Vec<_>>())),
        "path" => std::fs::read_to_string(argument).map(|t| format!("read {t}")),
        "list" => std::fs::read_dir(argument).map(|d| format!("listed {}", d.count())),
        "write" => std::fs::write(argument, "written by a hostile component").map(|()| "written".to_owned()),
        "env" => return Some(std::env::var(argument).map(|v| format!("is {v}")).map_err(|e| e.to_string())),
        _ => return None,
    };
    Some(outcome.map_err(|e| e.to_string()))
}

fn error(kind: &str) -> Error {
    let text = format!("the error {kind} was asked for");
    match kind {
        "etag-mismatch" => Error::EtagMismatch(text),
        "etag-invalid" => Error::EtagInvalid(text),
        "invalid-argument" => Error::InvalidArgument(text),
        "unavailable" => Error::Unavailable(text),
        _ => Error::Other(text),
    }
}
