//! `proa component …`: modules outside a running sidecar. `compile` is also what the sidecar runs as a child process.

use proa_host::{cache, catalogue, inspect};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: proa component inspect FILE
       proa component embed MODULE MANIFEST OUT
       proa component compile MODULE OUT
       proa component pack FOLDER";

pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["inspect", file] => inspect::describe(Path::new(file)).map(|text| print!("{text}")).map_err(|e| e.to_string()),
        ["embed", module, manifest, out] => embed(module, manifest, out),
        ["compile", module, out] => cache::compile_file(Path::new(module), Path::new(out), None),
        ["compile", module, out, digest] => cache::compile_file(Path::new(module), Path::new(out), Some(digest)),
        ["pack", folder] => pack(folder),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("proa component: {why}");
            ExitCode::FAILURE
        }
    }
}

fn embed(module: &str, manifest: &str, out: &str) -> Result<(), String> {
    let read = |path: &str| std::fs::read(path).map_err(|e| format!("{path}: {e}"));
    let bytes = inspect::embed(&read(module)?, &read(manifest)?)?;
    std::fs::write(out, bytes).map_err(|e| format!("{out}: {e}"))
}

fn pack(folder: &str) -> Result<(), String> {
    let catalogue = catalogue::pack(Path::new(folder)).map_err(|e| e.to_string())?;
    for entry in &catalogue.entries {
        let types: Vec<_> = entry.manifest.types.iter().map(|t| t.name.as_str()).collect();
        println!("{:<36} {}", entry.file, types.join(", "));
    }
    Ok(())
}
