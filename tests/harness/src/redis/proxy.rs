//! A proxy in front of a Redis server that shows each command before it is passed on, and again once it has been carried out.
//!
//! Whoever watches may cut the connection there: nothing more of it reaches the other side, in either direction. So a client can be
//! made to end between any two things that it asks of the server. Panics when the server is not there.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// When a command is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The server has not seen it.
    Before,
    /// The server has carried it out without an error, the client does not know.
    After,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Cut,
}

/// The words of a command.
pub type Words = [Vec<u8>];

type Watch = Arc<dyn Fn(Moment, &Words) -> Fate + Send + Sync>;

/// See the module's text; it ends when dropped.
pub struct Proxy {
    port: u16,
    task: AbortHandle,
}

impl Proxy {
    /// Listens on a free port for clients of the server at `host`.
    pub async fn start(host: &str, watch: impl Fn(Moment, &Words) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("proxy port");
        let port = listener.local_addr().expect("proxy address").port();
        let (host, watch): (String, Watch) = (host.to_owned(), Arc::new(watch));
        let serve = async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&host).await.expect("redis behind the proxy");
                connections.spawn(pass(client, server, watch.clone()));
                while connections.try_join_next().is_some() {}
            }
        };
        Self { port, task: tokio::spawn(serve).abort_handle() }
    }

    /// `127.0.0.1:<port>`, as `redisHost` wants it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, until either side ends it or it is cut.
async fn pass(mut client: TcpStream, mut server: TcpStream, watch: Watch) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // Commands without a reply yet; replies come in their order.
    let asked: Mutex<VecDeque<Vec<Vec<u8>>>> = Mutex::default();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let commands = frames(&mut from_client, &mut to_server, |frame| {
        let command = words(frame);
        let fate = watch(Moment::Before, &command);
        asked.lock().expect("commands").push_back(command);
        fate
    });
    let replies = frames(&mut from_server, &mut to_client, |frame| {
        let command = asked.lock().expect("commands").pop_front().expect("a reply has its command");
        if frame.first() == Some(&b'-') { Fate::Pass } else { watch(Moment::After, &command) }
    });
    // The end of one is the end of both.
    tokio::select! {
        _ = commands => {}
        _ = replies => {}
    }
}

/// Passes whole frames on until the end of `from`, or until one is to be cut.
fn frames<'a, R, W>(from: &'a mut R, to: &'a mut W, fate: impl Fn(&[u8]) -> Fate + 'a) -> impl Future<Output = io::Result<()>> + 'a
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    async move {
        let mut buffer = Vec::new();
        while from.read_buf(&mut buffer).await? > 0 {
            let (mut done, mut cut) = (0, false);
            while let Some(length) = length(&buffer[done..]) {
                cut = fate(&buffer[done..done + length]) == Fate::Cut;
                if cut {
                    break;
                }
                done += length;
            }
            to.write_all(&buffer[..done]).await?;
            if cut {
                break;
            }
            buffer.drain(..done);
        }
        Ok(())
    }
}

/// The length of the frame that `bytes` begin with; nothing when it is not all there.
fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    match bytes.first()? {
        b'$' => Some(line + usize::try_from(number()?).map_or(0, |n| n + 2)).filter(|end| *end <= bytes.len()),
        b'*' => (0..number()?).try_fold(line, |at, _| Some(at + length(&bytes[at..])?)),
        _ => Some(line),
    }
}

/// The words of a whole command.
fn words(frame: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), frame);
    let line = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == b"\r\n").expect("a whole line") + 2;
    rest = &rest[line(rest)..];
    while !rest.is_empty() {
        let (head, end) = (line(rest), length(rest).expect("a whole word"));
        found.push(rest[head..end - 2].to_vec());
        rest = &rest[end..];
    }
    found
}
