//! Compiles `proto/**` without protoc: Rust code for every package, and descriptor sets for reflection.
//!
//! Costs one pass over some thirty small files. An ill-formed `.proto` file stops the build with its place and reason.

use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// A descriptor set per server: its name in `OUT_DIR`, and the files whose services that server may answer for.
const SETS: &[(&str, &[&str])] = &[
    ("api", &["dapr/proto/runtime/v1/dapr.proto"]),
    ("app_callback", &["dapr/proto/runtime/v1/appcallback.proto"]),
    ("internal", &["dapr/proto/internals/v1/service_invocation.proto"]),
    (
        "components",
        &[
            "dapr/proto/components/v1/bindings.proto",
            "dapr/proto/components/v1/pubsub.proto",
            "dapr/proto/components/v1/secretstore.proto",
            "dapr/proto/components/v1/state.proto",
        ],
    ),
    ("placement", &["dapr/proto/placement/v1/placement.proto"]),
    ("scheduler", &["dapr/proto/scheduler/v1/scheduler.proto"]),
    ("sentry", &["dapr/proto/sentry/v1/sentry.proto"]),
    ("operator", &["dapr/proto/operator/v1/operator.proto"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());

    let mut sources = Vec::new();
    collect(root, &mut sources)?;
    // The order of the directory must not leak into the output.
    sources.sort();
    let all = protox::compile(&sources, [root])?;

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    write_set(&out, "all", all.file.clone())?;
    for (name, roots) in SETS {
        write_set(&out, name, with_imports(&all, roots)?)?;
    }

    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config.type_name_domain(["."], "type.googleapis.com");
    tonic_prost_build::configure().bytes(".").compile_fds_with_config(all, config)?;
    Ok(())
}

/// All `.proto` files below `dir`.
fn collect(dir: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            into.push(path);
        }
    }
    Ok(())
}

/// The named files and whatever they import, in the order of `all` (imports first).
fn with_imports(all: &FileDescriptorSet, roots: &[&str]) -> Result<Vec<FileDescriptorProto>, String> {
    let mut wanted = HashSet::new();
    let mut open: Vec<String> = roots.iter().map(|r| (*r).to_owned()).collect();
    while let Some(name) = open.pop() {
        let file = all.file.iter().find(|f| f.name() == name).ok_or_else(|| format!("no file {name}"))?;
        if wanted.insert(name) {
            open.extend(file.dependency.iter().cloned());
        }
    }
    Ok(all.file.iter().filter(|f| wanted.contains(f.name())).cloned().collect())
}

/// Writes one set, without comments and positions, which reflection does not need.
fn write_set(out: &Path, name: &str, mut file: Vec<FileDescriptorProto>) -> std::io::Result<()> {
    for f in &mut file {
        f.source_code_info = None;
    }
    std::fs::write(out.join(format!("{name}.fds")), FileDescriptorSet { file }.encode_to_vec())
}
