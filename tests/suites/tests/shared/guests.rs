//! The components that only tests load, and YAML that names them. `tests/guests/build.sh` builds them; `PROA_TEST_GUESTS`
//! says where they lie when it is not the folder that the script takes by default. Panics when they are not there.

use std::path::{Path, PathBuf};

use proa_harness::{Sidecar, SidecarBuilder};

/// A component file of `tests/guests`, by its folder's name; `bad/…` for files that are no components.
pub fn guest(name: &str) -> PathBuf {
    let file = format!("{name}.wasm");
    let found = folders().into_iter().map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{file} is in none of {:?}: run tests/guests/build.sh, or set PROA_TEST_GUESTS", folders()))
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("PROA_TEST_GUESTS") {
        return vec![folder.into()];
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of the tests");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    vec![target.join("test-guests"), tests.join("guests/target/test-guests")]
}

/// A builder whose sidecars keep what they compile in one place, so that each guest is compiled once a run.
pub fn sidecar() -> SidecarBuilder {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("modules");
    Sidecar::builder().env("PROA_CACHE", &cache.display().to_string()).log_level("info")
}

/// Adds annotations to a resource that has none.
pub fn annotated(yaml: &str, annotations: &[(&str, &str)]) -> String {
    let mut block = String::from("\n  annotations:");
    for (name, value) in annotations {
        block.push_str(&format!("\n    {name}: {}", serde_json::Value::from(*value)));
    }
    yaml.replacen("\nspec:", &format!("{block}\nspec:"), 1)
}

/// A resource whose module is a guest, wherever the resource lies.
pub fn with_guest(yaml: &str, name: &str) -> String {
    annotated(yaml, &[("proa.dev/module", &guest(name).display().to_string())])
}
