//! Opening a connection: TLS, who we are, what both sides can do, the virtual host.

use crate::frame::{self, Frame, MOST};
use crate::method::Method;
use crate::value::Value;
use broker_core::{Address, Incoming};
use proa_sdk::net::{self, Stream, Writer, tls::Connector};
use proa_sdk::time;
use std::time::Duration;

/// As Dapr's client: the whole of it.
const LIMIT: Duration = Duration::from_secs(30);

/// How to reach the server.
pub struct Dial {
    pub address: Address,
    /// For `amqps`.
    pub tls: Option<Connector>,
    /// The certificate says who we are.
    pub external: bool,
    pub heartbeat: Duration,
    pub name: Option<String>,
}

pub(crate) struct Opened {
    pub incoming: Incoming,
    pub writer: Writer,
    pub frame: u32,
    pub channels: u16,
    /// None: the server wants no heartbeats, and neither do we.
    pub heartbeat: Option<Duration>,
}

impl Dial {
    pub fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, |scheme| match scheme {
            "amqp" => Some(5672),
            "amqps" => Some(5671),
            _ => None,
        })
    }

    pub(crate) async fn open(&self) -> Result<Opened, String> {
        time::timeout(LIMIT, self.attempt()).await.unwrap_or_else(|| Err("i/o timeout".into()))
    }

    async fn attempt(&self) -> Result<Opened, String> {
        let (host, port) = (&self.address.host, self.address.port);
        let stream: Stream = match &self.tls {
            Some(connector) => connector.connect(host, port, LIMIT).await.map_err(|e| e.to_string())?.into(),
            None => net::connect(host, port, LIMIT).await.map_err(|e| e.to_string())?.into(),
        };
        let (reader, mut writer) = stream.into_halves().map_err(|e| e.to_string())?;
        let mut incoming = Incoming::new(reader);
        let mut header = b"AMQP\0\0\x09\x01".to_vec();
        writer.write_all(&mut header).await.map_err(|e| e.to_string())?;
        let Method::Start { mechanisms } = method(&mut incoming).await? else { return Err("the server does not begin".into()) };
        send(&mut writer, &[self.start_ok(&mechanisms)?]).await?;
        // A server that does not let us in hangs up, or says why.
        let refused = |e: String| if e == "EOF" { "Exception (403) Reason: \"username or password not allowed\"".to_owned() } else { e };
        let Method::Tune { channels, frame, heartbeat } = method(&mut incoming).await.map_err(refused)? else {
            return Err("the server does not tune".into());
        };
        let frame = if frame == 0 { MOST } else { frame.min(MOST) };
        let ours = u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX);
        let heartbeat = if ours == 0 || heartbeat == 0 { ours.max(heartbeat) } else { ours.min(heartbeat) };
        let channels = if channels == 0 { 2047 } else { channels.min(2047) };
        let vhost = self.address.path.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into());
        send(&mut writer, &[Method::TuneOk { channels, frame, heartbeat }, Method::Open { vhost }]).await?;
        match method(&mut incoming).await.map_err(|e| if e == "EOF" { "no access to this vhost".into() } else { e })? {
            Method::OpenOk => {}
            _ => return Err("the server does not open the virtual host".into()),
        }
        let heartbeat = (heartbeat > 0).then(|| Duration::from_secs(heartbeat.into()));
        Ok(Opened { incoming, writer, frame, channels, heartbeat })
    }

    fn start_ok(&self, mechanisms: &str) -> Result<Method, String> {
        let user = self.address.user.as_deref().unwrap_or("guest");
        let password = self.address.password.as_deref().unwrap_or(if self.address.user.is_none() { "guest" } else { "" });
        let (mechanism, response) = match self.external {
            true => ("EXTERNAL", Vec::new()),
            false => ("PLAIN", format!("\0{user}\0{password}").into_bytes()),
        };
        if !mechanisms.split(' ').any(|m| m == mechanism) {
            return Err("SASL could not negotiate a shared mechanism".into());
        }
        let text = |t: &str| Value::Text(t.as_bytes().to_vec());
        let yes = |name: &str| (name.to_owned(), Value::Bool(true));
        let able = ["publisher_confirms", "consumer_cancel_notify", "basic.nack", "connection.blocked", "authentication_failure_close"].map(yes);
        let mut properties = vec![
            ("product".into(), text("Proa")),
            ("version".into(), text(env!("CARGO_PKG_VERSION"))),
            ("platform".into(), text("wasm")),
            ("capabilities".into(), Value::Table(able.into())),
        ];
        properties.extend(self.name.as_deref().map(|n| ("connection_name".into(), text(n))));
        Ok(Method::StartOk { properties, mechanism: mechanism.into(), response, locale: "en_US".into() })
    }
}

async fn send(writer: &mut Writer, methods: &[Method]) -> Result<(), String> {
    let mut out = Vec::new();
    methods.iter().for_each(|m| frame::put_method(&mut out, 0, m));
    writer.write_all(&mut out).await.map_err(|e| e.to_string())
}

async fn method(incoming: &mut Incoming) -> Result<Method, String> {
    loop {
        while let Some((frame, length)) = frame::next(incoming.bytes())? {
            incoming.consume(length);
            match frame {
                Frame::Method(0, Method::Close { code, text }) => return Err(exception(code, &text)),
                Frame::Method(0, method) => return Ok(method),
                _ => {}
            }
        }
        incoming.fill().await.map_err(|e| e.to_string())?;
    }
}

/// The text that Dapr's client makes of a refusal.
pub(crate) fn exception(code: u16, text: &str) -> String {
    format!("Exception ({code}) Reason: {text:?}")
}
