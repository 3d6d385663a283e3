//! Every shipped component is whole: a manifest, a README that names each field, and a module in the built catalogue.

use crate::{folders, name, none, read, root};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folders that build a module, and not a library of several.
fn components() -> Vec<PathBuf> {
    let all = folders(&root().join("components-wasm"));
    let cdylib = |p: &PathBuf| p.join("Cargo.toml").is_file() && read(&p.join("Cargo.toml")).contains("cdylib");
    let components: Vec<PathBuf> = all.into_iter().filter(cdylib).collect();
    assert!(components.len() >= 15, "{} components: the test looks in the wrong place", components.len());
    components
}

fn manifest(folder: &Path) -> Value {
    let path = folder.join("manifest.json");
    serde_json::from_str(&read(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names under which a field can be set.
fn field_names(manifest: &Value) -> Vec<String> {
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let fields = list(&manifest["metadata"]);
    let names = fields.iter().flat_map(|f| std::iter::once(f["name"].clone()).chain(list(&f["aliases"])));
    names.filter_map(|n| n.as_str().map(str::to_owned)).collect()
}

#[test]
fn manifests_say_what_they_are_of() {
    let mut complaints = Vec::new();
    for folder in components() {
        let (name, manifest) = (name(&folder), manifest(&folder));
        let kind = manifest["kind"].as_str().unwrap_or_default();
        if !name.starts_with(&format!("{kind}-")) {
            complaints.push(format!("{name}: its kind is {kind:?}"));
        }
        if manifest["source"] != format!("components-wasm/{name}") {
            complaints.push(format!("{name}: its source is {}", manifest["source"]));
        }
        for entry in ["title", "description", "license"] {
            if manifest[entry].as_str().is_none_or(str::is_empty) {
                complaints.push(format!("{name}: its manifest has no {entry}"));
            }
        }
    }
    none(complaints);
}

#[test]
fn readmes_name_every_field() {
    let mut complaints = Vec::new();
    for folder in components() {
        let Ok(readme) = std::fs::read_to_string(folder.join("README.md")) else {
            complaints.push(format!("{}: no README.md", name(&folder)));
            continue;
        };
        for field in field_names(&manifest(&folder)) {
            if !readme.contains(&format!("`{field}`")) {
                complaints.push(format!("{}: README.md does not name {field}", name(&folder)));
            }
        }
    }
    none(complaints);
}

/// The README's list is what people choose from.
#[test]
fn the_front_page_lists_every_type() {
    let page = read(&root().join("README.md"));
    let mut complaints = Vec::new();
    for folder in components() {
        let name = name(&folder);
        for listed in manifest(&folder)["types"].as_array().into_iter().flatten() {
            let of = listed["type"].as_str().unwrap_or_default();
            if !page.contains(&format!("[`{of}`](components-wasm/{name})")) {
                complaints.push(format!("README.md does not list {of} ({name})"));
            }
        }
    }
    none(complaints);
}

/// Only where there is a catalogue: another sidecar can be under test.
#[test]
fn the_catalogue_beside_the_binary_is_complete() {
    let binary = std::env::var_os("PROA_BIN").map_or_else(|| root().join("bin/daprd"), PathBuf::from);
    let Ok(binary) = binary.canonicalize() else { return };
    let catalogue = binary.parent().expect("a folder").join("components");
    if !catalogue.is_dir() {
        return;
    }
    let index = read(&catalogue.join("catalogue.json"));
    let missing =
        components().into_iter().map(|c| format!("{}.wasm", name(&c))).filter(|f| !catalogue.join(f).is_file() || !index.contains(f.as_str()));
    none(missing.map(|f| format!("{f} is not in {}", catalogue.display())).collect());
}
