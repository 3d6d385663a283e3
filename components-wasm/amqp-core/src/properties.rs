//! The properties of a message.

use crate::value::{Table, put_table, table};
use crate::wire::{Input, put_short};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    pub content_type: Option<String>,
    pub headers: Option<Table>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<String>,
    pub expiration: Option<String>,
    pub message_id: Option<String>,
    pub kind: Option<String>,
}

impl Properties {
    pub fn put(&self, out: &mut Vec<u8>) {
        let (mut flags, mut body) = (0u16, Vec::new());
        let mut text = |bit: u16, value: &Option<String>, body: &mut Vec<u8>| {
            if let Some(value) = value {
                flags |= 1 << bit;
                put_short(body, value);
            }
        };
        text(15, &self.content_type, &mut body);
        let mut late = Vec::new();
        text(10, &self.correlation_id, &mut late);
        text(8, &self.expiration, &mut late);
        text(7, &self.message_id, &mut late);
        text(5, &self.kind, &mut late);
        if let Some(headers) = &self.headers {
            flags |= 1 << 13;
            put_table(&mut body, headers);
        }
        for (bit, value) in [(12, self.delivery_mode), (11, self.priority)] {
            if let Some(value) = value {
                flags |= 1 << bit;
                body.push(value);
            }
        }
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(&late);
    }

    pub fn get(input: &mut Input<'_>) -> Option<Self> {
        let flags = input.u16()?;
        let has = |bit: u16| flags & (1 << bit) != 0;
        let mut p = Self::default();
        let text = |bit: u16, input: &mut Input<'_>| if has(bit) { input.short().map(Some) } else { Some(None) };
        p.content_type = text(15, input)?;
        text(14, input)?;
        p.headers = if has(13) { Some(table(input)?) } else { None };
        p.delivery_mode = if has(12) { Some(input.u8()?) } else { None };
        p.priority = if has(11) { Some(input.u8()?) } else { None };
        p.correlation_id = text(10, input)?;
        text(9, input)?;
        p.expiration = text(8, input)?;
        p.message_id = text(7, input)?;
        if has(6) {
            input.u64()?;
        }
        p.kind = text(5, input)?;
        Some(p)
    }

    pub fn header(&self, name: &str) -> Option<&crate::Value> {
        self.headers.as_ref()?.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn properties_come_back() {
        let text = |t: &str| Some(t.to_owned());
        let all = Properties {
            content_type: text("text/plain"),
            headers: Some(vec![("a".into(), Value::Text(b"b".to_vec()))]),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: text("c"),
            expiration: text("1000"),
            message_id: text("m"),
            kind: text("k"),
        };
        for properties in [all, Properties::default(), Properties { kind: text("only"), ..Properties::default() }] {
            let mut out = Vec::new();
            properties.put(&mut out);
            assert_eq!(Properties::get(&mut Input(&out)), Some(properties));
        }
    }
}
