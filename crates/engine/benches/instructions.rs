//! How many instructions one lookup, one line request and one update take, under valgrind: the same
//! number in every run, whatever else the machine is doing. 10 thousand stocks are listed.
//!
//! ```console
//! $ cargo install gungraun-runner --version 0.20.0
//! $ cargo bench -p stockd-engine --bench instructions
//! ```

#![allow(missing_docs, reason = "the macros make items that cannot have any")]

use std::hint::black_box;
use std::sync::Arc;

use gungraun::{library_benchmark, library_benchmark_group, main};
use stockd_catalog::{Catalog, Options};
use stockd_engine::{Engine, Executor};
use stockd_model::{Fields, Reply, Request, Symbol, Volume};
use stockd_wire::line::{self, LineDecoder};

fn listed() -> Executor {
    let options = Options { hash_seed: Some(0), ..Options::default() };
    let mut executor = Arc::new(Engine::new(Catalog::with_options(options))).executor();
    let mut batch = executor.batch();
    for stock in 0..10_000 {
        let symbol: Symbol = format!("S{stock}").parse().expect("a symbol");
        batch.execute(&Request::Set(symbol, fields("172.5")));
    }
    drop(batch);
    executor
}

fn fields(price: &str) -> Fields {
    Fields { price: price.parse().ok(), volume: Some(Volume::new(100)), status: None }
}

fn lookup() -> (Executor, Request) {
    (listed(), Request::Lookup(Symbol::parse(b"S4711")))
}

/// A connection that has asked before: what is done once in a process is not counted.
fn line_request() -> (Executor, LineDecoder, Vec<u8>) {
    let connection = (listed(), LineDecoder::new(), Vec::with_capacity(64));
    let (executor, decoder, mut out) = answer_line(connection);
    out.clear();
    (executor, decoder, out)
}

#[inline(always)]
fn answer_line(
    (mut executor, mut decoder, mut out): (Executor, LineDecoder, Vec<u8>),
) -> (Executor, LineDecoder, Vec<u8>) {
    let mut batch = executor.batch();
    if let Ok(Some(decoded)) = decoder.decode(black_box(b"S4711\n")) {
        let reply = batch.execute(&decoded.request);
        line::encode(&reply, decoder.framing(), &mut out);
    }
    drop(batch);
    assert_eq!(out, b"172.5\n");
    (executor, decoder, out)
}

fn update() -> (Executor, Request) {
    (listed(), Request::Set("S4711".parse().expect("a symbol"), fields("173.25")))
}

#[library_benchmark]
#[bench::listed(lookup())]
fn one_lookup((mut executor, request): (Executor, Request)) -> (Executor, Reply) {
    let reply = executor.batch().execute(black_box(&request));
    (executor, reply)
}

#[library_benchmark]
#[bench::listed(line_request())]
fn one_line_request(
    connection: (Executor, LineDecoder, Vec<u8>),
) -> (Executor, LineDecoder, Vec<u8>) {
    answer_line(connection)
}

#[library_benchmark]
#[bench::listed(update())]
fn one_update((mut executor, request): (Executor, Request)) -> (Executor, Reply) {
    let reply = executor.batch().execute(black_box(&request));
    (executor, reply)
}

library_benchmark_group!(
    name = instructions,
    benchmarks = [one_lookup, one_line_request, one_update]
);
main!(library_benchmark_groups = instructions);
