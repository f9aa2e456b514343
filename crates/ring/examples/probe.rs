//! Whether io_uring can be used here: says nothing and exits with 0, or says why not and what would
//! help, and exits with 1.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match stockd_ring::probe() {
        Ok(()) => ExitCode::SUCCESS,
        Err(unavailable) => {
            eprintln!("{unavailable}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("only Linux has io_uring");
    ExitCode::FAILURE
}
