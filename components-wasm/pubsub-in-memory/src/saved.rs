//! The snapshot: all queues as length-prefixed bytes, little endian. Linear in the messages; a damaged one reads as none.

use crate::bus::Bus;
use crate::queue::{Entry, Payload, Queue};
use std::rc::Rc;

const MAGIC: &[u8] = b"PMQ1";

fn put_u32(out: &mut Vec<u8>, n: usize) {
    // No count or length here can exceed the 32-bit memory that holds it.
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub fn write(bus: &Bus) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_u32(&mut out, bus.queues().len());
    for queue in bus.queues() {
        put(&mut out, queue.topic.as_bytes());
        put_u32(&mut out, queue.entries().count());
        for entry in queue.entries() {
            put_u32(&mut out, entry.redeliveries as usize);
            put(&mut out, &entry.payload.data);
            put_u32(&mut out, entry.payload.metadata.len());
            for (name, value) in &entry.payload.metadata {
                put(&mut out, name.as_bytes());
                put(&mut out, value.as_bytes());
            }
        }
    }
    out
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    fn bytes(&mut self) -> Option<Vec<u8>> {
        let n = self.u32()?;
        Some(self.take(n as usize)?.to_vec())
    }
    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }
    fn entry(&mut self) -> Option<Entry> {
        let redeliveries = self.u32()?;
        let data = self.bytes()?;
        let count = self.u32()?;
        let metadata = (0..count).map(|_| Some((self.text()?, self.text()?))).collect::<Option<_>>()?;
        Some(Entry { payload: Rc::new(Payload { data, metadata }), redeliveries })
    }
}

pub fn read(data: &[u8]) -> Option<Vec<Queue>> {
    let mut reader = Reader(data.strip_prefix(MAGIC)?);
    let mut queues = Vec::new();
    for _ in 0..reader.u32()? {
        let mut queue = Queue::new(&reader.text()?);
        for _ in 0..reader.u32()? {
            queue.append(reader.entry()?);
        }
        queues.push(queue);
    }
    reader.0.is_empty().then_some(queues)
}
