//! One list of scenarios, played over every way in, to a catalog in memory and to one on the disk:
//! they must all mean the same.

mod calls;
#[path = "../http/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the service plane")]
mod http;
mod library;
mod plane;
mod rest;
#[path = "../http/rpc.rs"]
mod rpc;
mod socket;
mod ways;
#[path = "../http/websocket.rs"]
#[allow(dead_code, reason = "shared with the tests of the service plane")]
mod websocket;

use ways::{Embedded, Home, Line, Outcome, Over, Resp, WayIn};

/// What is done, and what must come of it.
enum Step {
    /// List or update: symbol, price, volume, status; empty where it is not given.
    Set([&'static str; 4]),
    /// List or update: the symbol, and names of fields with their values.
    Give(&'static str, &'static [(&'static str, &'static str)]),
    /// The stock has these fields and no others that a writer gives.
    Has(&'static str, &'static [(&'static str, &'static str)]),
    Trade(&'static str, i64),
    /// The same with any decimal.
    TradePart(&'static str, &'static str),
    Delist(&'static str),
    /// Both of these trades as one. One that is refused does not keep the other from taking effect.
    TradeBoth([(&'static str, i64); 2]),
    /// The step before must have been refused, in these words.
    Refused(&'static str),
    /// Price, volume and status of the stock are these; empty where one is absent.
    Is(&'static str, [&'static str; 3]),
    /// A lookup of these bytes answers so.
    Answers(&'static [u8], &'static str),
}

use Step::{Answers, Delist, Give, Has, Is, Refused, Set, Trade, TradeBoth, TradePart};

const SCENARIOS: &[(&str, &[Step])] = &[
    (
        "prices print in the shortest exact form",
        &[
            Set(["AAPL", "172.50", "1", ""]),
            Answers(b"AAPL", "172.5"),
            Set(["BRK/A", "743500.00", "1", ""]),
            Answers(b"BRK/A", "743500"),
            Set(["TINY", "0.000000001", "1", ""]),
            Answers(b"TINY", "0.000000001"),
            Set(["HUGE", "9223372036854775807", "1", ""]),
            Answers(b"HUGE", "9223372036854775807"),
        ],
    ),
    (
        "prices of real markets are exact, whatever programs write for them",
        &[
            Set(["CL", "-37.63", "", ""]),
            Answers(b"CL", "-37.63"),
            Set(["PEPE", "0.000000000072377", "1e12", ""]),
            Answers(b"PEPE", "0.000000000072377"),
            Is("PEPE", ["0.000000000072377", "1000000000000", "trading"]),
            Set(["BTC-IRR", "1.9e+10", "0.25", ""]),
            Answers(b"BTC-IRR", "19000000000"),
            Set(["BRK/A", " 743500.000000001 ", "1000.0", ""]),
            Is("BRK/A", ["743500.000000001", "1000", "trading"]),
            Answers(b"BRK/A", "743500.000000001"),
            Set(["WEI", "1e-18", "1e-18", ""]),
            Is("WEI", ["0.000000000000000001", "0.000000000000000001", "trading"]),
            Answers(b"WEI", "0.000000000000000001"),
            Set(["SUM", "0.30000000000000004", "", ""]),
            Answers(b"SUM", "0.30000000000000004"),
            Set(["SUM", "-9223372036854775807", "", ""]),
            Answers(b"SUM", "-9223372036854775807"),
        ],
    ),
    (
        "no price is mistaken for an answer without one",
        &[
            Set(["ZERO", "0", "", ""]),
            Answers(b"ZERO", "0.0"),
            Is("ZERO", ["0", "", "trading"]),
            Set(["ZERO", "-1.00", "", ""]),
            Answers(b"ZERO", "-1.0"),
            Is("ZERO", ["-1", "", "trading"]),
            Set(["ZERO", "", "0", ""]),
            Answers(b"ZERO", "0"),
        ],
    ),
    (
        "what cannot be kept exactly is refused with the limit, and the whole write with it",
        &[
            Set(["LIMIT", "1", "1", ""]),
            Set(["LIMIT", "12345678901234567890", "2", ""]),
            Refused(
                "'12345678901234567890' has too many digits: without its point a price is at most 9223372036854775807",
            ),
            Set(["LIMIT", "2", "0.0000000000000000001", ""]),
            Refused("'0.0000000000000000001' has more than 18 decimal places, the limit"),
            Set(["LIMIT", "NaN", "", ""]),
            Refused("'NaN' is not a price"),
            Set(["LIMIT", "2", "-1", ""]),
            Refused("'-1' is not a volume"),
            Is("LIMIT", ["1", "1", "trading"]),
        ],
    ),
    (
        "a stock whose shares are not counted is answered, and not traded",
        &[
            Set(["EURUSD", "1.0834", "", ""]),
            Is("EURUSD", ["1.0834", "", "trading"]),
            Answers(b"EURUSD", "1.0834"),
            Trade("EURUSD", -1),
            Refused("stock 'EURUSD' has no volume"),
            Set(["EURUSD", "", "92621.807321", ""]),
            Trade("EURUSD", -92_621),
            Is("EURUSD", ["1.0834", "0.807321", "trading"]),
            Trade("EURUSD", -1),
            Refused("volume of 'EURUSD' is 0.807321, cannot take 1"),
            TradePart("EURUSD", "-0.807321"),
            Is("EURUSD", ["1.0834", "0", "trading"]),
            TradePart("EURUSD", "-1e-18"),
            Refused("volume of 'EURUSD' is 0, cannot take 0.000000000000000001"),
            TradePart("EURUSD", "0.000000000000000001"),
            TradePart("EURUSD", "18"),
            TradePart("EURUSD", "0.5"),
            Refused(
                "volume of 'EURUSD' is 18.000000000000000001, cannot add 0.5: without its point a volume is at most 18446744073709551615",
            ),
            Set(["EURUSD", "", "none", ""]),
            Is("EURUSD", ["1.0834", "", "trading"]),
            Set(["EURUSD", "", "", "halted"]),
            Answers(b"EURUSD", "0"),
        ],
    ),
    (
        "a quote has a bid and an ask, sizes and a time, each of which may be absent",
        &[
            Give("SPY", &[("bid", "722.99"), ("ask", "723.01")]),
            Has("SPY", &[("bid", "722.99"), ("ask", "723.01"), ("status", "trading")]),
            Answers(b"SPY", "0"),
            Give("SPY", &[("price", "723"), ("bid_size", "300"), ("ask_size", "0.5")]),
            Give("SPY", &[("time", "1790000000123456789"), ("bid", "none")]),
            Answers(b"SPY", "723"),
            Has(
                "SPY",
                &[
                    ("price", "723"),
                    ("ask", "723.01"),
                    ("bid_size", "300"),
                    ("ask_size", "0.5"),
                    ("status", "trading"),
                    ("time", "1790000000123456789"),
                ],
            ),
            Give("SPY", &[("price", "none"), ("ask", "none"), ("ask_size", "none")]),
            Give("SPY", &[("bid_size", "none"), ("time", "none"), ("status", "halted")]),
            Has("SPY", &[("status", "halted")]),
            Give("SPY", &[("bid", "$1"), ("price", "1")]),
            Refused("bid: '$1' is not a price"),
            Give("SPY", &[("time", "soon"), ("price", "1")]),
            Refused("'soon' is not a time"),
            Has("SPY", &[("status", "halted")]),
            Give("SPX", &[("bid_size", "1"), ("volume", "2"), ("time", "1")]),
            Refused("stock 'SPX' is not listed, and listing it needs a price, a bid"),
            Give("SPX", &[("status", "halted")]),
            Answers(b"SPX", "0"),
            Trade("SPX", -1),
            Refused("stock 'SPX' is halted"),
        ],
    ),
    (
        "a late update is refused whole, one of the same time counts, one without a time is not late",
        &[
            Give("TICK", &[("price", "1"), ("time", "1000")]),
            Give("TICK", &[("price", "2"), ("time", "999")]),
            Refused("the write of 'TICK' is late: its time is 999, and the stock is at 1000"),
            Has("TICK", &[("price", "1"), ("status", "trading"), ("time", "1000")]),
            Give("TICK", &[("price", "3"), ("time", "1000")]),
            Give("TICK", &[("price", "4")]),
            Has("TICK", &[("price", "4"), ("status", "trading"), ("time", "1000")]),
            Give("TICK", &[("price", "5"), ("time", "1970-01-01T00:00:00.000000999Z")]),
            Refused("is late"),
            Give("TICK", &[("time", "1001")]),
            Has("TICK", &[("price", "4"), ("status", "trading"), ("time", "1001")]),
            Delist("TICK"),
            Give("TICK", &[("price", "6"), ("time", "5")]),
            Answers(b"TICK", "6"),
        ],
    ),
    (
        "exhausted and halted stocks answer 0, unknown ones -1",
        &[
            Answers(b"NA", "-1"),
            Set(["NA", "5", "0", ""]),
            Answers(b"NA", "0"),
            Set(["NA", "", "3", ""]),
            Answers(b"NA", "5"),
            Set(["NA", "", "", "halted"]),
            Answers(b"NA", "0"),
            Set(["NA", "", "", "trading"]),
            Answers(b"NA", "5"),
            Answers(b"na", "-1"),
        ],
    ),
    (
        "names that no stock can have are not found",
        &[
            Answers(b"", "-1"),
            Answers(b"AAPL\xff", "-1"),
            Answers(b"AA\x07PL", "-1"),
            Answers(&[b'A'; 31], "-1"),
            Answers(&[b'A'; 49], "-1"),
            Answers("AA\u{200b}PL".as_bytes(), "-1"),
            Give("AA\u{202e}PL", &[("price", "1")]),
            Refused("the symbol has an invisible character, U+202E"),
            Answers(&[b'A'; 5000], "-1"),
        ],
    ),
    (
        "names are trimmed, may be long, and need not be ASCII",
        &[
            Set(["牛来USDT", "0.5", "1", ""]),
            Answers("牛来USDT".as_bytes(), "0.5"),
            Answers("  牛来USDT\t".as_bytes(), "0.5"),
            Set(["AAPL  260116C00200000", "3.25", "1", ""]),
            Answers(b"AAPL  260116C00200000", "3.25"),
            Answers(b"TRUE", "-1"),
            Set(["EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v", "1", "1", ""]),
            Answers(b" EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v", "1"),
            Answers(b"EPjFWdd5AufqSSqeM2qN1xzybapC8G", "-1"),
            Set(["EPjFWdd5AufqSSqeM2qN1xzybapC8G", "2", "1", ""]),
            Set(["EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1w", "3", "0", ""]),
            Answers(b"EPjFWdd5AufqSSqeM2qN1xzybapC8G", "2"),
            Answers(b"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1w", "0"),
            Answers(b"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v", "1"),
            Set(["123456789012345678901234567890123456789012345678", "-37.63", "", ""]),
            Is("123456789012345678901234567890123456789012345678", ["-37.63", "", "trading"]),
        ],
    ),
    (
        "a trade never takes more than is left, and a refused write changes nothing",
        &[
            Trade("X", -1),
            Refused("stock 'X' is not listed"),
            Set(["X", "", "5", ""]),
            Refused(
                "stock 'X' is not listed, and listing it needs a price, a bid, an ask or a status",
            ),
            Answers(b"X", "-1"),
            Set(["X", "7", "3", ""]),
            Trade("X", -5),
            Refused("volume of 'X' is 3, cannot take 5"),
            Answers(b"X", "7"),
            Trade("X", -3),
            Answers(b"X", "0"),
            Trade("X", -1),
            Refused("volume of 'X' is 0, cannot take 1"),
            Trade("X", 2),
            Answers(b"X", "7"),
            Set(["X", "", "18446744073709551615", ""]),
            Trade("X", 1),
            Refused("volume of 'X' is 18446744073709551615, cannot add 1"),
            Set(["X", "", "", "halted"]),
            Trade("X", -1),
            Refused("stock 'X' is halted"),
            Answers(b"X", "0"),
        ],
    ),
    (
        "two trades are one transaction, in which each is refused by itself",
        &[
            Set(["FROM", "1", "5", ""]),
            Set(["TO", "2", "0", ""]),
            TradeBoth([("FROM", -5), ("TO", 5)]),
            Answers(b"FROM", "0"),
            Answers(b"TO", "2"),
            TradeBoth([("FROM", -1), ("TO", -5)]),
            Refused("volume of 'FROM' is 0, cannot take 1"),
            Answers(b"TO", "0"),
        ],
    ),
    (
        "a stock delisted is unknown until it is listed again, and counts on",
        &[
            Set(["GONE", "1", "1", ""]),
            Set(["GONE", "2", "", ""]),
            Delist("GONE"),
            Answers(b"GONE", "-1"),
            Delist("GONE"),
            Set(["GONE", "3", "1", ""]),
            Answers(b"GONE", "3"),
        ],
    ),
];

fn play(way: &mut dyn WayIn) {
    for (scenario, steps) in SCENARIOS {
        let mut outcome: Outcome = Ok(());
        for (number, step) in steps.iter().enumerate() {
            let place = format!("{scenario}, step {number}");
            if let Refused(words) = step {
                let refusal = std::mem::replace(&mut outcome, Ok(())).unwrap_err();
                assert!(refusal.contains(words), "{place}: {refusal}");
                continue;
            }
            assert_eq!(outcome, Ok(()), "{place}: refused before it");
            outcome = match step {
                Set([symbol, price, volume, status]) => {
                    let mut fields =
                        vec![("price", *price), ("volume", volume), ("status", status)];
                    fields.retain(|(_, value)| !value.is_empty());
                    way.set(symbol, &fields)
                }
                Give(symbol, fields) => way.set(symbol, fields),
                Has(symbol, fields) => {
                    let owned =
                        |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
                    let expected: Vec<_> = fields.iter().map(owned).collect();
                    assert_eq!(way.fields(symbol), expected, "{place}: {symbol}");
                    Ok(())
                }
                Trade(symbol, shares) => way.trade(symbol, (*shares).into()),
                TradePart(symbol, shares) => way.trade(symbol, shares.parse().unwrap()),
                TradeBoth(trades) => way.trade_both(*trades),
                Delist(symbol) => way.delist(symbol),
                Is(symbol, fields) => {
                    let has = way.fields(symbol);
                    let value = |field: &str| has.iter().find(|(name, _)| name == field);
                    let text =
                        |field| value(field).map(|(_, text)| text.clone()).unwrap_or_default();
                    let found = ["price", "volume", "status"].map(text);
                    assert_eq!(found, *fields, "{place}: {symbol}");
                    Ok(())
                }
                Answers(name, answer) => {
                    assert_eq!(way.lookup(name), *answer, "{place}: {:?}", name.escape_ascii());
                    Ok(())
                }
                Refused(_) => unreachable!("handled above"),
            };
        }
        assert_eq!(outcome, Ok(()), "{scenario}: refused at its end");
    }
}

/// Plays over a way in to a catalog in memory, and to one on the disk.
fn play_at_both_homes<W: WayIn>(open: impl Fn(Home) -> W) {
    for home in [Home::Memory, Home::Disk] {
        play(&mut open(home));
    }
}

#[test]
fn embedded() {
    play_at_both_homes(Embedded::new);
}

#[test]
fn rest() {
    play_at_both_homes(rest::Rest::new);
}

#[test]
fn websocket() {
    play_at_both_homes(socket::Socket::new);
}

#[test]
fn grpc() {
    play_at_both_homes(calls::Calls::new);
}

#[test]
fn client_library() {
    play_at_both_homes(library::Library::new);
}

#[test]
fn line_protocol() {
    play_at_both_homes(|home| Line::new(Over::Tcp, home));
}

#[test]
fn line_protocol_over_unix_sockets() {
    play_at_both_homes(|home| Line::new(Over::Unix, home));
}

#[test]
fn resp2() {
    play_at_both_homes(|home| Resp::new(2, Over::Tcp, home));
}

#[test]
fn resp2_over_unix_sockets() {
    play_at_both_homes(|home| Resp::new(2, Over::Unix, home));
}

#[test]
fn resp3() {
    play_at_both_homes(|home| Resp::new(3, Over::Tcp, home));
}

#[test]
fn resp3_over_unix_sockets() {
    play_at_both_homes(|home| Resp::new(3, Over::Unix, home));
}

#[test]
fn line_protocol_over_tls() {
    play_at_both_homes(|home| Line::new(Over::Tls, home));
}

#[test]
fn resp2_over_tls() {
    play_at_both_homes(|home| Resp::new(2, Over::Tls, home));
}

#[test]
fn resp3_over_tls() {
    play_at_both_homes(|home| Resp::new(3, Over::Tls, home));
}
