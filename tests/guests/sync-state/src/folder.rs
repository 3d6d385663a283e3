//! One file an item: the version in the first line, then the value. Writers of several instances exclude each other by a lock file.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a lock file may be in the way before it counts as left behind by an instance that is gone.
const STALE: Duration = Duration::from_secs(2);

pub struct Folder {
    root: PathBuf,
    random: RandomState,
}

/// A lock file, removed when dropped.
struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Why a write did not happen.
pub enum Refused {
    Version(String),
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Folder {
    pub fn open(root: &str) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.into(), random: RandomState::new() })
    }

    fn file(&self, key: &str) -> PathBuf {
        self.root.join(key.bytes().map(|b| format!("{b:02x}")).collect::<String>())
    }

    /// Value and version.
    pub fn get(&self, key: &str) -> io::Result<Option<(Vec<u8>, String)>> {
        let bytes = match fs::read(self.file(key)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let line = bytes.iter().position(|b| *b == b'\n').ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some((bytes[line + 1..].to_vec(), String::from_utf8_lossy(&bytes[..line]).into_owned())))
    }

    /// Writes (or, with a value of none, deletes) the item if it still has the version `etag`.
    pub fn change(&self, key: &str, value: Option<&[u8]>, etag: Option<&str>, only_new: bool) -> Result<(), Refused> {
        let _lock = self.lock(key)?;
        let present = self.get(key)?.map(|(_, version)| version);
        let fits = match etag.filter(|e| !e.is_empty()) {
            Some(etag) => present.as_deref() == Some(etag),
            None => !only_new || present.is_none(),
        };
        if !fits {
            return Err(Refused::Version(format!("possible etag mismatch: {key} has {present:?}")));
        }
        let file = self.file(key);
        let Some(value) = value else {
            return match present {
                Some(_) => Ok(fs::remove_file(file)?),
                None => Ok(()),
            };
        };
        let version = self.random.hash_one((key, value, Instant::now(), &present));
        let fresh = file.with_extension("new");
        fs::write(&fresh, [format!("{version:016x}\n").as_bytes(), value].concat())?;
        Ok(fs::rename(fresh, file)?)
    }

    fn lock(&self, key: &str) -> io::Result<Lock> {
        let file = self.file(key).with_extension("lock");
        let begin = Instant::now();
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(&file) {
                Ok(_) => return Ok(Lock(file)),
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                Err(_) if begin.elapsed() > STALE => {
                    let _ = fs::remove_file(&file);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}
