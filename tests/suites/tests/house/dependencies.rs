//! Who may use whom, asserted from what cargo says. A crate that is not in the table fails: its place is decided when it appears.

use crate::{none, read, root};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Each crate and those of ours that it may use. Its own tests may use whatever lies below it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("proa", &["proa-transport", "proa-core", "proa-pluggable", "proa-host", "proa-resources", "proa-model"]),
    ("proa-transport", &["proa-core", "proa-host", "proa-protocol", "proa-model"]),
    ("proa-core", &["proa-host", "proa-resources", "proa-model"]),
    // A driver behind the host's handles that speaks Dapr's protocol; the host itself knows no protocol.
    ("proa-pluggable", &["proa-host", "proa-protocol", "proa-model"]),
    ("proa-host", &["proa-model"]),
    ("proa-resources", &[]),
    ("proa-model", &[]),
    ("proa-protocol", &[]),
    ("proa-sdk", &[]),
    ("proa-harness", &["proa-protocol"]),
    ("proa-suites", &["proa-harness", "proa-protocol"]),
    ("proa-fuzz", &["proa", "proa-protocol"]),
];

/// The packages of the workspace in a folder, as `cargo metadata` tells them.
fn packages(workspace: &Path) -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(workspace).output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// A dependency that is part of the repository.
struct Ours {
    name: String,
    folder: String,
    for_tests: bool,
}

fn ours(package: &Value) -> Vec<Ours> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies.iter().filter_map(|d| Some(Ours { name: text(&d["name"])?, folder: text(&d["path"])?, for_tests: d["kind"] == "dev" })).collect()
}

fn may_use(name: &str) -> &'static [&'static str] {
    MAY_USE.iter().find(|(n, _)| *n == name).map_or(&[], |(_, used)| *used)
}

/// Whether the table leads from one crate to the other.
fn lies_below(name: &str, used: &str) -> bool {
    may_use(name).iter().any(|n| *n == used || lies_below(n, used))
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let packages = packages(&root());
    let mut complaints = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().expect("a name");
        if !MAY_USE.iter().any(|(n, _)| *n == name) {
            complaints.push(format!("{name} has no place in the table of this test"));
        }
        for used in ours(package) {
            let allowed = if used.for_tests { lies_below(name, &used.name) } else { may_use(name).contains(&used.name.as_str()) };
            if !allowed {
                complaints.push(format!("{name} uses {}", used.name));
            }
        }
    }
    for (name, _) in MAY_USE {
        if !packages.iter().any(|p| p["name"] == *name) {
            complaints.push(format!("{name} stands in the table, but is no crate of the workspace"));
        }
    }
    none(complaints);
}

/// The pipeline's bodies are the one thing of the host that a transport handles.
#[test]
fn transport_knows_of_the_host_only_its_bodies() {
    let mut complaints = Vec::new();
    let mut uses = 0;
    for file in crate::files::repository() {
        let tests = file.ends_with("/tests.rs") || file.contains("/tests/");
        let inside = file.starts_with("runtime/transport/src/") && file.ends_with(".rs") && !tests;
        for line in (if inside { read(&root().join(&file)) } else { String::new() }).lines() {
            for (_, after) in line.match_indices("proa_host::").map(|(at, found)| line.split_at(at + found.len())) {
                uses += 1;
                if !after.starts_with("middleware::") {
                    complaints.push(format!("{file}: proa_host::{after}"));
                }
            }
        }
    }
    assert!(uses > 0, "no use was found: the test looks in the wrong place");
    none(complaints);
}

#[test]
fn components_use_the_sdk_alone() {
    let workspace = root().join("components-wasm");
    let packages = packages(&workspace);
    assert!(!packages.is_empty());
    let mut complaints = Vec::new();
    for package in &packages {
        for used in ours(package) {
            if used.name != "proa-sdk" && !Path::new(&used.folder).starts_with(&workspace) {
                complaints.push(format!("{} uses {}", package["name"], used.name));
            }
        }
    }
    none(complaints);
}

/// A version that is any version makes every build a new one.
#[test]
fn versions_are_named() {
    let mut complaints = Vec::new();
    for package in [root(), root().join("components-wasm")].iter().flat_map(|w| packages(w)) {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["path"].is_null() && dependency["req"] == "*" {
                complaints.push(format!("{} uses any version of {}", package["name"], dependency["name"]));
            }
        }
    }
    none(complaints);
}
