//! A module: a `.wasm` component file, compiled, linked against the host's imports and ready to be instantiated.

use crate::ctx::Ctx;
use crate::exports::Indices;
use crate::manifest::{Kind, Manifest, SECTION};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::InstancePre;

#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error("cannot read module {path}: {error}")]
    Read { path: PathBuf, error: std::io::Error },
    #[error("module {path} is not a wasm component: {why}")]
    NotAComponent { path: PathBuf, why: String },
    #[error("module {path} has no usable manifest: {why}")]
    Manifest { path: PathBuf, why: String },
    #[error("module {path} does not compile: {why}")]
    Compile { path: PathBuf, why: String },
    #[error("module {path} does not fit this host: {why}")]
    Link { path: PathBuf, why: String },
}

/// A compiled module. Cheap to share; instances of many generations come from one.
pub struct Module {
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    pub manifest: Arc<Manifest>,
    pub(crate) pre: InstancePre<Ctx>,
    pub(crate) indices: Indices,
}

impl Module {
    pub fn kind(&self) -> Kind {
        self.manifest.kind
    }
    /// The same code with another size of its pool.
    pub(crate) fn with_instances(&self, count: u32) -> Arc<Self> {
        let mut manifest = (*self.manifest).clone();
        manifest.instances = Some(count);
        Arc::new(Self {
            path: self.path.clone(),
            digest: self.digest.clone(),
            manifest: Arc::new(manifest),
            pre: self.pre.clone(),
            indices: Indices::of(&self.pre),
        })
    }

    /// The names of the optional interfaces that this module exports.
    pub fn interfaces(&self) -> Vec<&'static str> {
        self.indices.names()
    }
}

/// The bytes of a module file and what they say of themselves, before anything is compiled.
pub struct ModuleFile {
    pub path: PathBuf,
    pub digest: String,
    pub bytes: Vec<u8>,
    pub manifest: Manifest,
}

pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl ModuleFile {
    pub fn read(path: &Path) -> Result<Self, ModuleError> {
        let bytes = std::fs::read(path).map_err(|error| ModuleError::Read { path: path.to_owned(), error })?;
        let manifest = read_manifest(path, &bytes)?;
        Ok(Self { path: path.to_owned(), digest: digest(&bytes), bytes, manifest })
    }
}

/// The manifest section at any depth: linkers leave it in the inner core module, `component embed` puts it on top.
fn read_manifest(path: &Path, bytes: &[u8]) -> Result<Manifest, ModuleError> {
    let not = |why: String| ModuleError::NotAComponent { path: path.to_owned(), why };
    if !wasmparser::Parser::is_component(bytes) {
        let why = if wasmparser::Parser::is_core_wasm(bytes) { "it is a core module" } else { "it does not begin like one" };
        return Err(not(why.into()));
    }
    let mut found = None;
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        if let wasmparser::Payload::CustomSection(section) = payload.map_err(|e| not(e.to_string()))?
            && section.name() == SECTION
        {
            found = Some(section.data().to_vec());
        }
    }
    let bad = |why: String| ModuleError::Manifest { path: path.to_owned(), why };
    let data = found.ok_or_else(|| bad(format!("no section {SECTION}")))?;
    Manifest::parse(&data).map_err(bad)
}
