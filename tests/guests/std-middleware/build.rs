//! Writes the bindings' invocation: the WIT files of wasi:http lie in the sources of a registry crate, whose folder only cargo knows.

use std::{env, error::Error, fs, path::Path, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path"])
        .arg(Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let wasip3 = packages.iter().find(|p| p["name"] == "wasip3").ok_or("wasip3 is not among the packages")?;
    let manifest = wasip3["manifest_path"].as_str().ok_or("no path")?;
    let wit = Path::new(manifest).with_file_name("wit");
    let text = format!("wit_bindgen::generate!({{ path: {wit:?}, world: \"wasi:http/middleware\", generate_all }});\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("bindings.rs"), text)?;
    Ok(())
}
