//! The checkout: where it is, its files, and cargo's view of it.
//!
//! Invariant: every path handed out or taken is relative to the root.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The checkout of stockd that this program was built from.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    /// Every file of the sources, sorted.
    files: Vec<PathBuf>,
}

impl Workspace {
    /// Lists the files of the checkout.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read.
    pub(crate) fn open() -> Result<Workspace> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in no workspace")?;
        let mut files = Vec::new();
        list_files(root, root, &mut files)?;
        files.sort();
        Ok(Workspace { root: root.to_owned(), files })
    }

    /// Every file of the sources, sorted. Build output and `.git` are not among them.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Every file with this extension.
    pub(crate) fn files_with(&self, extension: &'static str) -> impl Iterator<Item = &Path> {
        self.files
            .iter()
            .map(PathBuf::as_path)
            .filter(move |file| file.extension().is_some_and(|found| found == extension))
    }

    /// Whether this is a file or directory of the sources.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file.starts_with(path))
    }

    /// The absolute path of a file of the workspace.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        fs::read_to_string(self.absolute(path)).with_context(|| path.display().to_string())
    }

    /// A cargo command at the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        // As if it were typed: `cargo run` sets these for this program, and packages whose build scripts look at them would
        // be built again.
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
        command.env_remove("CARGO_MANIFEST_DIR");
        command
    }

    /// What `cargo metadata` says of the members of the workspace.
    ///
    /// # Errors
    ///
    /// When cargo fails or prints no JSON.
    pub(crate) fn metadata(&self) -> Result<Value> {
        let output = self
            .cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
    }
}

fn list_files(root: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let built = directory == root && name.to_string_lossy().starts_with("target");
        if built || name == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list_files(root, &path, files)?;
        } else {
            files.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}
