//! Single files of the host that the configuration names.

/// The whole file, 16 MiB at most; the text of the error is for the operator.
pub fn read(path: &str) -> Result<Vec<u8>, String> {
    crate::wit::host_files::proa::host::files::read(path)
}
