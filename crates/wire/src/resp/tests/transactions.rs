//! Commands between `MULTI` and `EXEC`.

use super::*;
use stockd_model::limits::RESP_COMMAND_BYTES_MAX;

/// Commands of one connection and their replies.
type Transcript = &'static [(&'static str, &'static str)];

const TRANSCRIPTS: &[Transcript] = &[
    // Of every kind, those over many stocks and those without.
    &[
        ("MULTI", "+OK\r\n"),
        ("GET AAPL", "+QUEUED\r\n"),
        ("MGET AAPL XYZ SOLDOUT", "+QUEUED\r\n"),
        ("HINCRBY AAPL volume -5", "+QUEUED\r\n"),
        ("HMGET AAPL price volume", "+QUEUED\r\n"),
        ("DEL AAPL XYZ", "+QUEUED\r\n"),
        ("EXISTS AAPL IBM", "+QUEUED\r\n"),
        ("PING", "+QUEUED\r\n"),
        ("ECHO word", "+QUEUED\r\n"),
        ("UNWATCH", "+QUEUED\r\n"),
        (
            "EXEC",
            "*9\r\n$5\r\n172.5\r\n*3\r\n$5\r\n172.5\r\n$-1\r\n$1\r\n0\r\n:995\r\n*2\r\n$5\r\n172.5\r\n$3\r\n995\r\n:1\r\n:1\r\n+PONG\r\n$4\r\nword\r\n+OK\r\n",
        ),
        ("GET AAPL", "$-1\r\n"),
    ],
    // Nothing queued; nothing begun.
    &[
        ("MULTI", "+OK\r\n"),
        ("EXEC", "*0\r\n"),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
        ("MULTI", "+OK\r\n"),
        ("HSET AAPL price 1", "+QUEUED\r\n"),
        ("DISCARD", "+OK\r\n"),
        ("DISCARD", "-ERR DISCARD without MULTI\r\n"),
        ("GET AAPL", "$5\r\n172.5\r\n"),
    ],
    // What may not stand there but does no harm.
    &[
        ("MULTI", "+OK\r\n"),
        ("MULTI", "-ERR MULTI calls can not be nested\r\n"),
        ("WATCH AAPL", "-ERR WATCH inside MULTI is not allowed\r\n"),
        ("GET IBM", "+QUEUED\r\n"),
        ("EXEC", "*1\r\n$3\r\n159\r\n"),
    ],
    // An error when it is executed is the reply to that command.
    &[
        ("MULTI", "+OK\r\n"),
        ("HSET AAPL price much", "+QUEUED\r\n"),
        ("HINCRBY HALTED volume -1", "+QUEUED\r\n"),
        ("SET IBM 160", "+QUEUED\r\n"),
        (
            "EXEC",
            "*3\r\n-ERR 'much' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators\r\n-ERR stock 'HALTED' is halted; trades are refused until its status is trading\r\n+OK\r\n",
        ),
        ("GET IBM", "$3\r\n160\r\n"),
    ],
    // An error when it is queued is the end of all.
    &[
        ("MULTI", "+OK\r\n"),
        ("SET IBM 160", "+QUEUED\r\n"),
        ("NOSUCH a", "-ERR unknown command 'NOSUCH', with args beginning with: 'a'\r\n"),
        ("GET", "-ERR wrong number of arguments for 'get' command\r\n"),
        (
            "SUBSCRIBE AAPL",
            "-ERR Command not allowed inside a transaction: 'subscribe'; give it before MULTI or after EXEC\r\n",
        ),
        ("SET IBM 161", "+QUEUED\r\n"),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"),
        ("GET IBM", "$3\r\n159\r\n"),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
    ],
];

/// A transcript as a client sends it, and what it receives.
fn stream(transcript: Transcript, as_lines: bool) -> (Vec<u8>, String) {
    let sent = transcript.iter().flat_map(|(command, _)| match as_lines {
        true => format!("{command}\r\n").into_bytes(),
        false => words(command),
    });
    (sent.collect(), transcript.iter().map(|(_, reply)| *reply).collect())
}

#[test]
fn each_command_is_answered_as_it_comes() {
    for transcript in TRANSCRIPTS {
        let mut conversation = Conversation::new();
        for (command, expected) in *transcript {
            conversation.receive(&words(command));
            assert_eq!(conversation.read(), *expected, "{command}");
        }
    }
}

#[test]
fn cut_at_every_byte_it_is_the_same() {
    for transcript in TRANSCRIPTS {
        for as_lines in [false, true] {
            let (sent, expected) = stream(transcript, as_lines);
            for cut in 0..=sent.len() {
                let (head, tail) = sent.split_at(cut);
                assert_eq!(Conversation::replies([head, tail]), expected, "cut at {cut}");
            }
            assert_eq!(Conversation::replies(sent.chunks(1)), expected);
        }
    }
}

#[test]
fn browsing_and_what_concerns_connections_is_not_queued() {
    for command in [
        "SNAPSHOT",
        "SCAN 0",
        "KEYS *",
        "PSUBSCRIBE A*",
        "UNSUBSCRIBE",
        "HELLO 3",
        "AUTH secret",
        "CLIENT LIST",
        "INFO",
        "COMMAND",
        "CONFIG GET save",
    ] {
        let mut conversation = Conversation::new();
        conversation.receive(&words("MULTI"));
        conversation.receive(&words(command));
        conversation.receive(&words("EXEC"));
        let replies = conversation.read();
        assert!(replies.contains("not allowed inside a transaction"), "{command}: {replies}");
        assert!(replies.contains("-EXECABORT "), "{command}: {replies}");
    }
}

/// A command over any number of stocks has to be whole to be queued, so it has a limit there.
#[test]
fn a_command_too_long_to_be_queued_is_refused_and_skipped() {
    let names = RESP_COMMAND_BYTES_MAX / 7;
    let mget = format!("*{}\r\n$4\r\nMGET\r\n{}", 1 + names, "$1\r\nA\r\n".repeat(names));
    let pieces = [words("MULTI"), mget.into_bytes(), words("EXEC"), words("GET IBM")];
    let replies = Conversation::replies(pieces.concat().chunks(16 * 1024));
    let refused = format!("'mget' command is longer than {RESP_COMMAND_BYTES_MAX} bytes");
    assert!(replies.starts_with("+OK\r\n-ERR ") && replies.contains(&refused), "{replies}");
    assert!(replies.ends_with("errors.\r\n$3\r\n159\r\n"), "{replies}");
}
