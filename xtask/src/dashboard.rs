//! The dashboard's files: their types, their style, what is vendored, their size; its pictures, and how it bears load.
//!
//! The tools are npm packages of pinned versions, installed beside the build. What is checked is what is served: there
//! is no build between.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::workspace::Workspace;
use crate::{build, packages};

/// The files that are served.
const FOLDER: &str = "crates/web/dashboard";

/// The tools, their settings and the scripts.
const TOOLS: &str = "xtask/dashboard";

/// What the scripts share with the tests.
const STAGE: &str = "crates/stockd/tests/dashboard/stage.mjs";

/// The names of the vendored files with their hashes, as `sha256sum` writes them.
const HASHES: &str = "xtask/dashboard/vendor.sha256";

/// All files that a page loads together, compressed one by one as they are served.
const GZIPPED_BYTES_MAX: usize = 60 * 1024;

/// Programs that the pictures need, and their Debian packages.
const BROWSER: &[(&str, &str)] =
    &[("chromium", "chromium"), ("node", "nodejs"), ("npm", "npm"), ("pngquant", "pngquant")];

/// Fonts that the pictures are drawn with, as Debian packages.
const FONTS: &[&str] = &["fonts-inter", "fonts-droid-fallback"];

/// Checks the files; or, by the first argument, draws the pictures of docs/ or measures a page under load.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let dashboard = Dashboard { workspace };
    match arguments {
        [] => dashboard.check(),
        [what] if what == "pictures" => dashboard.draw(),
        [what, rest @ ..] if what == "measure" => dashboard.measure(rest),
        [other, ..] => {
            bail!("'{other}' is not possible; write pictures or measure, or nothing to check")
        }
    }
}

struct Dashboard<'a> {
    workspace: &'a Workspace,
}

impl Dashboard<'_> {
    fn check(&self) -> Result<()> {
        self.check_hashes()?;
        self.check_size()?;
        let room = self.install()?;
        let types = format!(
            "{{\"extends\":{:?},\"include\":[{:?},{:?},\"node_modules/uplot/dist/uPlot.d.ts\"]}}",
            self.workspace.absolute(TOOLS).join("tsconfig.json"),
            self.workspace.absolute(TOOLS).join("types.d.ts"),
            self.workspace.absolute(FOLDER).join("*.js"),
        );
        fs::write(room.join("tsconfig.json"), types)?;
        run_in(&room, "node_modules/.bin/tsc", &["--checkJs", "--project", "tsconfig.json"])?;
        // ESLint looks at files below its configuration.
        let copies = room.join("checked");
        if copies.exists() {
            fs::remove_dir_all(&copies)?;
        }
        fs::create_dir(&copies)?;
        for file in self.files().filter(|file| file.extension().is_some_and(|it| it == "js")) {
            let name = file.file_name().context("a file has a name")?;
            if file.parent() == Some(Path::new(FOLDER)) {
                fs::copy(self.workspace.absolute(file), copies.join(name))?;
            }
        }
        run_in(&room, "node_modules/.bin/eslint", &["--max-warnings", "0", "checked"])
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        self.workspace.files().iter().map(PathBuf::as_path).filter(|file| file.starts_with(FOLDER))
    }

    /// What others have written is as it was published.
    fn check_hashes(&self) -> Result<()> {
        let vendored = Path::new(FOLDER).join("vendor");
        let hashes = self.workspace.text(HASHES)?;
        let pinned = |name: &str| {
            hashes.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix("  "))
        };
        let mut checked = 0;
        for file in self.files().filter(|file| file.starts_with(&vendored)) {
            let name = file.file_name().and_then(|name| name.to_str()).context("no name")?;
            let bytes = fs::read(self.workspace.absolute(file))?;
            let hash: String =
                Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            ensure!(
                pinned(name) == Some(&*hash),
                "{} is not as {HASHES} has it: its SHA-256 is {hash}",
                file.display()
            );
            checked += 1;
        }
        ensure!(checked == hashes.lines().count(), "{HASHES} names files that are not there");
        println!("{checked} vendored files are as they were published");
        Ok(())
    }

    fn check_size(&self) -> Result<()> {
        let (mut plain, mut gzipped) = (0, 0);
        let is_loaded = |file: &&Path| file.extension().is_some_and(|it| it != "LICENSE");
        for file in self.files().filter(is_loaded) {
            let bytes = fs::read(self.workspace.absolute(file))?;
            plain += bytes.len();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes)?;
            gzipped += encoder.finish()?.len();
        }
        let kib = |bytes: usize| bytes as f64 / 1024.0;
        println!("the dashboard has {:.1} KiB, {:.1} KiB gzipped", kib(plain), kib(gzipped));
        ensure!(
            gzipped <= GZIPPED_BYTES_MAX,
            "{:.2} KiB are more than {:.0}",
            kib(gzipped),
            kib(GZIPPED_BYTES_MAX)
        );
        Ok(())
    }

    /// Installs the tools where their list has changed. Returns where they are.
    fn install(&self) -> Result<PathBuf> {
        packages::install(&[("node", "nodejs"), ("npm", "npm")])?;
        let room = self.workspace.absolute("target/dashboard");
        fs::create_dir_all(&room)?;
        let tools = self.workspace.absolute(TOOLS);
        let list = fs::read(tools.join("package.json"))?;
        let installed = room.join("installed.json");
        for script in fs::read_dir(&tools)? {
            let script = script?;
            fs::copy(script.path(), room.join(script.file_name()))?;
        }
        fs::copy(self.workspace.absolute(STAGE), room.join("stage.mjs"))?;
        if fs::read(&installed).is_ok_and(|before| before == list) {
            return Ok(room);
        }
        let flags = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
        run_in(&room, "npm", &[&["install"], &flags[..]].concat())?;
        fs::write(installed, list)?;
        Ok(room)
    }

    fn draw(&self) -> Result<()> {
        packages::install(BROWSER)?;
        packages::install_packages(FONTS)?;
        let room = self.install()?;
        let pictures = self.workspace.absolute("docs/dashboard");
        fs::create_dir_all(&pictures)?;
        self.script(&room, "pictures.mjs", &[pictures.to_str().context("no UTF-8")?])?;
        for picture in fs::read_dir(&pictures)? {
            let picture = picture?.path();
            let name = picture.to_str().context("no UTF-8")?;
            let flags = ["--force", "--ext", ".png", "--strip", "--speed", "1", "128"];
            run_in(&room, "pngquant", &[&flags[..], &[name]].concat())?;
        }
        Ok(())
    }

    fn measure(&self, arguments: &[String]) -> Result<()> {
        packages::install(&BROWSER[..3])?;
        let room = self.install()?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.script(&room, "measure.mjs", &arguments)
    }

    /// Runs a script with the release binary.
    fn script(&self, room: &Path, script: &str, arguments: &[&str]) -> Result<()> {
        let binary = build::release_binary(self.workspace)?;
        let mut command = Command::new("node");
        command.arg(script).args(arguments).current_dir(room).env("STOCKD_BINARY", binary);
        let status = command.stdin(Stdio::null()).status().context("cannot run node")?;
        ensure!(status.success(), "{script}: {status}");
        Ok(())
    }
}

fn run_in(room: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    println!("$ {program} {}", arguments.join(" "));
    let program = if program.contains('/') { room.join(program) } else { program.into() };
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(room).stdin(Stdio::null());
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}
