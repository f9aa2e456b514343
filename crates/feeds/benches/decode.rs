//! What it costs to decode a feed and to apply it to the last values of its stocks, one core.
//!
//! ```console
//! $ cargo bench -p stockd-feeds --bench decode
//! ```
//!
//! The feeds are made here: ITCH of orders that are added, executed and deleted, as most of a day is; and DBN of trades,
//! as a stream and as a file.

#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use stockd_feeds::{AlpacaFeed, DbnFeed, Decode, ItchFile, Market, Rules, Step};

/// Messages of one feed.
const MESSAGES: usize = 200_000;

/// Stocks that they are of.
const STOCKS: u16 = 5000;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

fn stock(number: u16) -> [u8; 8] {
    let mut name = [b' '; 8];
    let text = format!("S{number}");
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

fn itch_message(out: &mut Vec<u8>, kind: u8, locate: u16, body: &[u8]) {
    let bytes = 11 + body.len();
    out.extend_from_slice(&(bytes as u16).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(&locate.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&34_200_000_000_000_u64.to_be_bytes()[2..]);
    out.extend_from_slice(body);
}

/// Of ten messages four add an order, four delete one, one executes one and one replaces one.
fn itch() -> Vec<u8> {
    let mut out = Vec::new();
    for locate in 1..=STOCKS {
        let mut directory = [&stock(locate)[..], &[b' '; 20]].concat();
        directory[18] = b'P';
        itch_message(&mut out, b'R', locate, &directory);
    }
    let mut order = 0_u64;
    for number in 0..MESSAGES - usize::from(STOCKS) {
        let locate = 1 + (number as u64 * 7919 % u64::from(STOCKS)) as u16;
        let earlier = order.saturating_sub(3).to_be_bytes();
        match number % 10 {
            0 | 2 | 5 | 7 => {
                order += 1;
                let body = [
                    &order.to_be_bytes()[..],
                    b"B",
                    &100_u32.to_be_bytes(),
                    &stock(locate),
                    &1_725_000_u32.to_be_bytes(),
                ];
                itch_message(&mut out, b'A', locate, &body.concat());
            }
            3 => {
                let body = [&earlier[..], &10_u32.to_be_bytes(), &(number as u64).to_be_bytes()];
                itch_message(&mut out, b'E', locate, &body.concat());
            }
            8 => {
                order += 1;
                let new = order.to_be_bytes();
                let rest = [50_u32.to_be_bytes(), 1_725_100_u32.to_be_bytes()].concat();
                itch_message(&mut out, b'U', locate, &[&earlier[..], &new, &rest].concat());
            }
            _ => itch_message(&mut out, b'D', locate, &earlier),
        }
    }
    out
}

fn dbn_header(length: usize, kind: u8, id: u32) -> Vec<u8> {
    let mut header = vec![(length / 4) as u8, kind, 1, 0];
    header.extend_from_slice(&id.to_le_bytes());
    header.extend_from_slice(&1_709_908_200_000_000_000_u64.to_le_bytes());
    header
}

/// As a vendor's file of a day is: metadata with the mappings of ids, then trades.
fn dbn_file() -> Vec<u8> {
    let text = |text: &str, bytes: usize| {
        let mut text = text.as_bytes().to_vec();
        text.resize(bytes, 0);
        text
    };
    let mut metadata = text("XNAS.ITCH", 16);
    metadata.extend(4_u16.to_le_bytes());
    metadata.extend([0; 24]);
    // Raw symbols in, ids out, and no time of sending.
    metadata.extend([1, 0, 0]);
    metadata.extend(71_u16.to_le_bytes());
    metadata.extend([0; 53]);
    // No layout, no symbols, none in part, none not found.
    metadata.extend([0; 16]);
    metadata.extend(u32::from(STOCKS).to_le_bytes());
    for id in 1..=STOCKS {
        metadata.extend(text(&format!("S{id}"), 71));
        for number in [1_u32, 20_240_308, 20_240_309] {
            metadata.extend(number.to_le_bytes());
        }
        metadata.extend(text(&id.to_string(), 71));
    }
    let mut out = b"DBN\x03".to_vec();
    out.extend((metadata.len() as u32).to_le_bytes());
    out.extend(metadata);
    dbn_trades(&mut out, MESSAGES);
    out
}

/// As a stream comes: the mappings of ids, then trades.
fn dbn() -> Vec<u8> {
    let mut out = Vec::new();
    for id in 1..=u32::from(STOCKS) {
        let mut mapping = dbn_header(176, 0x16, id);
        let name = format!("S{id}");
        for _ in 0..2 {
            mapping.push(0);
            let mut symbol = name.clone().into_bytes();
            symbol.resize(71, 0);
            mapping.extend(symbol);
        }
        mapping.extend([0; 16]);
        out.extend(mapping);
    }
    dbn_trades(&mut out, MESSAGES - usize::from(STOCKS));
    out
}

fn dbn_trades(out: &mut Vec<u8>, count: usize) {
    for number in 0..count {
        let id = 1 + (number as u64 * 7919 % u64::from(STOCKS)) as u32;
        let mut trade = dbn_header(48, 0, id);
        trade.extend_from_slice(&(172_500_000_000 + number as i64 * 1000).to_le_bytes());
        trade.extend_from_slice(&100_u32.to_le_bytes());
        trade.extend_from_slice(b"TA\0\0");
        trade.extend_from_slice(&(1_709_908_200_000_000_000 + number as u64).to_le_bytes());
        trade.extend_from_slice(&[0; 8]);
        out.extend(trade);
    }
}

fn alpaca() -> Vec<u8> {
    let trade = |number: usize| {
        let stock = number * 7919 % usize::from(STOCKS);
        format!(
            r#"[{{"T":"t","i":{number},"S":"S{stock}","x":"V","p":172.{},"s":100,"t":"2021-02-22T15:51:44.{number:09}Z","c":["@"],"z":"C"}}]"#,
            number % 100
        ) + "\n"
    };
    (0..MESSAGES).map(trade).collect::<String>().into_bytes()
}

/// Decodes all, and lets the changed stocks be taken now and then, as a writer does.
fn decode(feed: &mut dyn Decode, bytes: &[u8]) -> u64 {
    let mut market = Market::new(Rules::default());
    for read in bytes.chunks(READ_BYTES) {
        feed.fill(read);
        while matches!(feed.step(&mut market).expect("it is well formed"), Step::Took(_)) {}
        market.release();
        market.take_changed(usize::MAX, |_| {});
    }
    let counts = market.counts();
    assert!(counts.trades as usize > MESSAGES / 20, "{counts:?}");
    counts.records
}

type MakeFeed = fn() -> Box<dyn Decode>;

fn benchmarks(criterion: &mut Criterion) {
    let feeds: [(&str, Vec<u8>, MakeFeed); 4] = [
        ("itch", itch(), || Box::new(ItchFile::new(None))),
        ("dbn", dbn(), || Box::new(DbnFeed::new())),
        ("dbn-file", dbn_file(), || Box::new(DbnFeed::new())),
        ("alpaca", alpaca(), || Box::new(AlpacaFeed::new())),
    ];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(MESSAGES as u64)).sample_size(20);
    for (name, bytes, make) in &feeds {
        group.bench_function(*name, |bencher| {
            bencher.iter_batched(
                make,
                |mut feed| assert_eq!(decode(&mut *feed, bytes) as usize, MESSAGES),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, benchmarks);
criterion_main!(benches);
