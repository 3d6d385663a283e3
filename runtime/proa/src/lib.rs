//! One binary, many roles: `proa sidecar`, `proa component …`. Started under the name `daprd` it is the sidecar with Dapr's flags.
//!
//! A library besides, so that fuzzing can run whole sidecars in its own process; several may run at the same time.

mod component;
mod flags;
mod logging;
pub mod sidecar;

use std::path::Path;
use std::process::ExitCode;

/// What `--version` prints: the Dapr version whose behaviour this is.
pub const VERSION: &str = "1.18.0";

const USAGE: &str = "usage: proa <role> [flags]

  sidecar             the sidecar, with daprd's flags (proa sidecar --help lists them)
  component inspect   what a module is: types, exports, schema, grants, size
  component embed     writes a manifest into a module
  component compile   compiles a module ahead of time
  component pack      makes a folder of modules a catalogue
  version             the version

Started under the name daprd, the binary takes the role sidecar.";

/// The process: its arguments in, its exit code out.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(|n| n.to_str()).unwrap_or("proa").to_owned();
    let rest: Vec<String> = arguments.collect();
    if name == "daprd" {
        return sidecar::main("daprd", rest);
    }
    match rest.split_first() {
        Some((role, rest)) if role == "sidecar" => sidecar::main("proa sidecar", rest.to_vec()),
        Some((role, rest)) if role == "component" => component::main(rest),
        Some((role, _)) if role == "version" => {
            println!("{VERSION}");
            ExitCode::SUCCESS
        }
        // Flags without a role: the sidecar's, as under Dapr's name.
        Some((flag, _)) if flag.starts_with('-') && flag != "--help" && flag != "-h" => sidecar::main("proa", rest.clone()),
        Some((role, _)) if role == "help" || role == "--help" || role == "-h" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        other => {
            if let Some((role, _)) = other {
                eprintln!("proa: there is no role {role:?}");
            }
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
