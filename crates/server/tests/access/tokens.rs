//! How clients show who they are, and what wrong tokens get.

use crate::stage::{Stage, token, user};

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

fn file() -> String {
    user("feed", &[1], "read = [\"*\"]\nwrite = [\"*\"]")
        + &user("ops", &[2], "rights = [\"admin\"]")
}

#[test]
fn a_token_is_shown_in_any_of_the_ways_of_redis() {
    let stage = Stage::new(&file());
    let (feed, ops) = (token(1), token(2));
    for shown in
        [format!("AUTH {feed}"), format!("AUTH feed {feed}"), format!("AUTH default {feed}")]
    {
        let mut client = stage.nobody();
        assert_eq!(client.ask_all(&format!("{shown}; ACL WHOAMI")), ["OK", "feed"]);
    }
    let mut client = stage.nobody();
    assert!(client.ask("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
    assert!(client.ask(&format!("HELLO 3 AUTH feed {feed} SETNAME me")).starts_with("{server "));
    assert_eq!(client.ask("CLIENT GETNAME"), "me");
    assert!(client.ask("HELLO 2").starts_with("[server "));
    // Another one takes its place; a wrong one does not.
    assert_eq!(client.ask(&format!("AUTH ops {ops}")), "OK");
    assert_eq!(client.ask(&format!("AUTH feed {ops}")), WRONG);
    assert_eq!(client.ask(&format!("HELLO 3 AUTH nobody {ops}")), WRONG);
    assert_eq!(client.ask("ACL WHOAMI"), "ops");
}

#[test]
fn wrong_tokens_are_counted_and_change_nothing() {
    let stage = Stage::new(&file());
    let mut client = stage.nobody();
    let long = "x".repeat(10_000);
    for wrong in ["?", "stk_", &token(3), &token(1)[..67], &long] {
        assert_eq!(client.ask(&format!("AUTH {wrong}")), WRONG);
        assert_eq!(client.ask("GET A"), "-NOAUTH Authentication required.");
    }
    assert_eq!(client.ask("AUTH"), "-ERR wrong number of arguments for 'auth' command");
    let metrics = stage.server.metrics();
    assert_eq!(metrics.refused_resp_credentials, 5);
    assert_eq!(metrics.refused_resp_unauthenticated, 5);
}

/// From the eleventh on a wrong token of one address is answered late. A right one is not, and neither
/// are others who are served; a server that stops does not wait.
#[test]
fn too_many_wrong_tokens_wait_and_nobody_else_does() {
    let stage = Stage::new(&file());
    stage.set("A", "1");
    let mut served = stage.client(1);
    let mut guessing = stage.nobody();
    for _ in 0..10 {
        assert_eq!(guessing.ask("AUTH ?"), WRONG);
    }
    let mut waiting: Vec<_> = (0..20).map(|_| stage.nobody()).collect();
    waiting.iter_mut().for_each(|client| client.give("AUTH ?"));
    // Every worker has come to them by now.
    while stage.server.metrics().refused_resp_credentials < 30 {
        std::thread::yield_now();
    }
    assert_eq!(served.ask("GET A"), "1");
    assert_eq!(stage.client(1).ask("GET A"), "1");
    assert_eq!(stage.server.shutdown().unflushed, 0);
    for client in &mut waiting {
        assert_eq!(client.next(), WRONG);
        assert!(client.is_at_end());
    }
}
