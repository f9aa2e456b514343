//! Programs of other projects that steps need, and their Debian packages.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Whether a program is on the PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    })
}

/// Installs the missing ones of these programs; each is given with its Debian package.
///
/// # Errors
///
/// When it cannot install: the error names what is missing, and how to install it.
pub(crate) fn install(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs.iter().filter(|(program, _)| !is_installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    println!("installing {}", packages.join(", "));
    let apt_get = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let install =
        || apt_get(&[&["install", "-y", "--no-install-recommends"], &packages[..]].concat());
    // The package lists may be missing or old, which only the installation tells.
    if install() || (apt_get(&["update"]) && install()) {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    bail!(
        "{} not found here; install with: apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    )
}
