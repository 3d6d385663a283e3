//! The role of the sidecar: flags in, one runtime after another (SIGHUP builds a new one), exit code out.

mod app;
mod options;
mod resident;
mod serve;
mod signals;

use crate::flags::{FlagError, SidecarFlags, table};
use crate::logging::{self, LogOptions};
use std::process::ExitCode;

/// How a runtime ended.
pub enum End {
    /// In good order.
    Clean,
    /// Not in good order: what there was to say is said.
    Failed,
    /// It is to be built anew.
    Restart,
}

pub fn main(program: &str, arguments: Vec<String>) -> ExitCode {
    let flags = match SidecarFlags::parse(arguments.into_iter(), |name| std::env::var(name).ok()) {
        Ok(flags) => flags,
        Err(error) => return refused(program, &error),
    };
    if flags.version {
        println!("{}", crate::VERSION);
        return ExitCode::SUCCESS;
    }
    if flags.build_info {
        println!(
            "Version: {}\nGit Commit: {}\nGit Version: {}",
            crate::VERSION,
            option_env!("PROA_COMMIT").unwrap_or("unknown"),
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    few_arenas();
    errors_without_backtraces();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("proa").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("proa: {error}");
            return ExitCode::FAILURE;
        }
    };
    if flags.wait {
        return runtime.block_on(app::wait_for_sidecar(flags.http_port));
    }
    let code = runtime.block_on(run(flags));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

/// An arena a thread is memory that nobody gets back.
fn few_arenas() {
    // SAFETY: mallopt only sets a number; no other thread exists yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// The engine makes an error value in every call of a component. With `RUST_BACKTRACE` set, each of them would walk the stack; panics still
/// do. Whoever wants it for errors says so with `RUST_LIB_BACKTRACE`.
fn errors_without_backtraces() {
    const SETTING: &str = "RUST_LIB_BACKTRACE";
    if std::env::var_os(SETTING).is_some() {
        return;
    }
    // SAFETY: no other thread exists yet.
    unsafe { std::env::set_var(SETTING, "0") };
    // The setting is read once; components that are lent the environment should find it as it was.
    let _ = std::backtrace::Backtrace::capture();
    // SAFETY: as above.
    unsafe { std::env::remove_var(SETTING) };
}

fn refused(program: &str, error: &FlagError) -> ExitCode {
    match error {
        FlagError::Help => {
            println!("{}", table::usage(program));
            ExitCode::SUCCESS
        }
        FlagError::Usage(text) => {
            eprintln!("{text}\n{}", table::usage(program));
            ExitCode::from(2)
        }
        FlagError::Options(_) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        FlagError::Runtime(text) => {
            let options = log_options(None);
            if logging::init(&options).is_ok() {
                tracing::error!(target: "dapr.runtime", fatal = true, "Fatal error from runtime: {text}");
            }
            ExitCode::FAILURE
        }
    }
}

fn log_options(flags: Option<&SidecarFlags>) -> LogOptions {
    LogOptions {
        level: flags.and_then(|f| f.log_level.parse().ok()).unwrap_or(logging::LogLevel::Info),
        json: flags.is_some_and(|f| f.log_as_json),
        file: flags.and_then(|f| f.log_file.as_ref()).map(|p| p.display().to_string()),
        app_id: flags.map(|f| f.app_id.clone()).unwrap_or_default(),
        instance: gethostname::gethostname().to_string_lossy().into_owned(),
        version: crate::VERSION.to_owned(),
    }
}

async fn run(flags: SidecarFlags) -> ExitCode {
    if let Err(error) = logging::init(&log_options(Some(&flags))) {
        eprintln!("proa: {error}");
        return ExitCode::FAILURE;
    }
    tracing::info!(target: "dapr.runtime", "Starting Dapr Runtime -- version {} -- proa {}", crate::VERSION, env!("CARGO_PKG_VERSION"));
    tracing::info!(target: "dapr.runtime", "Log level set to: {}", flags.log_level);
    for note in &flags.notes {
        tracing::warn!(target: "dapr.runtime", "{note}");
    }
    let mut signals = match signals::Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(target: "dapr.runtime", fatal = true, "Fatal error from runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        match serve::run(&flags, &mut signals).await {
            End::Clean => {
                tracing::info!(target: "dapr.runtime", "Daprd shutdown gracefully");
                return ExitCode::SUCCESS;
            }
            End::Failed => return ExitCode::FAILURE,
            End::Restart => tracing::info!(target: "dapr.runtime", "Reloading the runtime"),
        }
    }
}
