//! The modules that ship with the binary: a folder of `.wasm` files, compiled when the binary is built, with an index that tells
//! which type lies where, so that nothing is parsed or compiled at start.

use crate::manifest::Manifest;
use crate::module::{ModuleError, ModuleFile};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The name of the index file.
pub const INDEX: &str = "catalogue.json";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// File name within the folder.
    pub file: String,
    pub digest: String,
    pub manifest: Manifest,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Catalogue {
    #[serde(skip)]
    dir: PathBuf,
    pub entries: Vec<Entry>,
}

impl Catalogue {
    /// The catalogue in a folder; an empty one when there is none.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let path = dir.join(INDEX);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        let mut catalogue: Self = serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        catalogue.dir = dir.to_owned();
        Ok(catalogue)
    }

    /// Where the binary looks: `PROA_CATALOGUE`, `components` beside the binary (links resolved), `../share/proa/components`.
    pub fn default_dir() -> Option<PathBuf> {
        if let Some(dir) = std::env::var_os("PROA_CATALOGUE") {
            return Some(dir.into());
        }
        let exe = std::env::current_exe().ok()?.canonicalize().ok()?;
        let dir = exe.parent()?;
        [dir.join("components"), dir.join("../share/proa/components")].into_iter().find(|d| d.join(INDEX).is_file())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn find(&self, component_type: &str, version: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.manifest.implements(component_type, version))
    }

    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.dir.join(&entry.file)
    }

    /// Every type that the catalogue knows, for suggestions.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flat_map(|e| &e.manifest.types).map(|t| t.name.as_str())
    }
}

/// Makes a folder of modules a catalogue: compiles each and writes the index. What is compiled already stays.
pub fn pack(dir: &Path) -> Result<Catalogue, ModuleError> {
    let engine = crate::engine::new().map_err(|e| link(dir, &e))?;
    let compatibility = crate::engine::compatibility(&engine);
    let read = |error| ModuleError::Read { path: dir.to_owned(), error };
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(read)?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "wasm"))
        .collect();
    files.sort();
    let mut entries = Vec::new();
    for path in files {
        let module = ModuleFile::read(&path)?;
        let target = dir.join(format!("{}-{compatibility}.cwasm", module.digest));
        if !crate::cache::whole(&target) {
            let compiled =
                engine.precompile_component(&module.bytes).map_err(|e| ModuleError::Compile { path: path.clone(), why: format!("{e:#}") })?;
            crate::cache::store(&target, &compiled).map_err(read)?;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        entries.push(Entry { file, digest: module.digest, manifest: module.manifest });
    }
    let catalogue = Catalogue { dir: dir.to_owned(), entries };
    let text = serde_json::to_vec(&catalogue).map_err(|e| ModuleError::Manifest { path: dir.to_owned(), why: e.to_string() })?;
    std::fs::write(dir.join(INDEX), text).map_err(read)?;
    Ok(catalogue)
}

fn link(dir: &Path, error: &wasmtime::Error) -> ModuleError {
    ModuleError::Link { path: dir.to_owned(), why: format!("{error:#}") }
}
