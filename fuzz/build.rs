//! Links the targets with libFuzzer, whose folder `run.sh` names. Without it the targets compile and cannot be linked.

fn main() {
    println!("cargo:rerun-if-env-changed=PROA_LIBFUZZER");
    if let Some(folder) = std::env::var_os("PROA_LIBFUZZER") {
        println!("cargo:rustc-link-search=native={}", folder.to_string_lossy());
        for argument in ["-Wl,--whole-archive", "-lfuzzer", "-Wl,--no-whole-archive", "-lstdc++"] {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
    }
}
