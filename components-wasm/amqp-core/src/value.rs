//! The values of headers and arguments, with the type letters that RabbitMQ uses.

use crate::wire::{Input, put_long, put_short};

/// Names and values, in the order given.
pub type Table = Vec<(String, Value)>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    /// Whole numbers of any width; sent with 64 bits.
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    Time(u64),
    List(Vec<Value>),
    Table(Table),
    Void,
}

/// Deeper nesting is malformed.
const DEPTH: u32 = 32;

pub fn put_table(out: &mut Vec<u8>, table: &Table) {
    let mut body = Vec::new();
    for (name, value) in table {
        put_short(&mut body, name);
        put(&mut body, value);
    }
    put_long(out, &body);
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(b) => out.extend_from_slice(&[b't', u8::from(*b)]),
        Value::Int(n) => {
            out.push(b'l');
            out.extend_from_slice(&n.to_be_bytes());
        }
        Value::Float(f) => {
            out.push(b'd');
            out.extend_from_slice(&f.to_be_bytes());
        }
        Value::Text(bytes) => {
            out.push(b'S');
            put_long(out, bytes);
        }
        Value::Time(t) => {
            out.push(b'T');
            out.extend_from_slice(&t.to_be_bytes());
        }
        Value::List(list) => {
            out.push(b'A');
            let mut body = Vec::new();
            list.iter().for_each(|v| put(&mut body, v));
            put_long(out, &body);
        }
        Value::Table(table) => {
            out.push(b'F');
            put_table(out, table);
        }
        Value::Void => out.push(b'V'),
    }
}

pub fn table(input: &mut Input<'_>) -> Option<Table> {
    nested(input, DEPTH)
}

fn nested(input: &mut Input<'_>, depth: u32) -> Option<Table> {
    let depth = depth.checked_sub(1)?;
    let body = input.long()?;
    let mut body = Input(&body);
    let mut table = Table::new();
    while !body.0.is_empty() {
        table.push((body.short()?, get(&mut body, depth)?));
    }
    Some(table)
}

fn get(input: &mut Input<'_>, depth: u32) -> Option<Value> {
    Some(match input.u8()? {
        b't' => Value::Bool(input.u8()? != 0),
        b'b' => Value::Int((input.u8()? as i8).into()),
        b'B' => Value::Int(input.u8()?.into()),
        b's' | b'U' => Value::Int((input.u16()? as i16).into()),
        b'u' => Value::Int(input.u16()?.into()),
        b'I' => Value::Int((input.u32()? as i32).into()),
        b'i' => Value::Int(input.u32()?.into()),
        b'l' | b'L' => Value::Int(input.u64()? as i64),
        b'f' => Value::Float(f32::from_bits(input.u32()?).into()),
        b'd' => Value::Float(f64::from_bits(input.u64()?)),
        b'D' => {
            let (scale, value) = (input.u8()?, input.u32()? as i32);
            Value::Float(f64::from(value) / 10f64.powi(scale.into()))
        }
        b'S' | b'x' => Value::Text(input.long()?),
        b'T' => Value::Time(input.u64()?),
        b'A' => {
            let depth = depth.checked_sub(1)?;
            let body = input.long()?;
            let mut body = Input(&body);
            let mut list = Vec::new();
            while !body.0.is_empty() {
                list.push(get(&mut body, depth)?);
            }
            Value::List(list)
        }
        b'F' => Value::Table(nested(input, depth)?),
        b'V' => Value::Void,
        _ => return None,
    })
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(b) => b.fmt(f),
            Self::Int(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
            Self::Text(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Time(t) => t.fmt(f),
            Self::List(list) => {
                let parts: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", parts.join(" "))
            }
            Self::Table(table) => {
                let parts: Vec<String> = table.iter().map(|(n, v)| format!("{n}:{v}")).collect();
                write!(f, "map[{}]", parts.join(" "))
            }
            Self::Void => f.write_str("<nil>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_back() {
        let inner = vec![("n".into(), Value::Int(-5)), ("list".into(), Value::List(vec![Value::Bool(true), Value::Void]))];
        let all: Table = vec![("t".into(), Value::Table(inner)), ("s".into(), Value::Text(b"x".to_vec())), ("f".into(), Value::Float(1.5))];
        let mut out = Vec::new();
        put_table(&mut out, &all);
        assert_eq!(table(&mut Input(&out)), Some(all));
        for cut in 0..out.len() {
            assert_eq!(table(&mut Input(out.get(..cut).unwrap_or_default())), None, "{cut}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let mut deep = Value::Void;
        for _ in 0..100 {
            deep = Value::List(vec![deep]);
        }
        let mut out = Vec::new();
        put_table(&mut out, &vec![("d".into(), deep)]);
        assert_eq!(table(&mut Input(&out)), None);
    }
}
