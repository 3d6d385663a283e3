//! The messages of multicast DNS: what is needed of RFC 1035 to announce one service and to read about others.
//!
//! Names are written without compression and read with it. A message that is cut short or nonsense reads as none.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const A: u16 = 1;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const ANY: u16 = 255;
const INTERNET: u16 = 1;
/// In a question: the answer may go to the one who asks.
const UNICAST: u16 = 0x8000;
const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
/// Jumps that one name may take; more are a loop.
const JUMPS: usize = 32;
const LONGEST: usize = 255;

/// Names have no dot at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub kind: u16,
    pub unicast: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(String),
    Srv { port: u16, host: String },
    Txt(Vec<Vec<u8>>),
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    /// Seconds; 0 takes the record back.
    pub ttl: u32,
    pub data: Data,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    pub id: u16,
    pub response: bool,
    pub questions: Vec<Question>,
    /// Of all sections.
    pub records: Vec<Record>,
}

/// A question to everyone.
pub fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    head(&mut out, 0, 0, [1, 0, 0]);
    put_name(&mut out, name);
    out.extend(kind.to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    out
}

/// An answer: the first record is the answer, the others come along.
pub fn response(id: u16, records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let others = u16::try_from(records.len().saturating_sub(1)).unwrap_or(0);
    head(&mut out, id, RESPONSE | AUTHORITATIVE, [0, u16::from(!records.is_empty()), others]);
    for record in records {
        put_record(&mut out, record);
    }
    out
}

fn head(out: &mut Vec<u8>, id: u16, flags: u16, [questions, answers, additional]: [u16; 3]) {
    for word in [id, flags, questions, answers, 0, additional] {
        out.extend(word.to_be_bytes());
    }
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|l| !l.is_empty()) {
        let label = label.as_bytes();
        let label = label.get(..63).unwrap_or(label);
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    let mut data = Vec::new();
    let kind = match &record.data {
        Data::A(address) => {
            data.extend(address.octets());
            A
        }
        Data::Aaaa(address) => {
            data.extend(address.octets());
            AAAA
        }
        Data::Ptr(name) => {
            put_name(&mut data, name);
            PTR
        }
        Data::Srv { port, host } => {
            data.extend([0; 4]);
            data.extend(port.to_be_bytes());
            put_name(&mut data, host);
            SRV
        }
        Data::Txt(texts) => {
            for text in texts {
                let text = text.get(..255).unwrap_or(text);
                data.push(text.len() as u8);
                data.extend_from_slice(text);
            }
            TXT
        }
        Data::Other => return,
    };
    put_name(out, &record.name);
    out.extend(kind.to_be_bytes());
    out.extend(INTERNET.to_be_bytes());
    out.extend(record.ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.append(&mut data);
}

/// Reads a message.
pub fn read(bytes: &[u8]) -> Option<Packet> {
    let mut reader = Reader { bytes, at: 0 };
    let (id, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers, authorities, additional) = (reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?);
    let mut packet = Packet { id, response: flags & RESPONSE != 0, ..Packet::default() };
    for _ in 0..questions {
        let (name, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
        packet.questions.push(Question { name, kind, unicast: class & UNICAST != 0 });
    }
    for _ in 0..usize::from(answers) + usize::from(authorities) + usize::from(additional) {
        packet.records.push(reader.record()?);
    }
    Some(packet)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn name(&mut self) -> Option<String> {
        let mut name = Vec::new();
        let (mut at, mut jumps, mut end) = (self.at, 0, None);
        loop {
            let length = usize::from(*self.bytes.get(at)?);
            match length {
                0 => break,
                1..=63 => {
                    if !name.is_empty() {
                        name.push(b'.');
                    }
                    name.extend_from_slice(self.bytes.get(at + 1..at + 1 + length)?);
                    at += 1 + length;
                }
                // Two bits that are set, and the place where the name goes on.
                192.. => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    end.get_or_insert(at + 2);
                    at = (length & 63) << 8 | low;
                    jumps += 1;
                }
                _ => return None,
            }
            if jumps > JUMPS || name.len() > LONGEST {
                return None;
            }
        }
        self.at = end.unwrap_or(at + 1);
        String::from_utf8(name).ok()
    }

    fn record(&mut self) -> Option<Record> {
        let (name, kind, _class, ttl, length) = (self.name()?, self.u16()?, self.u16()?, self.u32()?, self.u16()?);
        let end = self.at.checked_add(usize::from(length))?;
        let data = match kind {
            A => Data::A(<[u8; 4]>::try_from(self.take(4)?).ok()?.into()),
            AAAA => Data::Aaaa(<[u8; 16]>::try_from(self.take(16)?).ok()?.into()),
            PTR => Data::Ptr(self.name()?),
            SRV => {
                self.take(4)?;
                Data::Srv { port: self.u16()?, host: self.name()? }
            }
            TXT => {
                let mut texts = Vec::new();
                while self.at < end {
                    let length = usize::from(*self.take(1)?.first()?);
                    texts.push(self.take(length)?.to_vec());
                }
                Data::Txt(texts)
            }
            _ => Data::Other,
        };
        self.at = (end <= self.bytes.len()).then_some(end)?;
        Some(Record { name, ttl, data })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let asked = read(&query("app.local", PTR)).unwrap();
        assert_eq!(asked.questions, [Question { name: "app.local".into(), kind: PTR, unicast: false }]);
        let record = |name: &str, data| Record { name: name.into(), ttl: 7, data };
        let records = vec![
            record("app.local", Data::Ptr("host:1.app.local".into())),
            record("host:1.app.local", Data::Srv { port: 50002, host: "host.local".into() }),
            record("host:1.app.local", Data::Txt(vec![b"app".to_vec()])),
            record("host.local", Data::A(Ipv4Addr::LOCALHOST)),
            record("host.local", Data::Aaaa(Ipv6Addr::LOCALHOST)),
        ];
        let packet = read(&response(9, &records)).unwrap();
        assert!(packet.response && packet.id == 9);
        assert_eq!(packet.records, records);
    }

    #[test]
    fn compressed_names_are_followed_and_loops_are_not() {
        let mut bytes = query("app.local", PTR);
        let question = bytes.len();
        bytes[7] = 1;
        bytes.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 12]);
        let packet = read(&bytes).unwrap();
        assert_eq!(packet.records[0].data, Data::Ptr("x.app.local".into()));
        bytes[question + 1] = question as u8;
        assert_eq!(read(&bytes), None);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None);
        }
    }
}
