//! The asynchronous client against real servers, and against peers that are none.

mod calls;
mod faults;
mod server;
mod watches;

use std::future::Future;
use std::time::Duration;

use stockd_client::http::{Event, Watch};
use stockd_client::{Fields, Price};
use tokio::runtime::Runtime;

/// How long a lost byte leaves a test waiting before it fails.
const PATIENCE: Duration = Duration::from_secs(180);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn priced(price: &str) -> Fields {
    Fields { price: price.parse().unwrap(), ..Fields::default() }
}

fn price(text: &str) -> Option<Price> {
    Some(text.parse().unwrap())
}

/// Waits for this, which comes.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it comes")
}

/// The events up to the first that fits.
fn until(runtime: &Runtime, watch: &mut Watch, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
    runtime.block_on(soon(async {
        let mut events = Vec::new();
        loop {
            let event = watch.next().await;
            let is_last = fits(&event);
            events.push(event);
            if is_last {
                return events;
            }
        }
    }))
}

fn is_synced(event: &Event) -> bool {
    matches!(event, Event::Synced)
}

/// What events say of stocks, one line each, sorted.
fn said(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Quote(quote) => Some(format!("{} {}", quote.symbol, quote.answer())),
        Event::Delisted(symbol) => Some(format!("{symbol} delisted")),
        Event::Unlisted(symbol) => Some(format!("{symbol} unlisted")),
        _ => None,
    };
    let mut lines: Vec<String> = events.iter().filter_map(line).collect();
    lines.sort_unstable();
    lines
}
