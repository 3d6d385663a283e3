//! What a module file is, for people: types, exports, schema, grants, size. Also writes manifests into modules.

use crate::manifest::{Manifest, SECTION};
use crate::module::{ModuleError, ModuleFile};
use std::fmt::Write;
use std::path::Path;

/// A text for `proa component inspect`.
pub fn describe(path: &Path) -> Result<String, ModuleError> {
    let file = ModuleFile::read(path)?;
    let manifest = &file.manifest;
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{}: {} ({} KiB, sha256 {})", path.display(), manifest.title, file.bytes.len() / 1024, file.digest);
    for t in &manifest.types {
        let aliases = if t.aliases.is_empty() { String::new() } else { format!(" (also {})", t.aliases.join(", ")) };
        let _ = writeln!(out, "  type     {} {}{aliases}", t.name, t.versions.join(" "));
    }
    let _ = writeln!(out, "  kind     {}   abi {:?}   licence {}", manifest.kind, manifest.abi, manifest.license);
    let (imports, exports) = interfaces(&file.bytes);
    for (label, names) in [("export", exports), ("import", imports)] {
        for name in names {
            let _ = writeln!(out, "  {label}   {name}");
        }
    }
    if !manifest.grants.is_empty() {
        let _ = writeln!(out, "  grants   {:?}", manifest.grants);
    }
    for f in &manifest.metadata {
        let required = if f.required { ", required" } else { "" };
        let secret = if f.secret { ", secret" } else { "" };
        let grant = f.grant.map(|g| format!(", grants {g:?}").to_lowercase()).unwrap_or_default();
        let default = f.default.as_ref().map(|d| format!(", default {d}")).unwrap_or_default();
        let _ = writeln!(out, "  metadata {} ({:?}{required}{secret}{grant}{default}) {}", f.name, f.value_type, f.description);
    }
    Ok(out)
}

/// The names of a component's own imports and exports.
pub fn interfaces(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    use wasmparser::Payload;
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0usize);
    for payload in wasmparser::Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().flatten().map(|i| i.name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().flatten().map(|e| e.name.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

/// Adds a manifest to a component, for toolchains that cannot embed a section.
pub fn embed(module: &[u8], manifest: &[u8]) -> Result<Vec<u8>, String> {
    Manifest::parse(manifest)?;
    if !wasmparser::Parser::is_component(module) {
        return Err("not a wasm component".into());
    }
    let mut out = module.to_vec();
    let section = wasm_encoder::CustomSection { name: SECTION.into(), data: manifest.into() };
    wasm_encoder::ComponentSection::append_to_component(&section, &mut out);
    Ok(out)
}
