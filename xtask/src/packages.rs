//! Programs of other projects that steps need, and their Debian packages.

use std::fs::File;
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
    if apt_get_install(&packages) {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    bail!(
        "{} not found here; install with: apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    )
}

/// Installs the missing ones of these Debian packages, which have no program.
///
/// # Errors
///
/// When it cannot install.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    let is_missing = |package: &&&str| {
        let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
        !query.is_ok_and(|it| it.stdout.ends_with(b"ok installed"))
    };
    let missing: Vec<&str> = packages.iter().filter(is_missing).copied().collect();
    if missing.is_empty() || apt_get_install(&missing) {
        return Ok(());
    }
    bail!("missing here; install with: apt-get install {}", missing.join(" "))
}

fn apt_get_install(packages: &[&str]) -> bool {
    // Two steps of CI may want something at once, and apt-get does not wait.
    let _one_at_a_time = one_at_a_time().ok();
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
    let install = || apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat());
    // The package lists may be missing or old, which only the installation tells.
    install() || (apt_get(&["update"]) && install())
}

/// Held while something is installed. Beside this program, since that is a folder of its own user.
fn one_at_a_time() -> std::io::Result<File> {
    let file = File::create(std::env::current_exe()?.with_extension("installing"))?;
    file.lock()?;
    Ok(file)
}
