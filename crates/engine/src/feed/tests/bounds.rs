//! What costs how much: in units of work, bytes and looks, never in time.

use super::*;
use stockd_model::limits::PATTERNS_MAX;

/// 5,000 subscribers with a pattern each, all distinct, and one that all share.
#[test]
fn a_write_beside_thousands_of_patterns_of_other_things_wakes_nobody() {
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    for key in 0..5000 {
        stage.subscribe_pattern(key, "BRK*");
        stage.subscribe_pattern(key, &format!("S{key}*"));
    }
    for price in 2..100 {
        stage.set("AAPL", price);
    }
    assert_eq!(stage.wakes.load(Relaxed), 0);
    stage.set("BRK/A", 1);
    assert_eq!(stage.wakes.load(Relaxed), 1);
    // One pattern is compared and its subscribers are visited, in slices: none of the others.
    let mut slices = 0;
    while stage.pass_on_some(100) == Progress::More {
        slices += 1;
    }
    assert!((50..=51).contains(&slices), "{slices}");
    assert_eq!(stage.tell(4999, 10).len(), 1);
}

/// A subscriber that reads nothing, 1,000 patterns of which each fits every stock: one mark a
/// stock.
#[test]
fn overlapping_patterns_share_one_mark_a_symbol() {
    const STOCKS: usize = 800;
    let mut stage = Stage::new();
    for number in 0..1000 {
        let other = char::from_u32(0x4e00 + number).unwrap();
        stage.subscribe_pattern(1, &format!("S[0-9{other}]*"));
    }
    // Their walk, which finds nothing.
    assert!(stage.tell(1, 10).is_empty());
    let before = stage.feed.bytes(SubscriberId(1));
    for stock in 0..STOCKS {
        stage.set(&format!("S{stock:05}"), 1);
        if stock % 100 == 0 {
            stage.pass_on();
        }
    }
    stage.pass_on();
    assert_eq!(stage.feed.backlog(SubscriberId(1)), STOCKS);
    let more = stage.feed.bytes(SubscriberId(1)) - before;
    assert!(more <= 8 * STOCKS, "{more}");
    assert!(stage.feed.bytes_in_all() < 2 * 1024 * 1024, "{}", stage.feed.bytes_in_all());
    // One stock is told by each pattern.
    stage.units = 64;
    assert_eq!(stage.tell(1, 1000).len(), 1000);
}

/// A subscriber of a hundred stocks beside one of 60,000, which leaves: until what it leaves is tidied up, and
/// then too, the first is not taken for one that holds it.
#[test]
fn what_others_leave_behind_makes_no_subscriber_larger() {
    const POLITE: u64 = 1;
    const RUDE: u64 = 2;
    let mut stage = Stage::new();
    for number in 0..100 {
        stage.subscribe(POLITE, &format!("P{number}"));
    }
    for number in 0..60_000 {
        stage.subscribe(RUDE, &format!("R{number}"));
    }
    let held = |stage: &Stage, key| stage.feed.standing(SubscriberId(key)).unwrap().bytes;
    let beside = held(&stage, POLITE);
    assert!(held(&stage, RUDE) > 100 * beside);
    assert_eq!(stage.feed.leaving_bytes(), 0);
    let all = stage.feed.bytes_in_all();
    stage.feed.leave(SubscriberId(RUDE));
    while stage.feed.tidy(&mut Budget::new(256)) == Progress::More {
        let now = held(&stage, POLITE);
        assert!(now <= 2 * beside, "{now} where it was {beside}");
        // All others are of the one that has left, and it is known that they go.
        let others = stage.feed.bytes_in_all() - now;
        let leaving = stage.feed.leaving_bytes();
        assert!(leaving.abs_diff(others) <= all / 20, "{leaving} of {others}");
    }
    assert!(held(&stage, POLITE) <= 2 * beside);
    assert_eq!(stage.feed.leaving_bytes(), 0);
}

/// As above, beside twenty of a thousand long patterns each.
#[test]
fn patterns_that_others_leave_behind_make_no_subscriber_larger() {
    const POLITE: u64 = 100;
    let mut stage = Stage::new();
    for number in 0..100 {
        stage.subscribe(POLITE, &format!("P{number}"));
    }
    for key in 0..20 {
        for number in 0..PATTERNS_MAX {
            stage.subscribe_pattern(key, &format!("R{key}.{number}{}", "*".repeat(100)));
        }
    }
    let held = |stage: &Stage| stage.feed.standing(SubscriberId(POLITE)).unwrap().bytes;
    let beside = held(&stage);
    for key in 0..20 {
        stage.feed.leave(SubscriberId(key));
    }
    while stage.feed.tidy(&mut Budget::new(256)) == Progress::More {
        let now = held(&stage);
        assert!(now <= 2 * beside, "{now} where it was {beside}");
    }
}

/// Another subscriber has a thousand quotes encoded, which are kept: the one of a hundred stocks does not hold them.
#[test]
fn payloads_that_are_kept_make_no_subscriber_larger() {
    const POLITE: u64 = 1;
    const OTHER: u64 = 2;
    let mut stage = Stage::new();
    for number in 0..100 {
        stage.subscribe(POLITE, &format!("P{number}"));
    }
    let held = |stage: &Stage| stage.feed.standing(SubscriberId(POLITE)).unwrap().bytes;
    let before = held(&stage);
    for number in 0..1000 {
        stage.set(&format!("S{number}"), 1);
        stage.subscribe(OTHER, &format!("S{number}"));
    }
    assert_eq!(stage.tell(OTHER, 1000).len(), 1000);
    for number in 0..1000 {
        stage.feed.unsubscribe(SubscriberId(OTHER), &symbol(&format!("S{number}")));
    }
    assert!(held(&stage) <= 2 * before, "{} where it was {before}", held(&stage));
}

/// 100 subscribers with 1,024 patterns each leave at once. They are gone at once; what they held goes
/// slice by slice, and another subscriber is served in between.
#[test]
fn who_leaves_is_dismantled_in_slices() {
    const UNITS: usize = 256;
    let mut stage = Stage::new();
    stage.set("AAPL", 1);
    stage.subscribe(1000, "AAPL");
    for key in 0..100 {
        for number in 0..PATTERNS_MAX {
            stage.subscribe_pattern(key, &format!("{}{number}*", ["S", "T"][key as usize % 2]));
        }
        stage.tell(key, 1);
    }
    for key in 0..100 {
        stage.feed.leave(SubscriberId(key));
    }
    assert_eq!(stage.feed.counts(), (1, 1));
    let mut held = stage.feed.subscribers.bytes();
    let mut slices = 0;
    while stage.feed.tidy(&mut Budget::new(UNITS)) == Progress::More {
        let holds = stage.feed.subscribers.bytes();
        assert!(held - holds <= UNITS * 1024, "{held} {holds}");
        held = holds;
        slices += 1;
        if slices % 50 == 0 {
            stage.set("AAPL", slices);
            stage.pass_on();
            assert_eq!(stage.tell(1000, 10).len(), 1);
        }
    }
    assert!(slices as usize >= 100 * PATTERNS_MAX / UNITS, "{slices}");
    assert!(stage.feed.wants.patterns.is_empty());
}

/// Patterns come and go 10,000 times beside a subscriber to everything: each costs what it costs
/// alone, and the search for what they leave goes on in slices of its own.
#[test]
fn patterns_that_come_and_go_look_at_no_topic() {
    const STOCKS: u64 = 300_000;
    let mut stage = Stage::new();
    stage.set("S0", 1);
    stage.subscribe_pattern(1, "*");
    stage.tell(1, 10);
    stage.pass_on();
    // As if there were that many stocks, and all had been told.
    let topics = &mut stage.feed.wants.topics;
    let listed = topics.get(topics.find(&symbol("S0")).unwrap()).passed;
    for stock in 1..STOCKS {
        let topic = topics.open(&symbol(&format!("S{stock}")));
        topics.get_mut(topic).passed = listed;
    }
    assert_eq!(stage.feed.wants.topics.len() as u64, STOCKS);
    let looks = stage.feed.wants.topics.looks;
    for _ in 0..10_000 {
        stage.subscribe_pattern(2, "x");
        stage.unsubscribe_pattern(2, "x");
    }
    assert_eq!(stage.feed.wants.topics.looks, looks);
    // The sweep goes over the topics once, not once for each of them.
    let mut slices = 0;
    let mut looked = looks;
    while stage.feed.tidy(&mut Budget::new(1000)) == Progress::More {
        assert!(stage.feed.wants.topics.looks - looked <= 1000);
        looked = stage.feed.wants.topics.looks;
        slices += 1;
    }
    assert!(slices <= 600, "{slices}");
    assert_eq!(stage.feed.wants.topics.len() as u64, STOCKS);
    stage.unsubscribe_pattern(1, "*");
    stage.tidy();
    assert!(stage.feed.wants.topics.is_empty());
}

/// Many subscribers to one symbol leave it and come back: no step looks at the others.
#[test]
fn telling_and_passing_on_overdraw_no_budget() {
    let mut stage = Stage::new();
    for stock in 0..200 {
        stage.set(&format!("S{stock}"), 1);
    }
    for key in 0..200 {
        stage.subscribe_pattern(key, "S*");
        for number in 0..20 {
            stage.subscribe_pattern(key, &format!("S{number}*"));
        }
    }
    // A slice of so few units sends no more messages than that.
    for units in [1, 7, 50] {
        stage.units = units;
        for key in 0..200 {
            let (messages, _) = stage.tell_some(key, usize::MAX);
            assert!(messages.len() <= units, "{units} {}", messages.len());
        }
    }
    stage.set("S1", 2);
    let mut woken = Vec::new();
    while stage.pass_on_some(10) == Progress::More {
        stage.feed.take_awake(&mut woken);
        assert!(woken.len() <= 210, "{}", woken.len());
        woken.clear();
    }
}
