//! The methods that these components send and understand.

use crate::value::{Table, put_table, table};
use crate::wire::{Input, put_long, put_short};

#[derive(Debug, PartialEq, Clone)]
pub enum Method {
    Start {
        mechanisms: String,
    },
    StartOk {
        properties: Table,
        mechanism: String,
        response: Vec<u8>,
        locale: String,
    },
    Tune {
        channels: u16,
        frame: u32,
        heartbeat: u16,
    },
    TuneOk {
        channels: u16,
        frame: u32,
        heartbeat: u16,
    },
    Open {
        vhost: String,
    },
    OpenOk,
    Close {
        code: u16,
        text: String,
    },
    CloseOk,
    ChannelOpen,
    ChannelOpenOk,
    ChannelClose {
        code: u16,
        text: String,
    },
    ChannelCloseOk,
    ExchangeDeclare {
        name: String,
        kind: String,
        durable: bool,
        auto_delete: bool,
    },
    ExchangeDeclareOk,
    QueueDeclare {
        name: String,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Table,
    },
    QueueDeclareOk {
        name: String,
        consumers: u32,
    },
    QueueBind {
        queue: String,
        exchange: String,
        key: String,
    },
    QueueBindOk,
    Qos {
        count: u16,
        global: bool,
    },
    QosOk,
    Consume {
        queue: String,
        tag: String,
        arguments: Table,
    },
    ConsumeOk,
    Cancel {
        tag: String,
    },
    CancelOk,
    Publish {
        exchange: String,
        key: String,
    },
    Deliver {
        tag: u64,
        redelivered: bool,
        key: String,
    },
    Ack {
        tag: u64,
        multiple: bool,
    },
    Nack {
        tag: u64,
        multiple: bool,
        requeue: bool,
    },
    ConfirmSelect,
    ConfirmSelectOk,
    /// The server's own flow control and other news that need nothing from us.
    Other(u16, u16),
}

fn bits(flags: &[bool]) -> u8 {
    flags.iter().enumerate().fold(0, |byte, (at, flag)| byte | u8::from(*flag) << at)
}

impl Method {
    fn ids(&self) -> (u16, u16) {
        match self {
            Self::Start { .. } => (10, 10),
            Self::StartOk { .. } => (10, 11),
            Self::Tune { .. } => (10, 30),
            Self::TuneOk { .. } => (10, 31),
            Self::Open { .. } => (10, 40),
            Self::OpenOk => (10, 41),
            Self::Close { .. } => (10, 50),
            Self::CloseOk => (10, 51),
            Self::ChannelOpen => (20, 10),
            Self::ChannelOpenOk => (20, 11),
            Self::ChannelClose { .. } => (20, 40),
            Self::ChannelCloseOk => (20, 41),
            Self::ExchangeDeclare { .. } => (40, 10),
            Self::ExchangeDeclareOk => (40, 11),
            Self::QueueDeclare { .. } => (50, 10),
            Self::QueueDeclareOk { .. } => (50, 11),
            Self::QueueBind { .. } => (50, 20),
            Self::QueueBindOk => (50, 21),
            Self::Qos { .. } => (60, 10),
            Self::QosOk => (60, 11),
            Self::Consume { .. } => (60, 20),
            Self::ConsumeOk => (60, 21),
            Self::Cancel { .. } => (60, 30),
            Self::CancelOk => (60, 31),
            Self::Publish { .. } => (60, 40),
            Self::Deliver { .. } => (60, 60),
            Self::Ack { .. } => (60, 80),
            Self::Nack { .. } => (60, 120),
            Self::ConfirmSelect => (85, 10),
            Self::ConfirmSelectOk => (85, 11),
            Self::Other(class, method) => (*class, *method),
        }
    }

    /// What a client sends. Methods of the server have no fields here.
    pub fn put(&self, out: &mut Vec<u8>) {
        let (class, method) = self.ids();
        out.extend_from_slice(&class.to_be_bytes());
        out.extend_from_slice(&method.to_be_bytes());
        match self {
            Self::StartOk { properties, mechanism, response, locale } => {
                put_table(out, properties);
                put_short(out, mechanism);
                put_long(out, response);
                put_short(out, locale);
            }
            Self::TuneOk { channels, frame, heartbeat } => {
                out.extend_from_slice(&channels.to_be_bytes());
                out.extend_from_slice(&frame.to_be_bytes());
                out.extend_from_slice(&heartbeat.to_be_bytes());
            }
            Self::Open { vhost } => {
                put_short(out, vhost);
                out.extend_from_slice(&[0, 0]);
            }
            Self::Close { code, text } | Self::ChannelClose { code, text } => {
                out.extend_from_slice(&code.to_be_bytes());
                put_short(out, text);
                out.extend_from_slice(&[0; 4]);
            }
            Self::ChannelOpen | Self::ConfirmSelect => out.push(0),
            Self::Ack { tag, multiple } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(bits(&[*multiple]));
            }
            Self::Nack { tag, multiple, requeue } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(bits(&[*multiple, *requeue]));
            }
            other => other.put_names(out),
        }
    }

    /// Exchanges, queues and consumers.
    fn put_names(&self, out: &mut Vec<u8>) {
        let nothing = Table::new();
        match self {
            Self::ExchangeDeclare { name, kind, durable, auto_delete } => {
                out.extend_from_slice(&[0, 0]);
                put_short(out, name);
                put_short(out, kind);
                out.push(bits(&[false, *durable, *auto_delete]));
                put_table(out, &nothing);
            }
            Self::QueueDeclare { name, passive, durable, exclusive, auto_delete, arguments } => {
                out.extend_from_slice(&[0, 0]);
                put_short(out, name);
                out.push(bits(&[*passive, *durable, *exclusive, *auto_delete]));
                put_table(out, arguments);
            }
            Self::QueueBind { queue, exchange, key } => {
                out.extend_from_slice(&[0, 0]);
                put_short(out, queue);
                put_short(out, exchange);
                put_short(out, key);
                out.push(0);
                put_table(out, &nothing);
            }
            Self::Qos { count, global } => {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&count.to_be_bytes());
                out.push(bits(&[*global]));
            }
            Self::Consume { queue, tag, arguments } => {
                out.extend_from_slice(&[0, 0]);
                put_short(out, queue);
                put_short(out, tag);
                out.push(0);
                put_table(out, arguments);
            }
            Self::Cancel { tag } => {
                put_short(out, tag);
                out.push(0);
            }
            Self::Publish { exchange, key } => {
                out.extend_from_slice(&[0, 0]);
                put_short(out, exchange);
                put_short(out, key);
                out.push(0);
            }
            _ => {}
        }
    }

    /// What a server sends.
    pub fn get(input: &mut Input<'_>) -> Option<Self> {
        let (class, method) = (input.u16()?, input.u16()?);
        Some(match (class, method) {
            (10, 10) => {
                input.u16()?;
                table(input)?;
                Self::Start { mechanisms: String::from_utf8_lossy(&input.long()?).into_owned() }
            }
            (10, 30) => Self::Tune { channels: input.u16()?, frame: input.u32()?, heartbeat: input.u16()? },
            (10, 41) => Self::OpenOk,
            (10, 50) => Self::Close { code: input.u16()?, text: input.short()? },
            (10, 51) => Self::CloseOk,
            (20, 11) => Self::ChannelOpenOk,
            (20, 40) => Self::ChannelClose { code: input.u16()?, text: input.short()? },
            (20, 41) => Self::ChannelCloseOk,
            (40, 11) => Self::ExchangeDeclareOk,
            (50, 11) => {
                let name = input.short()?;
                input.u32()?;
                Self::QueueDeclareOk { name, consumers: input.u32()? }
            }
            (50, 21) => Self::QueueBindOk,
            (60, 11) => Self::QosOk,
            (60, 21) => Self::ConsumeOk,
            (60, 30) => Self::Cancel { tag: input.short()? },
            (60, 31) => Self::CancelOk,
            (60, 60) => {
                input.short()?;
                let (tag, redelivered) = (input.u64()?, input.u8()? & 1 != 0);
                input.short()?;
                Self::Deliver { tag, redelivered, key: input.short()? }
            }
            (60, 80) => Self::Ack { tag: input.u64()?, multiple: input.u8()? & 1 != 0 },
            (60, 120) => {
                let (tag, flags) = (input.u64()?, input.u8()?);
                Self::Nack { tag, multiple: flags & 1 != 0, requeue: flags & 2 != 0 }
            }
            (85, 11) => Self::ConfirmSelectOk,
            (class, method) => Self::Other(class, method),
        })
    }
}
