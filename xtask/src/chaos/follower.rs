//! A subscriber that reads what it is sent, and has to end with the latest of each of its stocks.
//!
//! Invariant: what it holds of a stock is the message of the highest version so far; one that is
//! told again or out of order is a complaint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::resp::{Dialogue, PATIENCE, Reply};

/// How long one wait for a message is.
const LOOK: Duration = Duration::from_millis(100);

/// A subscriber at work.
#[derive(Debug)]
pub(super) struct Follower {
    symbols: Vec<String>,
    told: Arc<Mutex<Told>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it has been told.
#[derive(Debug, Default)]
struct Told {
    /// Price, volume and version of each stock, as `HMGET` gives them.
    quotes: BTreeMap<String, [String; 3]>,
    complaints: Vec<String>,
}

impl Follower {
    /// Subscribes to these.
    pub(super) fn start(address: SocketAddr, symbols: Vec<String>) -> Result<Follower> {
        let mut dialogue = Dialogue::connect(address)?;
        dialogue.send(&format!("SUBSCRIBE {}\r\n", symbols.join(" ")))?;
        let told = Arc::new(Mutex::new(Told::default()));
        let over = Arc::new(AtomicBool::new(false));
        let (to_tell, until) = (Arc::clone(&told), Arc::clone(&over));
        let thread = thread::spawn(move || listen(dialogue, &to_tell, &until));
        Ok(Follower { symbols, told, over, thread: Some(thread) })
    }

    /// Waits, while nothing is written to its stocks, until it has the latest of each: what it
    /// misses after a minute.
    ///
    /// # Errors
    ///
    /// When the catalog cannot be read.
    pub(super) fn missing(&self, server: &mut Dialogue) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        for symbol in &self.symbols {
            let latest = server.texts(&format!("HMGET {symbol} price volume version"))?;
            loop {
                let told = lock(&self.told).quotes.get(symbol).cloned();
                if told.as_ref().is_some_and(|told| latest == told.as_slice()) {
                    break;
                }
                if Instant::now() > deadline {
                    missing.push(format!("{symbol} is {latest:?}, and was told as {told:?}"));
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(missing)
    }

    /// What went wrong so far.
    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.told).complaints.clone()
    }

    /// Ends it.
    pub(super) fn end(&mut self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().ok().context("the subscriber panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(mut dialogue: Dialogue, told: &Mutex<Told>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        match dialogue.next(LOOK) {
            Ok(None) => {}
            Ok(Some(reply)) => lock(told).hear(&reply),
            Err(error) => {
                lock(told).complaints.push(format!("the subscriber: {error}"));
                return;
            }
        }
    }
}

impl Told {
    fn hear(&mut self, reply: &Reply) {
        match message(reply) {
            Some((symbol, quote)) => {
                let version = |quote: &[String; 3]| quote[2].parse::<u64>().unwrap_or(0);
                let before = self.quotes.get(&symbol).map_or(0, version);
                if version(&quote) <= before {
                    let complaint = format!("{symbol}: {quote:?} was told after version {before}");
                    self.complaints.push(complaint);
                }
                self.quotes.insert(symbol, quote);
            }
            None if is_confirmation(reply) => {}
            None => self.complaints.push(format!("the subscriber was sent {reply:?}")),
        }
    }
}

fn is_confirmation(reply: &Reply) -> bool {
    let Reply::Array(parts) = reply else { return false };
    parts.first() == Some(&Reply::Bulk("subscribe".to_owned()))
}

/// Symbol, and price, volume and version of a message.
fn message(reply: &Reply) -> Option<(String, [String; 3])> {
    let Reply::Array(parts) = reply else { return None };
    let [Reply::Bulk(kind), Reply::Bulk(symbol), Reply::Bulk(payload)] = parts.as_slice() else {
        return None;
    };
    if kind != "message" {
        return None;
    }
    let quote: Value = serde_json::from_str(payload).ok()?;
    let price = quote["price"].as_str()?.to_owned();
    let volume = quote["volume"].as_str()?.to_owned();
    let version = quote["version"].to_string();
    Some((symbol.clone(), [price, volume, version]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_a_complaint_and_so_is_what_is_no_message() {
        let bulk = |text: &str| Reply::Bulk(text.to_owned());
        let of = |version: u64| {
            let payload =
                format!(r#"{{"symbol":"A","price":"2","volume":"3","version":{version}}}"#);
            Reply::Array(vec![bulk("message"), bulk("A"), bulk(&payload)])
        };
        let mut told = Told::default();
        told.hear(&Reply::Array(vec![bulk("subscribe"), bulk("A"), Reply::Number(1)]));
        told.hear(&of(1));
        told.hear(&of(3));
        assert!(told.complaints.is_empty(), "{told:?}");
        assert_eq!(told.quotes["A"], ["2", "3", "3"]);
        told.hear(&of(2));
        told.hear(&Reply::Error("ERR no".to_owned()));
        assert_eq!(told.complaints.len(), 2);
    }
}
