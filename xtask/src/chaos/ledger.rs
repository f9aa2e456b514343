//! Writers who own stocks of their own and note what of their writes was acknowledged, and who all
//! buy the shares of a few stocks together, of which they know the sum.
//!
//! Invariant: a book is complete whenever its lock can be had: one write at a time is under way, and
//! its outcome is noted before the lock is released.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use stockd_witness::Random;

use crate::resp::{Dialogue, PATIENCE, Reply};

/// Writers.
const WRITERS: usize = 2;

/// Stocks that one writer alone changes.
const OWN: usize = 50;

/// Stocks that all of them buy.
const SHARED: usize = 3;

/// Shares of each shared stock at the start, more than are ever bought.
const ISSUED: u64 = 1_000_000_000;

/// The pause of a writer between two writes.
const PAUSE: Duration = Duration::from_millis(1);

/// What a writer notes.
#[derive(Debug)]
pub(super) struct Book {
    own: Vec<Own>,
    bought: [Bought; SHARED],
    /// Writes that were acknowledged.
    pub(super) acknowledged: u64,
    pub(super) complaints: Vec<String>,
}

/// One stock of a writer.
#[derive(Debug)]
struct Own {
    symbol: String,
    /// As it was after the latest write that was acknowledged.
    kept: State,
    /// As it may also be: a write had no answer when the connection ended.
    doubt: Option<State>,
}

/// Price and volume, in whole units.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    price: u64,
    volume: u64,
}

/// Shares bought of one shared stock.
#[derive(Clone, Copy, Debug, Default)]
struct Bought {
    acknowledged: u64,
    asked: u64,
}

/// Writers at work.
#[derive(Debug)]
pub(super) struct Ledger {
    books: Vec<Arc<Mutex<Book>>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What is to be in the catalog before the writers begin: lines of a catalog file.
pub(super) fn stocks() -> Vec<String> {
    let own = (0..WRITERS).flat_map(|writer| (0..OWN).map(move |stock| own_symbol(writer, stock)));
    let own = own.map(|symbol| format!("{symbol},1,1"));
    let shared = (0..SHARED).map(|stock| format!("{},1,{ISSUED}", shared_symbol(stock)));
    own.chain(shared).collect()
}

/// Every stock that writers change.
pub(super) fn symbols() -> Vec<String> {
    let symbol = |line: &String| line.split(',').next().unwrap_or_default().to_owned();
    stocks().iter().map(symbol).collect()
}

fn own_symbol(writer: usize, stock: usize) -> String {
    format!("W{writer}.{stock}")
}

fn shared_symbol(stock: usize) -> String {
    format!("SHARED.{stock}")
}

impl Ledger {
    pub(super) fn start(address: SocketAddr, random: &mut Random) -> Result<Ledger> {
        let over = Arc::new(AtomicBool::new(false));
        let mut ledger = Ledger { books: Vec::new(), over, threads: Vec::new() };
        for number in 0..WRITERS {
            let book = Arc::new(Mutex::new(Book::new(number)));
            let dialogue = Dialogue::connect(address)?;
            let writer = Writer { book: Arc::clone(&book), dialogue, random: random.fork() };
            let over = Arc::clone(&ledger.over);
            ledger.threads.push(thread::spawn(move || writer.run(&over)));
            ledger.books.push(book);
        }
        Ok(ledger)
    }

    /// Their books; nothing is written while they are held.
    pub(super) fn at_rest(&self) -> Vec<MutexGuard<'_, Book>> {
        self.books.iter().map(|book| lock(book)).collect()
    }

    /// Ends the writers, with the server or before it.
    pub(super) fn end(&mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok().context("a writer panicked")?;
        }
        Ok(())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares the catalog with the books: every difference.
///
/// # Errors
///
/// When the catalog cannot be read.
pub(super) fn compare(
    books: &[MutexGuard<'_, Book>],
    server: &mut Dialogue,
) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for own in books.iter().flat_map(|book| &book.own) {
        let found = server.texts(&format!("HMGET {} price volume", own.symbol))?;
        let is_it = |state: &State| found == [state.price.to_string(), state.volume.to_string()];
        if !is_it(&own.kept) && !own.doubt.as_ref().is_some_and(is_it) {
            differences.push(format!("{own:?} is {found:?}"));
        }
    }
    for stock in 0..SHARED {
        let symbol = shared_symbol(stock);
        let found = server.texts(&format!("HMGET {symbol} volume"))?.concat();
        let sum =
            |of: fn(&Bought) -> u64| books.iter().map(|it| of(&it.bought[stock])).sum::<u64>();
        let possible = sum(|it| it.acknowledged)..=sum(|it| it.asked);
        let sold = found.parse().ok().and_then(|left: u64| ISSUED.checked_sub(left));
        if !sold.is_some_and(|sold| possible.contains(&sold)) {
            differences.push(format!("{symbol}: {possible:?} were bought, and {found} are left"));
        }
    }
    Ok(differences)
}

/// One of them.
struct Writer {
    book: Arc<Mutex<Book>>,
    dialogue: Dialogue,
    random: Random,
}

impl Writer {
    fn run(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let book = Arc::clone(&self.book);
            let mut book = lock(&book);
            let outcome = match self.random.below(3) {
                0 => self.buy(&mut book),
                _ => self.update(&mut book),
            };
            match outcome {
                Ok(()) => book.acknowledged += 1,
                Err(error) => {
                    book.complaints.push(format!("a writer: {error:#}"));
                    return;
                }
            }
            drop(book);
            thread::sleep(PAUSE);
        }
    }

    fn update(&mut self, book: &mut Book) -> Result<()> {
        let number = book.acknowledged + 2;
        let own = &mut book.own[self.random.below(OWN)];
        let after = State { price: number, volume: number * 3 };
        own.doubt = Some(after);
        let State { price, volume } = after;
        self.ask(&format!("HSET {} price {price} volume {volume}", own.symbol))?;
        (own.kept, own.doubt) = (after, None);
        Ok(())
    }

    fn buy(&mut self, book: &mut Book) -> Result<()> {
        let stock = self.random.below(SHARED);
        let shares = self.random.between(1, 3) as u64;
        book.bought[stock].asked += shares;
        self.ask(&format!("HINCRBY {} volume -{shares}", shared_symbol(stock)))?;
        book.bought[stock].acknowledged += shares;
        Ok(())
    }

    /// Asks for a write that nothing stands against.
    fn ask(&mut self, command: &str) -> Result<()> {
        self.dialogue.send(&format!("{command}\r\n"))?;
        match self.dialogue.next(PATIENCE)? {
            Some(Reply::Number(_)) => Ok(()),
            Some(other) => bail!("{command} answered {other:?}"),
            None => bail!("no answer to {command} in {PATIENCE:?}"),
        }
    }
}

impl Book {
    fn new(writer: usize) -> Book {
        let own = |stock| Own {
            symbol: own_symbol(writer, stock),
            kept: State { price: 1, volume: 1 },
            doubt: None,
        };
        let own = (0..OWN).map(own).collect();
        Book { own, bought: Default::default(), acknowledged: 0, complaints: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers `HMGET` as if every stock had this price and volume.
    fn server_of(price: u64, volume: u64) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let bulk = |number: u64| {
                    let text = number.to_string();
                    format!("${}\r\n{text}\r\n", text.len())
                };
                let reply = match line.ends_with(" price volume") {
                    true => format!("*2\r\n{}{}", bulk(price), bulk(volume)),
                    false => format!("*1\r\n{}", bulk(volume)),
                };
                if stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
        });
        address
    }

    fn differences(book: Book, (price, volume): (u64, u64)) -> usize {
        let book = Mutex::new(book);
        let mut dialogue = Dialogue::connect(server_of(price, volume)).unwrap();
        compare(&[lock(&book)], &mut dialogue).unwrap().len()
    }

    #[test]
    fn every_stock_that_is_not_as_acknowledged_is_told() {
        // Own stocks are as they were at the start; the shared ones have lost nearly all shares.
        assert_eq!(differences(Book::new(0), (1, 1)), SHARED);
        // Now none is as it was.
        assert_eq!(differences(Book::new(0), (1, 2)), OWN + SHARED);
        assert_eq!(differences(Book::new(0), (2, ISSUED)), OWN);
    }

    #[test]
    fn what_was_in_doubt_may_have_happened_or_not() {
        let in_doubt = || {
            let mut book = Book::new(0);
            for own in &mut book.own {
                own.doubt = Some(State { price: 7, volume: ISSUED - 2 });
            }
            book.bought = [Bought { acknowledged: 1, asked: 2 }; SHARED];
            book
        };
        assert_eq!(differences(in_doubt(), (7, ISSUED - 2)), 0);
        // One share is missing that was acknowledged, or too many are gone.
        assert_eq!(differences(in_doubt(), (7, ISSUED)), OWN + SHARED);
        assert_eq!(differences(in_doubt(), (1, ISSUED - 3)), OWN + SHARED);
    }
}
