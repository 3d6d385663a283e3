//! Just enough of the Redis protocol to look behind a component's back: one command, one reply.

use std::pin::Pin;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A reply; errors come as [`Value::Error`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Int(i64),
    Text(String),
    Error(String),
    List(Vec<Value>),
}

impl Value {
    /// The text of a bulk or simple string; panics for anything else.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("not a text: {other:?}"),
        }
    }

    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The texts of a list, sorted.
    pub fn texts(&self) -> Vec<String> {
        let Self::List(items) = self else { panic!("not a list: {self:?}") };
        let mut texts: Vec<String> = items.iter().map(|item| item.text().to_owned()).collect();
        texts.sort();
        texts
    }
}

pub(super) async fn command(port: u16, password: Option<&str>, words: &[&str]) -> Value {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.expect("redis connection"));
    if let Some(password) = password {
        exchange(&mut stream, &["AUTH", password]).await;
    }
    exchange(&mut stream, words).await
}

async fn exchange(stream: &mut BufReader<TcpStream>, words: &[&str]) -> Value {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await.expect("redis request");
    read(stream).await
}

fn read(stream: &mut BufReader<TcpStream>) -> Pin<Box<dyn Future<Output = Value> + Send + '_>> {
    Box::pin(async move {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("redis reply");
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().expect("a length");
        match kind {
            "+" => Value::Text(rest.into()),
            "-" => Value::Error(rest.into()),
            ":" => Value::Int(number()),
            "$" if number() < 0 => Value::Nil,
            "$" => {
                let mut body = vec![0; number() as usize + 2];
                stream.read_exact(&mut body).await.expect("redis bulk");
                body.truncate(body.len() - 2);
                Value::Text(String::from_utf8_lossy(&body).into_owned())
            }
            "*" if number() < 0 => Value::Nil,
            "*" => {
                let mut items = Vec::new();
                for _ in 0..number() {
                    items.push(read(stream).await);
                }
                Value::List(items)
            }
            other => panic!("unknown reply type {other:?}"),
        }
    })
}
