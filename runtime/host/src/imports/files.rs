//! `proa:host/files`: whole files that the configuration names, and nothing else.

use crate::ctx::Ctx;
use crate::wit::proa::host::files::Host;
use std::path::Path;

const LIMIT: u64 = 16 << 20;

impl Host for Ctx {
    fn read(&mut self, path: String) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let granted = self.grants.files.iter().any(|f| f == Path::new(&path));
        if !granted {
            self.log.denied("file", &path);
            return Ok(Err(format!("file {path} is not granted: no metadata field names it")));
        }
        Ok(read(Path::new(&path)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?.len();
    if size > LIMIT {
        return Err(format!("{}: {size} bytes are more than {LIMIT}", path.display()));
    }
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}
