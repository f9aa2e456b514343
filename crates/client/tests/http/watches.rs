//! Live quotes through restarts, lost connections and changed rights.

use std::sync::Arc;

use stockd_client::http::{Client, Continuity, Event, WatchRequest};
use stockd_client::{Options, Problem};
use stockd_engine::Engine;
use stockd_web::Config;

use crate::server::{Web, free_address, loopback};
use crate::{is_synced, price, runtime, said, soon, until};

fn patterns(pattern: &str) -> WatchRequest {
    WatchRequest { patterns: vec![pattern.to_owned()], ..WatchRequest::default() }
}

fn continuity(events: &[Event]) -> Vec<Continuity> {
    let one = |event: &Event| match event {
        Event::Connected { continuity, .. } => Some(*continuity),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

#[test]
fn first_what_is_then_what_comes() {
    let web = Web::at(loopback());
    web.set("A", "1");
    let (runtime, client) = (runtime(), Client::new(web.address()));
    let request = WatchRequest { patterns: vec!["B*".to_owned()], ..Web::watch_of(&["A", "NOPE"]) };
    let mut watch = runtime.block_on(client.watch(request)).unwrap();
    let first = until(&runtime, &mut watch, is_synced);
    let Event::Connected { server, epoch, continuity } = &first[0] else { panic!("{first:?}") };
    assert_eq!((server, *continuity), (&web.address(), Continuity::First));
    let read = runtime.block_on(client.quote("A")).unwrap().unwrap();
    assert_eq!(*epoch, read.etag.epoch);
    assert_eq!(said(&first), ["A 1", "NOPE unlisted"]);
    web.set("B1", "2");
    until(
        &runtime,
        &mut watch,
        |event| matches!(event, Event::Quote(it) if it.price == price("2")),
    );
    web.delist("A");
    until(&runtime, &mut watch, |event| matches!(event, Event::Delisted(_)));
    let nothing = runtime.block_on(client.watch(WatchRequest::default())).unwrap_err();
    assert_eq!(nothing.problem(), Some(Problem::InvalidRequest));
}

/// As many names as no address has room for.
#[test]
fn thousands_of_names_are_watched_and_called_by_a_name() {
    let web = Web::at(loopback());
    let (runtime, client) = (runtime(), Client::new(web.address()));
    let symbols = (0..5_000).map(|number| format!("S{number}").parse().unwrap()).collect();
    let name = "desk 7".to_owned();
    let request = WatchRequest { symbols, name, ..WatchRequest::default() };
    let mut watch = runtime.block_on(client.watch(request)).unwrap();
    assert_eq!(said(&until(&runtime, &mut watch, is_synced)).len(), 5_000);
    web.set("S4999", "3");
    until(&runtime, &mut watch, |event| matches!(event, Event::Quote(_)));
}

/// Names alone, and a server that keeps every write: nothing was missed, and the server need not tell all again.
#[test]
fn a_watch_resumes_after_a_restart() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
    let web = Web::over(directory.path(), address.clone());
    web.set("A", "1");
    web.set("B", "1");
    let (runtime, client) = (runtime(), Client::new(address.clone()));
    let mut watch = runtime.block_on(client.watch(Web::watch_of(&["A", "B", "C"]))).unwrap();
    until(&runtime, &mut watch, is_synced);
    web.stop();
    // Goodbye says when to come back.
    let lost = until(&runtime, &mut watch, |event| matches!(event, Event::Disconnected { .. }));
    let Some(Event::Disconnected { retry_in, .. }) = lost.last() else { panic!("{lost:?}") };
    assert!(retry_in.as_millis() >= 500, "{retry_in:?}");
    let web = Web::over(directory.path(), address);
    web.set("A", "2");
    web.set("C", "1");
    web.delist("B");
    let resumed = until(&runtime, &mut watch, is_synced);
    assert_eq!(continuity(&resumed), [Continuity::Resumed]);
    // What was told before is not told again, though the server goes back a minute.
    assert_eq!(said(&resumed), ["A 2", "B delisted", "C 1"]);
    web.set("A", "3");
    let event = runtime.block_on(soon(watch.next()));
    assert!(matches!(event, Event::Quote(quote) if quote.price == price("3")), "{event:?}");
}

/// Of patterns the server cannot say what has gone; the watch finds out, and says that it may have missed something.
#[test]
fn a_watch_of_patterns_comes_level_after_a_restart_and_says_that_there_was_a_gap() {
    let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
    let web = Web::over(directory.path(), address.clone());
    ["A1", "A2", "A3"].iter().for_each(|name| web.set(name, "1"));
    let (runtime, client) = (runtime(), Client::new(address.clone()));
    let mut watch = runtime.block_on(client.watch(patterns("A*"))).unwrap();
    until(&runtime, &mut watch, is_synced);
    web.stop();
    // Meanwhile others change it.
    let meanwhile = Web::over(directory.path(), loopback());
    meanwhile.delist("A1");
    meanwhile.set("A2", "2");
    meanwhile.stop();
    let web = Web::over(directory.path(), address);
    let events = until(&runtime, &mut watch, is_synced);
    assert_eq!(continuity(&events), [Continuity::Gap]);
    assert_eq!(said(&events), ["A1 delisted", "A2 2"]);
    drop(web);
}

#[test]
fn another_start_in_memory_is_another_epoch() {
    let address = free_address();
    let web = Web::at(address.clone());
    (1..=5).for_each(|price| web.set("A", &price.to_string()));
    web.set("B", "1");
    let (runtime, client) = (runtime(), Client::new(address.clone()));
    let mut watch = runtime.block_on(client.watch(Web::watch_of(&["A", "B"]))).unwrap();
    until(&runtime, &mut watch, is_synced);
    let read = runtime.block_on(client.quote("A")).unwrap().unwrap();
    web.stop();
    let web = Web::at(address);
    web.set("A", "7");
    let events = until(&runtime, &mut watch, is_synced);
    assert_eq!(continuity(&events), [Continuity::NewEpoch]);
    assert_eq!(said(&events), ["A 7", "B delisted"]);
    // What was read in the epoch before is no condition that could hold by chance.
    (0..4).for_each(|_| web.set("A", "8"));
    let unchanged = stockd_client::http::Condition::Unchanged(read.etag);
    let update = client.update(read.quote.symbol, crate::priced("9"), unchanged);
    let error = runtime.block_on(update).unwrap_err();
    assert_eq!(error.problem(), Some(Problem::VersionDiffers));
}

#[test]
fn rights_that_are_taken_away_end_what_they_allowed() {
    let (web, authority) = Web::guarded();
    web.set("DESK1", "1");
    web.set("DESK2", "1");
    let options = Options { credentials: Some(Web::token()), ..Options::default() };
    let (runtime, client) = (runtime(), Client::with(web.address(), options));
    let mut watch = runtime.block_on(client.watch(Web::watch_of(&["DESK1", "DESK2"]))).unwrap();
    until(&runtime, &mut watch, is_synced);
    authority.replace(Web::access("DESK1"));
    web.web().access_changed();
    let event = runtime.block_on(soon(watch.next()));
    assert!(
        matches!(event, Event::Forbidden(Some(symbol)) if symbol.as_str() == "DESK2"),
        "{event:?}"
    );
    // The token is gone: it goes on trying, and is let in when the token is there again, without what is forbidden.
    authority.replace(stockd_access::AccessFile::parse("").unwrap());
    web.web().access_changed();
    let refused = |event: &Event| matches!(event, Event::Disconnected { reason, .. } if reason.problem() == Some(Problem::Unauthenticated));
    until(&runtime, &mut watch, refused);
    until(&runtime, &mut watch, refused);
    authority.replace(Web::access("DESK1"));
    web.web().access_changed();
    until(&runtime, &mut watch, is_synced);
    web.set("DESK1", "2");
    until(
        &runtime,
        &mut watch,
        |event| matches!(event, Event::Quote(it) if it.price == price("2")),
    );
}

/// Waiting can be given up at any moment: in the pause, while it connects, and between events.
#[test]
fn waiting_that_is_given_up_loses_nothing() {
    const WRITES: u64 = 200;
    let address = free_address();
    let engine = Arc::<Engine>::default();
    let start = || {
        let config = Config { http: vec![address.clone()], keeps_all: true, ..Config::default() };
        Web::with(Arc::clone(&engine), Arc::default(), &config)
    };
    let web = start();
    let (runtime, client) = (runtime(), Client::new(address.clone()));
    let mut watch = runtime.block_on(client.watch(Web::watch_of(&["A"]))).unwrap();
    web.stop();
    let web = start();
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=WRITES).for_each(|price| web.set("A", &price.to_string())));
        let mut latest = 0;
        runtime.block_on(soon(async {
            loop {
                tokio::select! {
                    biased;
                    event = watch.next() => if let Event::Quote(quote) = event {
                        assert!(quote.version > latest);
                        latest = quote.version;
                        if quote.price == price(&WRITES.to_string()) {
                            break;
                        }
                    },
                    () = tokio::task::yield_now() => {}
                }
            }
        }));
    });
}
