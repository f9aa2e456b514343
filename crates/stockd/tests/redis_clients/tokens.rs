//! Client libraries that show tokens.

use std::path::Path;
use std::process::Command;

use crate::packages::Packages;
use crate::programs::port;
use crate::server::{Server, run, stockd};
use crate::{NODE_PACKAGES, PYTHON_PACKAGES};

/// A server with two users, and their tokens: one may read and write everything, one may read `US.*`.
fn guarded() -> (Server, [String; 2], tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let users = [("feed", "read = [\"*\"]\nwrite = [\"*\"]\n"), ("desk", "read = [\"US.*\"]\n")];
    let mut file = String::new();
    let tokens = users.map(|(user, rest)| {
        let (code, token, lines) = run(stockd(&["token", "new", user]));
        assert_eq!(code, Some(0), "{lines}");
        file += &(lines + rest);
        token.trim().to_owned()
    });
    let path = directory.path().join("access.toml");
    std::fs::write(&path, file).unwrap();
    // Whatever the umask is, nobody else may write it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let server = Server::start_with("127.0.0.1:0", &[("--access", path.to_str().unwrap())]);
    (server, tokens, directory)
}

fn is_well(packages: &Packages, script: &Path) {
    let (server, tokens, _directory) = guarded();
    let mut command = Command::new(&packages.program);
    command.arg(script).arg(port(&server)).args(&tokens);
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (Some(0), "all is well\n"), "{err}");
}

#[test]
fn redis_py_shows_tokens() {
    let Some(packages) = Packages::python(PYTHON_PACKAGES) else {
        return;
    };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_clients");
    is_well(&packages, &Path::new(directory).join("tokens.py"));
}

#[test]
fn node_redis_and_ioredis_show_tokens() {
    let Some(packages) = Packages::node(NODE_PACKAGES) else {
        return;
    };
    // Modules are looked for beside the script.
    let script = packages.directory.join("tokens.mjs");
    std::fs::write(&script, include_str!("tokens.mjs")).unwrap();
    is_well(&packages, &script);
}

#[test]
fn redis_cli_and_the_redis_crate_show_tokens() {
    use redis::TypedCommands;
    let (server, [feed, desk], _directory) = guarded();
    let cli = |user: &str, token: &str, args: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", port(&server), "--no-auth-warning", "--user", user, "-a", token]);
        command.args(args);
        run(command).1.trim_end().to_owned()
    };
    assert_eq!(cli("feed", &feed, &["HSET", "US.A", "price", "1.5"]), "1");
    assert_eq!(cli("feed", &feed, &["HSET", "EU.A", "price", "2.5"]), "1");
    assert_eq!(cli("desk", &desk, &["GET", "US.A"]), "1.5");
    assert_eq!(cli("desk", &desk, &["GET", "EU.A"]), "NOPERM no permission to read this stock");
    assert_eq!(cli("desk", &desk, &["KEYS", "*"]), "US.A");
    let open = |token: &str| {
        let client = redis::Client::open(format!("redis://:{token}@{}/", server.resp)).unwrap();
        client.get_connection()
    };
    assert_eq!(open(&desk).unwrap().get("US.A").unwrap().as_deref(), Some("1.5"));
    assert!(open(&desk).unwrap().get("EU.A").unwrap_err().to_string().contains("NoPerm"));
    assert!(open("stk_wrong").is_err());
}
