//! The dashboard as people use it, in Debian's Chromium by Playwright: prices that move, filters, trades with and without
//! the right, a server that is killed and comes back, many tabs, the keyboard alone, accessibility, a phone.
//!
//! What is not on the machine is installed as in `redis_clients`. Where something cannot be had, the test says so and
//! passes; in CI it fails.

#![cfg(feature = "web")]

#[path = "../redis_clients/packages.rs"]
#[allow(dead_code, reason = "shared with the clients of Redis")]
mod packages;

use std::path::Path;
use std::process::Command;

use packages::Packages;

const NODE_PACKAGES: &[&str] = &["playwright-core@1.65.1", "axe-core@4.14.1"];

/// The scenes, and what they are played with.
const SCRIPTS: &[&str] = &["stage.mjs", "dashboard.mjs"];

#[test]
fn people_can_use_the_dashboard() {
    if !packages::have("chromium", "chromium") {
        return;
    }
    let Some(packages) = Packages::node(NODE_PACKAGES) else { return };
    // Modules are looked for beside the script.
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard");
    for script in SCRIPTS {
        std::fs::copy(scripts.join(script), packages.directory.join(script)).unwrap();
    }
    let mut command = Command::new(&packages.program);
    // A guard against hanging alone. A runner that is over its time ends its servers and its browser.
    command.args(["--test", "--test-timeout=240000", "dashboard.mjs"]);
    command.current_dir(&packages.directory).env("STOCKD_BINARY", env!("CARGO_BIN_EXE_stockd"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
