//! A server to be loaded: stockd, or another one.
//!
//! It owns the process, which is killed when it is dropped.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Outcome, PATIENCE, run, stockd};

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) line: String,
    pub(crate) resp: String,
    /// Empty where there is none.
    #[cfg_attr(not(feature = "web"), allow(dead_code))]
    pub(crate) http: String,
}

impl Running {
    /// A `stockd serve` with both listeners of the data plane.
    pub(crate) fn stockd() -> Running {
        Running::stockd_with(&[])
    }

    pub(crate) fn stockd_with(args: &[&str]) -> Running {
        let mut command = stockd(&["serve", "--line", "127.0.0.1:0", "--resp", "127.0.0.1:0"]);
        command.args(["--log", "off"]).args(args).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address =
            |name: &str| lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
        let (line, resp) = (address("line ").unwrap(), address("resp ").unwrap());
        let http = match args.contains(&"--http") {
            true => address("http ").unwrap(),
            false => String::new(),
        };
        Running { child, line, resp, http }
    }

    /// A server of somebody else's that listens on this socket.
    pub(crate) fn other(command: &mut Command, socket: &Path) -> Running {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(socket).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            assert_eq!(child.try_wait().unwrap(), None, "{command:?} has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let address = format!("unix:{}", socket.display());
        Running { child, line: address.clone(), resp: address, http: String::new() }
    }

    /// Runs `stockd load` against it, with few connections and without a warm-up.
    pub(crate) fn load(&self, args: &[&str]) -> Outcome {
        load(&self.line, &self.resp, args)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `stockd load` against the server at these addresses.
pub(crate) fn load(line: &str, resp: &str, args: &[&str]) -> Outcome {
    let mut command = stockd(&["load", "--warmup", "0s", "--connections", "4"]);
    command.args(args).env("STOCKD_SERVER", line).env("STOCKD_RESP_SERVER", resp);
    run(command)
}
