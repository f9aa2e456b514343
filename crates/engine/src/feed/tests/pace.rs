//! Subscribers that are told at an interval of their own.

use super::*;

const ID: SubscriberId = SubscriberId(1);

/// A subscriber with an interval of 10 ms that has been told AAPL and MSFT as they were listed.
fn stage() -> Stage {
    let mut stage = Stage::new();
    for name in ["AAPL", "MSFT"] {
        stage.set(name, 1);
        stage.subscribe(1, name);
    }
    stage.pass_on();
    stage.set_interval(1, 10);
    assert_eq!(stage.tell(1, 10).len(), 2);
    // One of them may have come of a mark.
    stage.wait(10);
    stage
}

fn change(stage: &mut Stage, name: &str, units: i64) {
    stage.set(name, units);
    stage.pass_on();
}

fn told(stage: &mut Stage) -> usize {
    stage.tell(1, 10).len()
}

#[test]
fn the_first_change_comes_at_once_and_the_last_one_when_the_interval_is_over() {
    let mut stage = stage();
    change(&mut stage, "AAPL", 2);
    assert_eq!(told(&mut stage), 1);
    for units in 3..100 {
        change(&mut stage, "AAPL", units);
        assert!(!stage.feed.has_messages(ID));
    }
    assert_eq!(stage.feed.paces_at(), Some(stage.now + Duration::from_millis(10)));
    stage.wait(9);
    assert_eq!(told(&mut stage), 0);
    stage.wait(1);
    let last = stage.tell(1, 10);
    assert_eq!(last.len(), 1);
    assert_eq!(version(&last[0]), Some(99));
    // Nothing has changed since: it is awake in vain no more.
    stage.wait(10);
    assert_eq!((stage.feed.paces_at(), stage.feed.has_messages(ID)), (None, false));
}

/// A round is what is marked when it begins, however little room there is and whatever changes meanwhile.
#[test]
fn a_round_goes_on_when_there_is_room_and_tells_each_symbol_once() {
    let mut stage = stage();
    change(&mut stage, "AAPL", 2);
    change(&mut stage, "MSFT", 2);
    let (first, _) = stage.tell_some(1, 1);
    change(&mut stage, if first[0].contains("AAPL") { "AAPL" } else { "MSFT" }, 3);
    assert_eq!(stage.feed.paces_at(), None);
    assert_eq!(told(&mut stage), 1, "the other one");
    assert_eq!(stage.feed.backlog(ID), 1);
    assert!(stage.feed.standing(ID).unwrap().rests);
    stage.wait(10);
    assert_eq!(told(&mut stage), 1);
}

/// What was left of a round is unsubscribed from, so that nothing is left to be told.
#[test]
fn a_round_ends_where_the_rest_of_it_is_forgotten() {
    let mut stage = stage();
    change(&mut stage, "AAPL", 2);
    change(&mut stage, "MSFT", 2);
    let (first, _) = stage.tell_some(1, 1);
    let [first, other] =
        if first[0].contains("AAPL") { ["AAPL", "MSFT"] } else { ["MSFT", "AAPL"] };
    stage.feed.unsubscribe(ID, &symbol(other));
    stage.pace();
    change(&mut stage, first, 3);
    assert_eq!(told(&mut stage), 0);
    stage.wait(10);
    assert_eq!(told(&mut stage), 1);
}

#[test]
fn without_an_interval_all_come_again_and_nobody_rests_who_has_left() {
    let mut stage = stage();
    change(&mut stage, "AAPL", 2);
    assert_eq!(told(&mut stage), 1);
    change(&mut stage, "AAPL", 3);
    stage.set_interval(1, 0);
    assert_eq!(stage.feed.paces_at(), None);
    assert_eq!(told(&mut stage), 1);
    stage.set_interval(1, 10);
    change(&mut stage, "AAPL", 4);
    assert_eq!(told(&mut stage), 1);
    assert!(stage.feed.paces_at().is_some());
    stage.feed.leave(ID);
    assert_eq!(stage.feed.paces_at(), None);
    // A subscriber that is not there needs none of this.
    stage.feed.set_interval(SubscriberId(2), None);
    assert!(!stage.feed.has(SubscriberId(2)));
}

/// What a subscription tells first is not held back.
#[test]
fn a_new_subscription_is_told_at_once_while_the_others_rest() {
    let mut stage = stage();
    stage.set("TSLA", 1);
    change(&mut stage, "AAPL", 2);
    assert_eq!(told(&mut stage), 1);
    change(&mut stage, "AAPL", 3);
    stage.subscribe(1, "TSLA");
    stage.subscribe(1, "NONE");
    stage.pass_on();
    assert_eq!(told(&mut stage), 2);
    assert_eq!(stage.feed.backlog(ID), 1);
}
