//! A file of lines; each line is one transaction, a JSON list of changes. The items are kept in memory as well. A line is complete
//! when it ends in a newline: one that does not was never acknowledged, and is cut off at the next start. A second instance
//! on the same file (there is one for a moment whenever the component is replaced) sees the other's lines before its next call.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Text stays readable in the file; everything else is a list of numbers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|e| Self::Bytes(e.into_bytes()), Self::Text)
    }
}

impl Value {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A new value of a key; none deletes it.
#[derive(Serialize, Deserialize)]
pub struct Change {
    pub key: String,
    pub value: Option<Value>,
}

pub struct Journal {
    /// Two handles: what is opened to append does not read at a place of its own choosing on WASI.
    reader: File,
    writer: File,
    sync: bool,
    /// How much of the file is in `items`.
    read: u64,
    /// Lines so far; the version of an item is the number of the line that wrote it.
    lines: u64,
    items: HashMap<String, (Vec<u8>, u64)>,
}

impl Journal {
    pub fn open(dir: &Path, sync: bool) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("journal.jsonl");
        let writer = OpenOptions::new().create(true).append(true).open(&path)?;
        let reader = File::open(&path)?;
        let mut journal = Self { reader, writer, sync, read: 0, lines: 0, items: HashMap::new() };
        let torn = journal.take_in()?;
        if torn > 0 {
            proa_sdk::log::warn(format!("{torn} bytes of an unfinished write are dropped"));
            journal.writer.set_len(journal.read)?;
        }
        Ok(journal)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The value and its version.
    pub fn get(&self, key: &str) -> Option<(&[u8], u64)> {
        self.items.get(key).map(|(value, version)| (value.as_slice(), *version))
    }

    /// Takes in the lines that are new in the file.
    pub fn catch_up(&mut self) -> io::Result<()> {
        if self.reader.metadata()?.len() > self.read {
            self.take_in()?;
        }
        Ok(())
    }

    /// How many bytes stand behind the last complete line.
    fn take_in(&mut self) -> io::Result<usize> {
        let mut fresh = Vec::new();
        self.reader.seek(SeekFrom::Start(self.read))?;
        self.reader.read_to_end(&mut fresh)?;
        for line in fresh.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                return Ok(line.len());
            }
            let changes: Vec<Change> = serde_json::from_slice(line)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {e}", self.lines + 1)))?;
            self.apply(changes, line.len() as u64);
        }
        Ok(0)
    }

    fn apply(&mut self, changes: Vec<Change>, length: u64) {
        self.lines += 1;
        self.read += length;
        for change in changes {
            match change.value {
                Some(value) => self.items.insert(change.key, (value.into_bytes(), self.lines)),
                None => self.items.remove(&change.key),
            };
        }
    }

    /// Writes one transaction. An error leaves the items as they were, and the file without the line or with a torn one.
    pub fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(changes)?;
        line.push(b'\n');
        let written = self.writer.write_all(&line).and_then(|()| if self.sync { self.writer.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            self.writer.set_len(self.read)?;
            return Err(error);
        }
        // Read back rather than assumed: a second instance may have written a line just before.
        self.catch_up()
    }
}
