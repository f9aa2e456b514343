//! What happens, step by step.

use super::*;
use stockd_model::limits::{PATTERNS_MAX, SUBSCRIPTIONS_MAX, UNINDEXED_PATTERNS_MAX};

#[test]
fn the_first_message_is_the_quote_now_and_each_later_one_is_newer() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    assert_eq!(stage.subscribe(7, "AAPL"), 1);
    assert_eq!(stage.subscribe(7, "AAPL"), 1);
    let first = stage.tell(7, 10);
    assert_eq!(first.len(), 1);
    assert_eq!(version(&first[0]), Some(1));
    stage.pass_on();
    assert!(stage.tell(7, 10).is_empty());

    stage.set("AAPL", 2);
    stage.set("AAPL", 3);
    stage.pass_on();
    let later = stage.tell(7, 10);
    assert_eq!(later.len(), 1, "{later:?}");
    assert_eq!(version(&later[0]), Some(3));
    assert_eq!(stage.feed.take_conflated(), 1);
}

#[test]
fn a_stock_not_listed_yet_is_told_when_it_is_listed_and_when_it_is_delisted() {
    let mut stage = Stage::new();
    let unlisted = r#"{"symbol":"NEW","status":"unlisted"}"#;
    stage.subscribe(1, "NEW");
    assert_eq!(stage.tell(1, 10), [unlisted]);
    stage.set("NEW", 5);
    stage.pass_on();
    assert_eq!(stage.tell(1, 10).len(), 1);
    stage.delist("NEW");
    stage.pass_on();
    assert_eq!(stage.tell(1, 10), [r#"{"symbol":"NEW","status":"delisted"}"#]);
    // Who comes now learns that it is not listed; a pattern tells nothing of it.
    stage.subscribe(2, "NEW");
    stage.subscribe_pattern(3, "NE*");
    assert_eq!((stage.tell(2, 10), stage.tell(3, 10)), (vec![unlisted.to_owned()], vec![]));
    stage.set("NEW", 6);
    stage.pass_on();
    assert_eq!(stage.tell(1, 10), stage.tell(2, 10));
}

#[test]
fn a_pattern_catches_stocks_listed_before_and_later() {
    let mut stage = Stage::new();
    for stock in 0..5000 {
        stage.set(&format!("A{stock}"), 1);
    }
    stage.set("B", 1);
    stage.subscribe_pattern(3, "A*");
    assert_eq!(stage.tell(3, usize::MAX).len(), 5000);
    stage.set("ALATER", 1);
    stage.set("BLATER", 1);
    stage.pass_on();
    assert_eq!(stage.tell(3, 10).len(), 1);
}

#[test]
fn a_mark_that_comes_while_earlier_ones_are_passed_on_needs_no_wake_of_its_own() {
    let mut stage = Stage::new();
    for name in ["A", "B", "C"] {
        stage.set(name, 1);
        stage.subscribe(1, name);
    }
    stage.tell(1, 10);
    stage.pass_on();
    stage.set("A", 2);
    stage.set("B", 2);
    stage.set("C", 2);
    assert_eq!(stage.pass_on_some(2), Progress::More);
    // The worker is at work and sees this wake together with what it has at hand.
    stage.set("A", 3);
    stage.set("B", 3);
    let mut passes = 0;
    while stage.pass_on_some(2) == Progress::More {
        passes += 1;
        assert!(passes < 20, "never done");
    }
    assert_eq!(stage.tell(1, 10).len(), 3);
    for quote in stage.market.catalog.page(0, usize::MAX).quotes {
        let last = &stage.told[&(1, None, quote.symbol.to_string())];
        assert_eq!(version(last), Some(quote.version));
    }
}

#[test]
fn one_message_comes_by_each_way_and_none_again() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    stage.subscribe(1, "AAPL");
    stage.subscribe_pattern(1, "A*");
    assert_eq!(stage.tell(1, 10).len(), 2);
    // Another way later tells alone.
    stage.subscribe_pattern(1, "*L");
    assert_eq!(stage.tell(1, 10).len(), 1);
    stage.pass_on();
    assert!(stage.tell(1, 10).is_empty());
    stage.set("AAPL", 2);
    stage.pass_on();
    assert_eq!(stage.feed.backlog(SubscriberId(1)), 1);
    // Room for one at a time: the others follow, and when the quote changes meanwhile all start
    // over behind those that were told.
    assert_eq!(stage.tell(1, 1).len(), 1);
    stage.set("AAPL", 3);
    stage.pass_on();
    let rest = stage.tell(1, 10);
    assert_eq!(rest.iter().map(|told| version(told)).collect::<Vec<_>>(), [Some(3); 3]);
}

/// The row has changed and the writer has not come to leave its mark: what is told early is not
/// told again when the mark comes, and nobody else misses it.
#[test]
fn a_quote_that_is_told_before_its_mark_comes_is_told_once() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    stage.subscribe_pattern(1, "A*");
    stage.subscribe(2, "AAPL");
    stage.tell(1, 10);
    stage.tell(2, 10);
    stage.pass_on();
    stage.change("AAPL", 2);
    // A new way makes the subscriber see the row: its others are told with it.
    stage.subscribe(1, "AAPL");
    assert_eq!(stage.tell(1, 10).len(), 2);
    stage.leave_mark();
    stage.pass_on();
    assert!(stage.tell(1, 10).is_empty());
    assert_eq!(stage.tell(2, 10).len(), 1);
}

#[test]
fn nothing_is_left_of_subscriptions_that_ended() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    stage.set("IBM", 1);
    let empty = stage.feed.bytes_in_all();
    stage.subscribe(1, "AAPL");
    stage.subscribe(2, "AAPL");
    assert_eq!(stage.subscribe_pattern(2, "*"), 2);
    stage.tell(2, 10);
    stage.pass_on();
    assert_eq!(stage.feed.wants.topics.len(), 2);
    assert_eq!(stage.feed.counts(), (2, 3));
    stage.feed.leave(SubscriberId(2));
    assert_eq!(stage.feed.counts(), (1, 1));
    assert!(!stage.feed.has(SubscriberId(2)));
    stage.tidy();
    assert_eq!(stage.feed.wants.topics.len(), 1);
    assert_eq!(stage.feed.unsubscribe(SubscriberId(1), &symbol("AAPL")), 0);
    stage.feed.leave(SubscriberId(1));
    stage.tidy();
    assert!(stage.feed.wants.topics.is_empty());
    assert!(stage.feed.wants.patterns.is_empty());
    assert_eq!(stage.feed.subscribers.bytes(), 0);
    assert_eq!(stage.feed.counts(), (0, 0));
    assert_eq!(stage.feed.bytes_in_all(), empty);
}

/// A number may be used again at once: what is left of the one before does no harm.
#[test]
fn who_comes_under_the_number_of_one_that_left_is_another() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    stage.subscribe(1, "AAPL");
    stage.subscribe_pattern(1, "A*");
    stage.tell(1, 10);
    stage.feed.leave(SubscriberId(1));
    stage.told.clear();
    stage.subscribe(1, "AAPL");
    assert_eq!(stage.tell(1, 10).len(), 1);
    stage.tidy();
    stage.set("AAPL", 2);
    stage.pass_on();
    assert_eq!(stage.tell(1, 10).len(), 1);
}

#[test]
fn a_name_that_is_listed_and_delisted_leaves_nothing_behind() {
    let mut stage = Stage::new();
    stage.subscribe_pattern(1, "*");
    stage.tell(1, 10);
    for round in 0..100 {
        let name = format!("N{round}");
        stage.set(&name, 1);
        stage.pass_on();
        stage.tell(1, 10);
        stage.delist(&name);
        stage.pass_on();
        assert_eq!(stage.tell(1, 10).len(), 1);
    }
    assert!(stage.feed.wants.topics.len() <= 1, "{}", stage.feed.wants.topics.len());
}

#[test]
fn subscriptions_of_a_subscriber_are_limited() {
    let mut stage = Stage::new();
    let one = SubscriberId(1);
    for number in 0..PATTERNS_MAX {
        stage.subscribe_pattern(1, &format!("P{number}*"));
    }
    let refused = stage.feed.subscribe_pattern(one, &Access::All, &pattern("MORE*"));
    assert_eq!(refused, Err(NotSubscribed::Patterns));
    for stock in PATTERNS_MAX..SUBSCRIPTIONS_MAX {
        stage.subscribe(1, &format!("S{stock}"));
    }
    let refused = stage.feed.subscribe(one, &Access::All, &symbol("MORE"));
    assert_eq!(refused, Err(NotSubscribed::InAll));
    assert_eq!(stage.feed.len(one), SUBSCRIPTIONS_MAX);
    assert_eq!(stage.feed.counts(), (1, SUBSCRIPTIONS_MAX));
}

#[test]
fn patterns_that_begin_with_a_wildcard_are_limited() {
    let mut stage = Stage::new();
    for number in 0..UNINDEXED_PATTERNS_MAX {
        stage.subscribe_pattern(number as u64 % 3, &format!("?{number}"));
    }
    let refused = stage.feed.subscribe_pattern(SubscriberId(9), &Access::All, &pattern("*X"));
    assert_eq!(refused, Err(NotSubscribed::Unindexed));
    assert!(refused.unwrap_err().to_string().ends_with("begin the pattern with a letter"));
    stage.subscribe_pattern(9, "*");
    stage.subscribe_pattern(9, "?7");
    assert_eq!(stage.feed.len(SubscriberId(9)), 2);
}
