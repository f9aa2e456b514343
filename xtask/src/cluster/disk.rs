//! A disk whose power can fail: ext4 in a file, on a loop device.
//!
//! When the power fails, the file system takes nothing more, not even what its journal has in memory. What was not synced is
//! lost, as on a machine that goes dark. The disk is then mounted again, as at the start of that machine.
//!
//! Invariant: it is not mounted any more when this is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::network::run;
use crate::packages;

/// Bytes of a disk. The file has holes where nothing was written.
const BYTES: u64 = 2 << 30;

/// `EXT4_IOC_SHUTDOWN` without a flush of the journal. There is no safe call of it in Rust.
const POWER_FAILURE: &str = "import fcntl, os, struct, sys
at = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(at, 0x8004587D, struct.pack('I', 2))";

/// A disk.
#[derive(Debug)]
pub(super) struct Disk {
    image: PathBuf,
    /// Where it is mounted.
    pub(super) path: PathBuf,
}

impl Disk {
    /// Why there can be none here, if there cannot.
    pub(super) fn missing(directory: &Path) -> Option<String> {
        let programs = [("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("python3", "python3")];
        if let Err(error) = packages::install(&programs) {
            return Some(error.to_string());
        }
        let tried = Disk::new(directory, "try").and_then(|disk| disk.fail());
        tried.err().map(|error| format!("no disk whose power can fail: {error:#}"))
    }

    /// Makes one, and mounts it.
    pub(super) fn new(directory: &Path, name: &str) -> Result<Disk> {
        let image = directory.join(format!("{name}.ext4"));
        let path = directory.join(format!("{name}-disk"));
        File::create(&image)?.set_len(BYTES)?;
        fs::create_dir_all(&path)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let disk = Disk { image, path };
        disk.mount()?;
        Ok(disk)
    }

    /// Its power fails. Whatever writes to it is killed first, or stopped.
    pub(super) fn fail(&self) -> Result<()> {
        run(Command::new("python3").args(["-c", POWER_FAILURE]).arg(&self.path))
            .context("the power does not fail")
    }

    /// The power comes back. No process may have a file of it open.
    pub(super) fn recover(&self) -> Result<()> {
        run(Command::new("umount").arg(&self.path))?;
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not have ended yet.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}
