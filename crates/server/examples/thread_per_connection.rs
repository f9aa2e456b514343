//! A blocking server with a thread for each connection and a map behind a lock: simple, and what many
//! would write first. To compare with.
//!
//! ```console
//! $ cargo run --profile dist -p stockd-server --example thread_per_connection -- 127.0.0.1:7777 stocks.csv
//! ```
//!
//! Speaks the line protocol. The file has a header and rows of symbol, price and volume without
//! quotes.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

type Catalog = RwLock<HashMap<Vec<u8>, String>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(stocks)) = (arguments.next(), arguments.next()) else {
        return Err("usage: thread_per_connection ADDRESS STOCKS.csv".into());
    };
    let catalog = Arc::new(RwLock::new(read(&fs::read_to_string(stocks)?)));
    let listener = TcpListener::bind(address)?;
    for stream in listener.incoming() {
        let (stream, catalog) = (stream?, Arc::clone(&catalog));
        // A client that is gone ends its thread and nothing else.
        thread::spawn(move || serve(&stream, &catalog));
    }
    Ok(())
}

fn read(text: &str) -> HashMap<Vec<u8>, String> {
    let row = |line: &str| {
        let mut fields = line.split(',');
        let (symbol, price, volume) = (fields.next()?, fields.next()?, fields.next()?);
        let price = if volume == "0" { "0" } else { price };
        Some((symbol.as_bytes().to_vec(), price.to_owned()))
    };
    text.lines().skip(1).filter_map(row).collect()
}

fn serve(stream: &TcpStream, catalog: &Catalog) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut requests, mut replies) = (BufReader::new(stream), BufWriter::new(stream));
    let mut line = Vec::new();
    while requests.read_until(b'\n', &mut line)? > 0 {
        {
            let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
            let price = catalog.get(line.trim_ascii()).map_or("-1", String::as_str);
            writeln!(replies, "{price}")?;
        }
        line.clear();
        // Replies to what came together leave together.
        if requests.buffer().is_empty() {
            replies.flush()?;
        }
    }
    replies.flush()
}
