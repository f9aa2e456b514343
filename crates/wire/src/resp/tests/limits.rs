//! Limits: one below, at and one above, and what each costs in memory.

use super::*;
use stockd_model::limits::{
    CLIENT_NAME_BYTES_MAX, RESP_ARRAY_PARTS_MAX, RESP_BULK_BYTES_MAX, RESP_COMMAND_BYTES_MAX,
    RESP_COMMAND_PARTS_MAX, RESP_INLINE_BYTES_MAX,
};

const PONG: &str = "+PONG\r\n";

/// What is answered to these bytes and a `PING` behind them; the same whole and in pieces.
fn and_ping(bytes: &[u8]) -> String {
    let stream = [bytes, b"PING\r\n"].concat();
    let whole = Conversation::replies([stream.as_slice()]);
    assert_eq!(Conversation::replies(stream.chunks(4999)), whole);
    whole
}

#[test]
fn a_bulk_of_the_limit_is_taken_and_a_longer_one_closes() {
    let echoed = vec![b'A'; RESP_BULK_BYTES_MAX];
    let replies = and_ping(&array(&[b"ECHO", echoed.as_slice()]));
    assert_eq!(replies.len(), "$65536\r\n\r\n".len() + echoed.len() + PONG.len());
    let replies = and_ping(&array(&[b"ECHO", [echoed, b"A".to_vec()].concat().as_slice()]));
    assert_eq!(replies, "-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn an_array_of_the_limit_is_executed_part_by_part_without_being_kept() {
    let mut conversation = Conversation::new();
    let parts = RESP_ARRAY_PARTS_MAX;
    conversation.receive(format!("*{parts}\r\n$4\r\nMGET\r\n").as_bytes());
    assert_eq!(conversation.read(), format!("*{}\r\n", parts - 1));
    for _ in 1..parts {
        conversation.receive(b"$4\r\nAAPL\r\n$");
        assert!(conversation.input.len() <= 1);
        conversation.input.clear();
        assert_eq!(conversation.out, b"$5\r\n172.5\r\n");
        conversation.out.clear();
    }
    conversation.receive(b"PING\r\n");
    assert_eq!(conversation.read(), PONG);

    let replies = and_ping(format!("*{}\r\n", parts + 1).as_bytes());
    assert_eq!(replies, "-ERR Protocol error: invalid multibulk length\r\n");
}

#[test]
fn a_line_of_the_limit_is_taken_and_a_longer_one_closes() {
    let longest = format!("ECHO {}", "A".repeat(RESP_INLINE_BYTES_MAX - 5));
    let replies = and_ping(format!("{longest}\n").as_bytes());
    assert!(replies.starts_with("$65531\r\nAAA") && replies.ends_with(PONG));
    for too_long in [format!("{longest}A\n"), format!("{longest}A")] {
        let replies = and_ping(too_long.as_bytes());
        assert_eq!(replies, "-ERR Protocol error: too big inline request\r\n");
    }
}

#[test]
fn a_line_holds_no_memory_once_its_parts_are_taken() {
    let mut decoder = Decoder::new();
    let line = format!("MGET {}\n", "A ".repeat(30_000));
    let mut input = line.as_bytes();
    let mut commands = 0;
    while decoder.decode(&mut input).unwrap().is_some() {
        commands += 1;
    }
    assert_eq!(commands, 30_001);
    assert!(input.is_empty() && decoder.take_decoded().is_some());
    let fresh = Decoder::new();
    assert_eq!(format!("{decoder:?}"), format!("{fresh:?}"));
}

#[test]
fn a_whole_command_of_the_limits_is_taken_and_a_larger_one_refused_and_skipped() {
    let most = vec!["price"; RESP_COMMAND_PARTS_MAX - 2];
    let replies = and_ping(&array(&[&["HMGET", "AAPL"], most.as_slice()].concat()));
    assert!(replies.starts_with("*126\r\n") && replies.ends_with(PONG));

    let replies = and_ping(&array(&[&["HMGET", "AAPL", "price"], most.as_slice()].concat()));
    let error = "-ERR 'hmget' command has 129 parts, the limit is 128; send several\r\n";
    assert_eq!(replies, [error, PONG].concat());

    // A transaction by itself has as many updates as one of several commands.
    let pairs = ["AAPL", "1"].repeat(1024);
    assert_eq!(
        and_ping(&array(&[&["MSET"], pairs.as_slice()].concat())),
        ["+OK\r\n", PONG].concat()
    );
    let pairs = ["AAPL", "1"].repeat(1025);
    let error = "-ERR 'mset' command has 2051 parts, the limit is 2049; send several\r\n";
    let replies = and_ping(&array(&[&["MSET"], pairs.as_slice()].concat()));
    assert_eq!(replies, [error, PONG].concat());

    let field = vec![b'A'; RESP_BULK_BYTES_MAX];
    let last = |bytes| {
        let head = array(&[b"HMGET".as_slice(), b"AAPL", &field, b""]).len() - b"$0\r\n\r\n".len();
        vec![b'A'; bytes - head - b"$65000\r\n\r\n".len()]
    };
    let longest = array(&[b"HMGET", b"AAPL".as_slice(), &field, &last(RESP_COMMAND_BYTES_MAX)]);
    assert_eq!(longest.len(), RESP_COMMAND_BYTES_MAX);
    assert_eq!(and_ping(&longest), "*2\r\n$-1\r\n$-1\r\n+PONG\r\n");
    let longer = array(&[b"HMGET", b"AAPL".as_slice(), &field, &last(RESP_COMMAND_BYTES_MAX + 1)]);
    let error = "-ERR 'hmget' command is longer than 131072 bytes, the limit\r\n";
    assert_eq!(and_ping(&longer), [error, PONG].concat());
}

#[test]
fn a_refused_command_is_skipped_as_it_comes() {
    let mut conversation = Conversation::new();
    conversation.receive(format!("*{RESP_ARRAY_PARTS_MAX}\r\n$3\r\nGET\r\n").as_bytes());
    assert_eq!(conversation.read(), "-ERR wrong number of arguments for 'get' command\r\n");
    for _ in 1..RESP_ARRAY_PARTS_MAX {
        conversation.receive(b"$4\r\nAAPL\r\n");
        assert!(conversation.input.is_empty() && conversation.out.is_empty());
        conversation.input = Vec::new();
    }
    conversation.receive(&words("PING"));
    assert_eq!(conversation.read(), PONG);
}

#[test]
fn an_unknown_command_is_refused_with_its_beginning_alone() {
    let long = "A".repeat(1000);
    let replies = and_ping(&array(&[&long, &long, &long]));
    let shown = "A".repeat(128);
    let error = format!("-ERR unknown command '{shown}', with args beginning with: '{shown}'\r\n");
    assert_eq!(replies, error + PONG);
    let many = vec!["AAPL"; 100_000];
    let replies = and_ping(&array(&many));
    assert!(replies.len() < 400 && replies.ends_with(PONG), "{replies}");
}

#[test]
fn names_of_clients_are_bounded_and_cannot_break_a_list() {
    let longest = "A".repeat(CLIENT_NAME_BYTES_MAX);
    assert_eq!(reply(&format!("CLIENT SETNAME {longest}")), "+OK\r\n");
    assert_eq!(
        reply(&format!("CLIENT SETNAME {longest}A")),
        "-ERR the client name is 513 bytes long, the limit is 512\r\n"
    );
    for name in ["a b", "a\nb", "é"] {
        assert_eq!(
            Conversation::replies([array(&["CLIENT", "SETNAME", name]).as_slice()]),
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
        );
    }
    assert_eq!(Conversation::replies([array(&["CLIENT", "SETNAME", ""]).as_slice()]), "+OK\r\n");
}

#[test]
fn what_is_no_resp_is_told_and_closed_after_the_replies_before_it() {
    for (bytes, error) in [
        (b"*1\r\n:1\r\n".as_slice(), "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*99999999999\r\n", "invalid multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n$4\r\nAAPLXX", "expected a line end after the bulk"),
        (b"GET \"AAPL\n", "unbalanced quotes in request"),
        (b"POST / HTTP/1.1\r\n", "this is an HTTP request, and not the port for it"),
    ] {
        let stream = [b"PING\r\n", bytes, b"PING\r\n"].concat();
        let expected = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
        for cut in 0..=stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(Conversation::replies([head, tail]), expected, "cut at {cut}");
        }
    }
}

#[test]
fn what_was_executed_before_a_protocol_error_stays() {
    let mut conversation = Conversation::new();
    conversation.receive(b"*3\r\n$3\r\nDEL\r\n$4\r\nAAPL\r\n:1\r\n");
    assert_eq!(conversation.read(), "-ERR Protocol error: expected '$', got ':'\r\n");
    assert!(conversation.closed && conversation.stocks.len() == 3);
}

#[test]
fn empty_arrays_and_blank_lines_are_nothing() {
    assert_eq!(and_ping(b"*0\r\n*-1\r\n\r\n\n  \r\n"), PONG);
}
