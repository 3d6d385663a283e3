use std::process::ExitCode;

fn main() -> ExitCode {
    proa::main()
}
