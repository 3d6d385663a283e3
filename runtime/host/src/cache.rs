//! Compiled modules on disk, keyed by the digest of the module and the compatibility hash of the engine.
//!
//! Compilation runs in a child process, so that its memory and its CPU time never weigh on the one that serves. A file here is
//! used only if its checksum, written beside it, still holds; anything else is made anew. The checksum finds what disks and half
//! copies do to a file, and costs no start of the sidecar anything; who may write here may run code anyway, so it is no signature.

use crate::module::{ModuleError, digest};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use twox_hash::XxHash3_64;

/// The most that compiling one module may take.
const COMPILE_LIMIT: Duration = Duration::from_secs(120);

/// Where compiled modules are kept.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    compatibility: String,
}

impl Cache {
    pub fn new(dir: PathBuf, compatibility: String) -> Self {
        Self { dir, compatibility }
    }

    fn file(&self, module: &str) -> PathBuf {
        self.dir.join(format!("{module}-{}.cwasm", self.compatibility))
    }

    /// The compiled file, if it is here and whole.
    pub fn find(&self, module: &str) -> Option<PathBuf> {
        let path = self.file(module);
        whole(&path).then_some(path)
    }

    pub fn forget(&self, module: &str) {
        // A file that cannot be removed is overwritten by the next compilation.
        let _ = std::fs::remove_file(self.file(module));
    }

    /// Compiles `source` in a child process of this binary and keeps the result.
    pub async fn compile(&self, source: &Path, module: &str) -> Result<PathBuf, ModuleError> {
        let failed = |why: String| ModuleError::Compile { path: source.to_owned(), why };
        std::fs::create_dir_all(&self.dir).map_err(|e| failed(format!("cache folder {}: {e}", self.dir.display())))?;
        let target = self.file(module);
        let exe = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
        let mut command = Command::new(exe);
        // Under the name `daprd` the binary would take another role.
        command.arg0("proa").args(["component", "compile"]).arg(source).arg(&target).arg(module);
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(COMPILE_LIMIT, command.output())
            .await
            .map_err(|_| failed(format!("not done after {}s", COMPILE_LIMIT.as_secs())))?
            .map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(target)
    }
}

fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("cwasm.xxh3")
}

fn seal(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

/// Whether a compiled file is what was written.
pub fn whole(path: &Path) -> bool {
    let mapped = || {
        let file = std::fs::File::open(path)?;
        // SAFETY: these files are replaced by renaming and never written in place, so that what is mapped does not change.
        unsafe { memmap2::MmapOptions::new().populate().map(&file) }
    };
    let (Ok(bytes), Ok(written)) = (mapped(), std::fs::read_to_string(seal_path(path))) else { return false };
    seal(&bytes) == written
}

/// Writes a compiled module and its seal; readers see the old file or the new one, never half of it.
pub fn store(target: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let dir = target.parent().unwrap_or(Path::new("."));
    let write = |path: &Path, bytes: &[u8]| -> std::io::Result<()> {
        // Compiled code is no secret: another user may run the same installation.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist(path).map(drop).map_err(|e| e.error)
    };
    write(target, compiled)?;
    write(&seal_path(target), seal(compiled).as_bytes())
}

/// What the child process does: `source` must still have the digest `module`.
pub fn compile_file(source: &Path, target: &Path, module: Option<&str>) -> Result<(), String> {
    let bytes = std::fs::read(source).map_err(|e| e.to_string())?;
    if module.is_some_and(|m| m != digest(&bytes)) {
        return Err("the file changed while it was read".into());
    }
    let engine = crate::engine::new().map_err(|e| format!("{e:#}"))?;
    let compiled = engine.precompile_component(&bytes).map_err(|e| format!("{e:#}"))?;
    store(target, &compiled).map_err(|e| e.to_string())
}
