//! What the tests need and a machine may lack.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Packages of a language, installed in a directory of their own.
pub(crate) struct Packages {
    /// The program that runs scripts which use them.
    pub(crate) program: PathBuf,
    pub(crate) directory: PathBuf,
}

/// One installation at a time, of all test programs that run: apt-get has one lock, and two tests may want the same.
fn one_at_a_time() -> File {
    let file = File::create(directory("installing").join("lock")).unwrap();
    file.lock().unwrap();
    file
}

/// Whether a program is there, after installing its Debian package if need be.
pub(crate) fn have(program: &str, package: &str) -> bool {
    let _one_at_a_time = one_at_a_time();
    let found = || succeeds(Command::new(program).arg("--version"));
    if found() {
        return true;
    }
    let apt_get = |arguments: &[&str]| {
        succeeds(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = || apt_get(&["install", "-y", "--no-install-recommends", package]) && found();
    install() || (apt_get(&["update"]) && install()) || skipped(program, package)
}

/// Whether Debian packages are installed, and the programs there, after installing them if need be.
pub(crate) fn have_all(programs: &[&str], packages: &[&str]) -> bool {
    let _one_at_a_time = one_at_a_time();
    let is_there = |package: &&str| {
        let query = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
        query.is_ok_and(|it| it.stdout.ends_with(b"ok installed"))
    };
    let is_found = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        folders.into_iter().any(|folder| folder.join(program).exists())
    };
    let found = || packages.iter().all(is_there) && programs.iter().all(is_found);
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(&mut command)
    };
    let install =
        || apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat()) && found();
    found()
        || install()
        || (apt_get(&["update"]) && install())
        || skipped(&programs.join(", "), &packages.join(" "))
}

impl Packages {
    /// Python packages, in a virtual environment.
    pub(crate) fn python(packages: &[&str]) -> Option<Packages> {
        Packages::python_with("python", "import redis, glide", packages)
    }

    /// Python packages, in a virtual environment of this name. They are there if this program runs.
    pub(crate) fn python_with(
        name: &str,
        program_there: &str,
        packages: &[&str],
    ) -> Option<Packages> {
        if !have("python3", "python3") {
            return None;
        }
        let directory = directory(name);
        let program = directory.join("bin/python");
        let make = || {
            succeeds(Command::new("python3").args(["-m", "venv"]).arg(&directory))
                && succeeds(
                    Command::new(&program).args(["-m", "pip", "install", "-q"]).args(packages),
                )
        };
        let _one_at_a_time = one_at_a_time();
        let made = succeeds(Command::new(&program).args(["-c", program_there]))
            || make()
            || skipped("python3 -m venv and pip", "python3-venv");
        made.then_some(Packages { program, directory })
    }

    /// Node packages.
    pub(crate) fn node(packages: &[&str]) -> Option<Packages> {
        if !have("node", "nodejs") || !have("npm", "npm") {
            return None;
        }
        let directory = directory("node");
        let _one_at_a_time = one_at_a_time();
        // The name of a scope begins with @, too.
        let names = packages.iter().filter_map(|package| package.rsplit_once('@'));
        let names = names.map(|(name, _)| name);
        let there = names.map(|name| directory.join("node_modules").join(name));
        let made = there.into_iter().all(|path| path.exists())
            || succeeds(
                Command::new("npm")
                    .args([
                        "install",
                        "--no-audit",
                        "--no-fund",
                        "--no-package-lock",
                        "--ignore-scripts",
                    ])
                    .arg("--prefix")
                    .arg(&directory)
                    .args(packages),
            )
            || skipped("packages from npm", "npm");
        made.then_some(Packages { program: "node".into(), directory })
    }
}

fn directory(name: &str) -> PathBuf {
    // Unit tests have no such place of their own.
    let place = option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from);
    let place = place.unwrap_or_else(std::env::temp_dir);
    let directory = place.join("redis_clients").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Says that a test is skipped. In CI that is a failure.
fn skipped(what: &str, package: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{what} cannot be had; install {package}");
    eprintln!("skipped: {what} cannot be had; install {package}");
    false
}
