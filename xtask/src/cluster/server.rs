//! A NATS server with JetStream: its configuration and its process.
//!
//! Invariant: the process has ended when this is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use super::place::Place;

/// One of the servers of a cluster.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) place: Place,
    /// Where clients come.
    pub(super) port: u16,
    program: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

/// How a server is made.
#[derive(Clone, Debug)]
pub(super) struct Setup<'a> {
    pub(super) program: &'a Path,
    /// For its configuration and its log.
    pub(super) directory: &'a Path,
    pub(super) name: &'a str,
    pub(super) place: Place,
    pub(super) port: u16,
    /// Where it keeps streams.
    pub(super) store: &'a Path,
    /// Where the servers find each other; its own first.
    pub(super) routes: &'a [(Place, u16)],
}

impl Server {
    /// Writes its configuration.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Server> {
        let Setup { program, directory, name, place, port, store, routes } = setup;
        let url = |(place, port): &(Place, u16)| format!("nats://{}", place.address(*port));
        let mut text = format!(
            "server_name: {name}\nlisten: \"{}\"\n\
             jetstream {{ store_dir: {store:?}, sync_interval: always, max_file_store: 100GB }}\n\
             max_payload: 1MB\nping_interval: \"5s\"\nping_max: 2\n",
            place.address(*port)
        );
        if let [own, ..] = routes {
            let urls: Vec<String> = routes.iter().map(url).collect();
            text += &format!(
                "cluster {{ name: stockd, listen: \"{}\", routes: [{}] }}\n",
                own.0.address(own.1),
                urls.join(", ")
            );
        }
        let configuration = directory.join(format!("{name}.conf"));
        fs::write(&configuration, text)?;
        Ok(Server {
            name: (*name).to_owned(),
            place: place.clone(),
            port: *port,
            program: program.to_path_buf(),
            configuration,
            log: directory.join(format!("{name}.log")),
            process: None,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.place.address(self.port))
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.place.command(&self.program);
        command.arg("-c").arg(&self.configuration);
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().context("cannot start nats-server")?);
        Ok(())
    }

    /// Ends it without a warning.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(super) fn process(&self) -> Option<&Child> {
        self.process.as_ref()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
