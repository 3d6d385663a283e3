//! Opening a connection: the server's greeting, TLS where either side wants it, who we are.

use crate::frame::{self, Frame};
use crate::settings::Settings;
use broker_core::{Address, Incoming, security};
use proa_sdk::net::{self, Stream, TcpStream, Writer};
use proa_sdk::time;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::io::AsyncReadExt;

const LIMIT: Duration = Duration::from_secs(2);
const GREETING: usize = 64 * 1024;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Info {
    tls_required: bool,
    nonce: Option<String>,
}

#[derive(Serialize)]
struct Hello<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// The first server that takes us.
pub async fn any(settings: &Settings) -> Result<(Incoming, Writer), String> {
    let mut last = "nats: no servers available for connection".to_owned();
    for server in &settings.servers {
        match time::timeout(LIMIT * 4, one(settings, server)).await {
            Some(Ok(opened)) => return Ok(opened),
            Some(Err(error)) => last = error,
            None => last = "nats: timeout".into(),
        }
    }
    Err(last)
}

async fn one(settings: &Settings, server: &Address) -> Result<(Incoming, Writer), String> {
    let mut tcp = net::connect(&server.host, server.port, LIMIT).await.map_err(|e| e.to_string())?;
    let greeting = line(&mut tcp).await?;
    let info: Info = match frame::next(greeting.as_bytes()) {
        Ok(Some((Frame::Info(json), _))) => serde_json::from_str(&json).map_err(|e| format!("nats: malformed INFO: {e}"))?,
        _ => return Err("nats: expected 'INFO'".into()),
    };
    let encrypted = info.tls_required || server.scheme == "tls" || settings.tls.client_certificate.is_some();
    let stream: Stream = if encrypted {
        let connector = security::connector(&settings.tls).map_err(|_| "nats: invalid TLS configuration")?;
        connector.handshake(tcp, &server.host, LIMIT).await.map_err(|e| e.to_string())?.into()
    } else {
        tcp.into()
    };
    let (reader, mut writer) = stream.into_halves().map_err(|e| e.to_string())?;
    let mut hello = format!("CONNECT {}\r\nPING\r\n", hello(settings, server, &info, encrypted)?).into_bytes();
    writer.write_all(&mut hello).await.map_err(|e| e.to_string())?;
    let mut incoming = Incoming::new(reader);
    accepted(&mut incoming).await?;
    Ok((incoming, writer))
}

fn hello(settings: &Settings, server: &Address, info: &Info, encrypted: bool) -> Result<String, String> {
    let sig = match (&settings.jwt, &info.nonce) {
        (Some((_, seed)), Some(nonce)) => {
            let key = crate::seed::key(seed).ok_or("nats: invalid seed")?;
            Some(base64url(key.sign(nonce.as_bytes()).as_ref()))
        }
        _ => None,
    };
    // A user without password in the address is a token.
    let (user, token) = match (&server.user, &server.password) {
        (Some(user), None) => (None, Some(user.as_str())),
        (user, _) => (user.as_deref(), None),
    };
    let hello = Hello {
        verbose: false,
        pedantic: false,
        tls_required: encrypted,
        name: &settings.name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        echo: true,
        headers: true,
        no_responders: true,
        user,
        pass: server.password.as_deref(),
        auth_token: token.or(settings.token.as_deref()),
        jwt: settings.jwt.as_ref().map(|(jwt, _)| jwt.as_str()),
        sig,
    };
    serde_json::to_string(&hello).map_err(|e| e.to_string())
}

/// The greeting comes in the clear; nothing behind it may be read before TLS.
async fn line(tcp: &mut TcpStream) -> Result<String, String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() > GREETING {
            return Err("nats: expected 'INFO'".into());
        }
        bytes.push(tcp.read_u8().await.map_err(|e| e.to_string())?);
    }
    String::from_utf8(bytes).map_err(|_| "nats: expected 'INFO'".into())
}

async fn accepted(incoming: &mut Incoming) -> Result<(), String> {
    loop {
        while let Some((frame, length)) = frame::next(incoming.bytes())? {
            incoming.consume(length);
            match frame {
                Frame::Pong => return Ok(()),
                Frame::Error(text) => return Err(format!("nats: {text}")),
                _ => {}
            }
        }
        incoming.fill().await.map_err(|e| e.to_string())?;
    }
}

/// Without padding, as the server wants signatures.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..=chunk.len() {
            let index = (group >> (18 - 6 * digit)) & 63;
            text.push(DIGITS.get(index as usize).map_or('A', |d| char::from(*d)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64() {
        assert_eq!(super::base64url(b"\xff\xfe\xfd\xfc"), "__79_A");
        assert_eq!(super::base64url(b"abc"), "YWJj");
    }
}
