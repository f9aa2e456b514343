//! What decoding a lookup and encoding its reply costs, one at a time and as parts of `MGET`.
//!
//! ```console
//! $ cargo bench -p stockd-wire --bench resp
//! ```
//!
//! The engine is left out: every lookup finds the same quote.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stockd_model::{Quote, Reply, Volume};
use stockd_wire::line::{self, LineDecoder};
use stockd_wire::resp::{Command, Decoder, Encoder, Incoming};

/// Lookups in one input, as if pipelined.
const LOOKUPS: usize = 256;

fn symbols() -> impl Iterator<Item = String> {
    (0..LOOKUPS).map(|n| "ABCDEFGH"[..1 + n % 5].to_owned())
}

fn pipelined_get() -> Vec<u8> {
    let get = |symbol: String| format!("*2\r\n$3\r\nGET\r\n${}\r\n{symbol}\r\n", symbol.len());
    symbols().map(get).collect::<String>().into_bytes()
}

fn mget() -> Vec<u8> {
    let part = |symbol: String| format!("${}\r\n{symbol}\r\n", symbol.len());
    let parts: String = symbols().map(part).collect();
    format!("*{}\r\n$4\r\nMGET\r\n{parts}", LOOKUPS + 1).into_bytes()
}

/// Not the form that is recognised at a glance.
fn pipelined_hgetall() -> Vec<u8> {
    let get = |symbol: String| format!("*2\r\n$7\r\nHGETALL\r\n${}\r\n{symbol}\r\n", symbol.len());
    symbols().map(get).collect::<String>().into_bytes()
}

fn lookups(c: &mut Criterion) {
    let quote = Quote {
        price: "172.5".parse().ok(),
        volume: Some(Volume::new(1000)),
        version: 17,
        updated_ns: 1_790_000_000_000_000_000,
        ..Quote::new("AAPL".parse().expect("a symbol"))
    };
    let (reply, answer) = (Reply::Found(quote), quote.answer());
    let mut group = c.benchmark_group("resp");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    for (name, input) in
        [("get", pipelined_get()), ("mget", mget()), ("hgetall", pipelined_hgetall())]
    {
        let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
        let mut out = Vec::with_capacity(256 * 1024);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut rest = black_box(input.as_slice());
                loop {
                    decoder.lookups(&mut rest, LOOKUPS, |symbol| {
                        let _ = black_box(symbol);
                        encoder.answer(black_box(answer), &mut out);
                    });
                    let Ok(Some(incoming)) = decoder.decode(&mut rest) else { break };
                    match incoming {
                        Incoming::Request(request, shape) => {
                            black_box(&request);
                            encoder.reply(black_box(&reply), &shape, &mut out);
                        }
                        Incoming::Command(Command::Array(elements)) => {
                            encoder.array(elements, &mut out);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                out.len()
            });
        });
    }
    group.bench_function("line, for comparison", |bencher| {
        let input: String = symbols().map(|symbol| symbol + "\n").collect();
        let mut decoder = LineDecoder::new();
        let mut out = Vec::with_capacity(256 * 1024);
        bencher.iter(|| {
            out.clear();
            let mut rest = black_box(input.as_bytes());
            while let Ok(Some(name)) = decoder.decode(&mut rest) {
                let _ = black_box(name);
                line::encode(black_box(answer), decoder.framing(), &mut out);
            }
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
