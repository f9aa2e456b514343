//! The same bytes to stockd and to Redis: what comes back is the same, but for what docs/resp.md tells.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::packages;
use crate::server::{PATIENCE, Server, run};

/// A Redis that keeps nothing. Killed when it is dropped.
struct Redis {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Redis {
    /// Starts one on a port that was free just before: Redis cannot choose it. If another process was quicker
    /// the next one is tried.
    fn start() -> Redis {
        loop {
            let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let directory = tempfile::tempdir().unwrap();
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
            command.arg(port.to_string()).arg("--dir").arg(directory.path());
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let mut redis = Redis { child, port, _directory: directory };
            if redis.is_ready() {
                return redis;
            }
        }
    }

    fn is_ready(&mut self) -> bool {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            assert!(began.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::yield_now();
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn stockd_answers_as_redis_does() {
    if !packages::have("redis-server", "redis-server") || !packages::have("python3", "python3") {
        return;
    }
    let (server, redis) = (Server::start(), Redis::start());
    let here = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new("python3");
    command.arg(format!("{here}/tests/redis_clients/differential.py"));
    command.arg(server.resp.rsplit(':').next().unwrap()).arg(redis.port.to_string());
    command.arg(format!("{here}/../../docs/resp.md"));
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
}
