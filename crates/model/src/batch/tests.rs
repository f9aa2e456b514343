use proptest::prelude::*;

use super::*;
use crate::{Edit, Fields, Price, Shares, Status, Symbol, Volume};

fn symbols() -> impl Strategy<Value = Symbol> {
    prop_oneof!["[A-Z]{1,5}", "[a-z]{40,48}", Just("牛来USDT".to_owned())]
        .prop_map(|name| name.parse().unwrap())
}

fn prices() -> impl Strategy<Value = Price> {
    (any::<i64>(), 0..=18_u8)
        .prop_filter_map("a price", |(digits, places)| Price::new(digits, places))
}

fn volumes() -> impl Strategy<Value = Volume> {
    (any::<u64>(), 0..=18_u8)
        .prop_filter_map("a volume", |(digits, places)| Volume::with_places(digits, places))
}

fn edits<T: Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Edit<T>> {
    prop_oneof![Just(Edit::Keep), Just(Edit::Clear), values.prop_map(Edit::Set)]
}

fn fields() -> impl Strategy<Value = Fields> {
    let status = prop_oneof![Just(None), Just(Some(Status::Trading)), Just(Some(Status::Halted))];
    let four = (edits(prices()), edits(volumes()), edits(prices()), edits(prices()));
    let rest = (edits(volumes()), edits(volumes()), status, edits(any::<u64>()));
    (four, rest).prop_map(|((price, volume, bid, ask), (bid_size, ask_size, status, time_ns))| {
        // A batch does not carry feeds.
        let feed = Edit::Keep;
        Fields { price, volume, bid, ask, bid_size, ask_size, status, time_ns, feed }
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let shares = (any::<bool>(), volumes())
        .prop_map(|(adds, volume)| if adds { Shares::Add(volume) } else { Shares::Take(volume) });
    prop_oneof![
        (symbols(), fields()).prop_map(|(symbol, fields)| Request::Set(symbol, fields)),
        (symbols(), fields()).prop_map(|(symbol, fields)| Request::Update(symbol, fields)),
        (symbols(), fields()).prop_map(|(symbol, fields)| Request::Clear(symbol, fields)),
        (symbols(), shares).prop_map(|(symbol, shares)| Request::Trade(symbol, shares)),
        symbols().prop_map(Request::Delist),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Always),
        Just(Condition::Listed),
        Just(Condition::Unlisted),
        any::<u64>().prop_map(Condition::Version),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let one = (conditions(), requests())
        .prop_map(|(condition, request)| Command::One(Conditional { condition, request }));
    let watched = prop::collection::vec((symbols(), conditions()), 0..4);
    let together = (watched, prop::collection::vec(requests(), 0..4))
        .prop_map(|(watched, requests)| Command::Together(watched, requests));
    prop::collection::vec(prop_oneof![4 => one, 1 => together], 1..8)
}

fn head(kind: Kind) -> Head {
    Head {
        kind,
        count: 0,
        session: 0x0102_0304_0506_0708,
        number: 0x1112_1314_1516_1718,
        time_ns: 0x2122_2324_2526_2728,
        seen: Seen { sequence: 0x3132_3334_3536_3738, chain: 0x4142_4344_4546_4748 },
    }
}

fn message(commands: &[Command]) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for command in commands {
        match command {
            Command::One(asked) => writer.push(asked).unwrap(),
            Command::Together(watched, requests) => {
                writer.push_together(watched, requests).unwrap();
            }
        }
    }
    writer.finish(&head(Kind::Batch))
}

/// Encodes what was decoded.
fn again(head: &Head, body: &Body) -> Vec<u8> {
    match body {
        Body::Commands(commands) => {
            let mut bytes = message(commands);
            write_head(&mut bytes, head);
            bytes
        }
        body => plain(head, body),
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_a_cut_message_is_none(commands in commands()) {
        let bytes = message(&commands);
        let (head_read, body) = decode(&bytes).unwrap();
        prop_assert_eq!(head_read, Head { count: commands.len() as u16, ..head(Kind::Batch) });
        prop_assert_eq!(body, Body::Commands(commands));
        for end in 0..bytes.len() {
            prop_assert!(decode(&bytes[..end]).is_err(), "cut at {}", end);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(decode(&longer).is_err());
    }

    /// No two messages mean the same: else nodes could agree on the meaning and not on the chain.
    #[test]
    fn one_changed_byte_is_another_message_or_none(
        commands in commands(),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = message(&commands);
        let at = place.index(bytes.len());
        bytes[at] = value;
        if let Ok((head, body)) = decode(&bytes) {
            prop_assert_eq!(again(&head, &body), bytes);
        }
    }

    #[test]
    fn rubbish_is_refused(rubbish in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[FORMAT, 1, 1, 0, 0, 0, 0, 0][..], &[0; 40], &rubbish].concat();
        if let Ok((head, body)) = decode(&bytes) {
            prop_assert_eq!(again(&head, &body), bytes);
        }
        let _ = decode(&rubbish);
    }
}

#[test]
fn messages_without_commands_come_back() {
    for (kind, body) in [
        (Kind::Hello, Body::Nothing),
        (Kind::Tick, Body::Nothing),
        (Kind::Digest, Body::Digest { sequence: 4096, digest: u64::MAX }),
        (Kind::SnapshotDone, Body::Snapshot { sequence: 7 }),
        (Kind::Compare, Body::Nothing),
    ] {
        let bytes = plain(&head(kind), &body);
        assert_eq!(decode(&bytes), Ok((head(kind), body)));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn quotes_come_back() {
    let plain = Quote { version: 3, updated_ns: 4, ..Quote::new("A".parse().unwrap()) };
    let full = Quote {
        price: "-37.63".parse().ok(),
        volume: "0.25".parse().ok(),
        bid: "1e-18".parse().ok(),
        ask: Some(Price::MAX),
        bid_size: "18446744073709551615".parse().ok(),
        ask_size: "0".parse().ok(),
        status: Status::Halted,
        time_ns: Some(u64::MAX),
        ..plain
    };
    let mut bytes = Vec::new();
    [plain, full].iter().for_each(|quote| write_quote(&mut bytes, quote));
    let mut rest = bytes.as_slice();
    assert_eq!([read_quote(&mut rest), read_quote(&mut rest)], [Ok(plain), Ok(full)]);
    assert_eq!((rest, read_quote(&mut rest).is_err()), (&[][..], true));
    for end in 0..bytes.len() {
        let mut rest = &bytes[..end];
        assert!(read_quote(&mut rest).and_then(|_| read_quote(&mut rest)).is_err());
    }
}

#[test]
fn a_later_format_is_told_from_rubbish() {
    let mut bytes = plain(&head(Kind::Hello), &Body::Nothing);
    bytes[0] = FORMAT + 1;
    assert_eq!(decode(&bytes), Err(BatchError::Format(FORMAT + 1)));
    // What all formats have tells them from what somebody has published by mistake.
    for rubbish in
        [&bytes[..1], &bytes[..HEAD_BYTES - 1], &[FORMAT + 1; 100], &[b'{'; 100], b"GET / HTTP/1.1"]
    {
        assert!(matches!(decode(rubbish), Err(BatchError::Malformed { .. })), "{rubbish:?}");
    }
    bytes[0] = b' ';
    assert!(matches!(decode(&bytes), Err(BatchError::Malformed { .. })), "no format");
    bytes[0] = 0;
    assert!(matches!(decode(&bytes), Err(BatchError::Malformed { .. })));
}

#[test]
fn a_batch_has_its_bounds_and_lookups_need_no_room() {
    let delist = Conditional::from(Request::Delist("A".parse().unwrap()));
    let mut writer = BatchWriter::new();
    for _ in 0..BATCH_COMMANDS_MAX {
        writer.push(&delist).unwrap();
    }
    assert_eq!(writer.push(&delist), Err(BatchFull));
    writer.push(&Request::Lookup("A".parse()).into()).unwrap();
    let bytes = writer.finish(&head(Kind::Batch));
    assert_eq!(decode(&bytes).unwrap().0.count as usize, BATCH_COMMANDS_MAX);

    let long = "x".repeat(48).parse().unwrap();
    let mut writer = BatchWriter::new();
    let delistings = vec![Request::Delist(long); 6000];
    assert_eq!(writer.push_together(&[], &delistings), Err(BatchFull), "300,000 bytes");
    assert!(writer.is_empty());
    while writer.push_together(&[], &delistings[..1000]).is_ok() {}
    assert_eq!(writer.count(), 5);
    assert!(writer.finish(&head(Kind::Batch)).len() <= BATCH_BYTES_MAX);
}

/// The bytes that docs/cluster.md shows. A change of them needs a new format number.
#[test]
fn the_format_does_not_drift() {
    let symbol = "BRK/A".parse().unwrap();
    let fields = Fields {
        price: Edit::Set("743500.25".parse().unwrap()),
        volume: Edit::Clear,
        status: Some(Status::Halted),
        time_ns: Edit::Set(0x4142_4344_4546_4748),
        ..Fields::default()
    };
    let set =
        Conditional { condition: Condition::Version(7), request: Request::Set(symbol, fields) };
    let take = Request::Trade(symbol, "-0.5".parse().unwrap());
    let mut writer = BatchWriter::new();
    writer.push(&set).unwrap();
    writer.push_together(&[(symbol, Condition::Listed)], &[take]).unwrap();
    let bytes = writer.finish(&head(Kind::Batch));
    let lines = [
        "01 01 02 00 00 00 00 00",
        "08 07 06 05 04 03 02 01",
        "18 17 16 15 14 13 12 11",
        "28 27 26 25 24 23 22 21",
        "38 37 36 35 34 33 32 31",
        "48 47 46 45 44 43 42 41",
        "32 05 42 52 4b 2f 41",
        "07 00 00 00 00 00 00 00",
        "06 a0",
        "02 c9 7d 6e 04 00 00 00 00",
        "48 47 46 45 44 43 42 41",
        "07 01 00 01 00",
        "10 05 42 52 4b 2f 41",
        "05 05 42 52 4b 2f 41",
        "81 05 00 00 00 00 00 00 00",
    ];
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.join(" "), lines.join(" "));
    let docs = include_str!("../../../../docs/cluster.md");
    for line in lines {
        assert!(docs.contains(&format!("`{line}`")), "{line} is not in the docs");
    }
}
