//! The dashboard as people use it, in Debian's Chromium by Playwright: prices that move, filters, trades with and without
//! the right, a server that is killed and comes back, many tabs, the keyboard alone, accessibility, a phone.
//!
//! What is not on the machine is installed as in `redis_clients`. Where something cannot be had, the test says so and
//! passes; in CI it fails.

#![cfg(feature = "web")]

#[path = "../redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the clients of Redis")]
mod packages;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use packages::Packages;

const NODE_PACKAGES: &[&str] = &["playwright-core@1.65.1", "axe-core@4.14.1"];

/// The scenes, and what they are played with; what draws the pictures of docs/, and what measures a page.
const SCRIPTS: &[&str] = &[
    "tests/dashboard/stage.mjs",
    "tests/dashboard/dashboard.mjs",
    "../../xtask/dashboard/market.mjs",
    "../../xtask/dashboard/pictures.mjs",
    "../../xtask/dashboard/measure.mjs",
    "../../xtask/dashboard/trace.mjs",
];

/// The packages, with the scripts beside them, since that is where modules are looked for.
static STAGE: LazyLock<Option<Packages>> = LazyLock::new(|| {
    if !packages::have("chromium", "chromium") {
        return None;
    }
    let packages = Packages::node(NODE_PACKAGES)?;
    for script in SCRIPTS {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        std::fs::copy(&script, packages.directory.join(script.file_name().unwrap())).unwrap();
    }
    Some(packages)
});

/// Plays a script; what it printed.
fn play(packages: &Packages, arguments: &[&str]) -> String {
    let mut command = Command::new(&packages.program);
    command.args(arguments).current_dir(&packages.directory);
    let output = command.env("STOCKD_BINARY", env!("CARGO_BIN_EXE_stockd")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn people_can_use_the_dashboard() {
    let Some(packages) = &*STAGE else { return };
    // A guard against hanging alone. A runner that is over its time ends its servers and its browser.
    play(packages, &["--test", "--test-timeout=240000", "dashboard.mjs"]);
}

/// `cargo xtask dashboard pictures` draws for longer: here it is seen that every page can be drawn without a fault.
#[test]
fn every_page_is_drawn_for_the_documents() {
    let Some(packages) = &*STAGE else { return };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    play(packages, &["pictures.mjs", folder.to_str().unwrap(), "2"]);
    let is_picture = |path: &Path| std::fs::read(path).unwrap().starts_with(b"\x89PNG");
    let drawn: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(drawn.len() == 9 && drawn.iter().all(|path| is_picture(path)), "{drawn:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// `cargo xtask dashboard measure` measures for longer: here it is seen that tasks, frames and memory are told.
#[test]
fn what_a_page_costs_its_browser_is_measured() {
    let Some(packages) = &*STAGE else { return };
    let told = play(packages, &["measure.mjs", "3", "300", "2000"]);
    for part in ["300 stocks, ", "longest task ", "script ", "frames a second", "MiB after"] {
        assert!(told.contains(part), "{part} is not told: {told}");
    }
}
