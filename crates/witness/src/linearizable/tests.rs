use super::*;

const BEFORE: State = State { version: 1, price: 1, volume: 100 };

/// A call of a client of node 0.
fn call(from: u64, to: u64, ask: Ask, told: Told) -> Call {
    Call { client: 0, node: 0, invoked: from, returned: Some(to), ask, told }
}

fn read(from: u64, to: u64, version: u64, price: u64, volume: u64) -> Call {
    call(from, to, Ask::Read, done(version, price, volume))
}

fn done(version: u64, price: u64, volume: u64) -> Told {
    Told::Done(Shown::whole(State { version, price, volume }))
}

fn left(volume: u64) -> Told {
    Told::Done(Shown { volume: Some(volume), ..Shown::default() })
}

fn is_right(calls: &[Call]) -> bool {
    check(BEFORE, calls.to_vec()).is_ok()
}

#[test]
fn answers_that_follow_each_other_are_right() {
    assert!(is_right(&[]));
    assert!(is_right(&[
        read(0, 1, 1, 1, 100),
        call(2, 3, Ask::Take(7), left(93)),
        call(4, 5, Ask::SetPrice(9), done(3, 9, 93)),
        call(6, 7, Ask::SetPriceIf { price: 10, version: 3 }, done(4, 10, 93)),
        call(8, 9, Ask::Take(94), Told::Refused),
        read(10, 11, 4, 10, 93),
    ]));
}

#[test]
fn a_read_may_be_of_either_side_of_a_write_at_the_same_time_and_not_go_back() {
    let take = call(0, 10, Ask::Take(7), left(93));
    assert!(is_right(&[take, read(1, 2, 1, 1, 100), read(3, 4, 2, 1, 93)]));
    assert!(!is_right(&[take, read(1, 2, 2, 1, 93), read(3, 4, 1, 1, 100)]), "it went back");
    assert!(!is_right(&[take, read(11, 12, 1, 1, 100)]), "an acknowledged write is not shown");
    assert!(!is_right(&[read(0, 1, 2, 1, 93), call(2, 3, Ask::Take(7), left(93))]), "too early");
}

#[test]
fn shares_are_sold_once() {
    let two = |left_one, left_other| {
        is_right(&[
            call(0, 10, Ask::Take(60), left(left_one)),
            call(0, 10, Ask::Take(40), left(left_other)),
        ])
    };
    assert!(two(40, 0) && two(0, 60));
    assert!(!two(40, 60), "both of the same hundred");
    assert!(!is_right(&[
        call(0, 1, Ask::Take(60), left(40)),
        call(2, 3, Ask::Take(40), Told::Refused)
    ]));
    assert!(!is_right(&[call(0, 1, Ask::Take(60), left(40)), call(2, 3, Ask::Take(60), left(0))]));
}

#[test]
fn what_is_unknown_may_happen_once_later_or_never() {
    let unknown = call(0, 5, Ask::Take(7), Told::Unknown);
    assert!(is_right(&[unknown, read(6, 7, 1, 1, 100), read(8, 9, 2, 1, 93)]));
    assert!(is_right(&[unknown, read(6, 7, 1, 1, 100), read(8, 9, 1, 1, 100)]));
    assert!(!is_right(&[unknown, read(6, 7, 2, 1, 93), read(8, 9, 3, 1, 86)]), "twice");
    let none = call(0, 5, Ask::Take(7), Told::NoEffect);
    assert!(!is_right(&[none, read(6, 7, 2, 1, 93)]));
}

#[test]
fn versions_that_are_expected_must_be_there() {
    let set = Ask::SetPriceIf { price: 5, version: 1 };
    assert!(!is_right(&[
        call(0, 1, Ask::SetPrice(4), done(2, 4, 100)),
        call(2, 3, set, done(3, 5, 100)),
    ]));
}

#[test]
fn many_unknown_writes_are_no_matter_for_long() {
    let mut calls: Vec<Call> =
        (0..60).map(|it| call(it, it, Ask::SetPrice(1000 + it), Told::Unknown)).collect();
    // Some of them have taken effect, in another order than they were asked.
    let mut version = 1;
    for (at, price) in [(100, 1040), (200, 1002), (300, 1031)] {
        version += 1;
        calls.push(read(at, at + 1, version, price, 100));
    }
    assert!(is_right(&calls));
    calls.push(read(400, 401, version + 1, 7, 100));
    assert_eq!(check(BEFORE, calls).unwrap_err().call.invoked, 400);
}

#[test]
fn writes_of_other_nodes_may_be_shown_late_but_not_in_another_order() {
    let elsewhere = |call: Call| Call { node: 1, ..call };
    let calls = vec![
        elsewhere(call(0, 1, Ask::SetPrice(5), done(2, 5, 100))),
        elsewhere(call(2, 3, Ask::SetPrice(6), done(3, 6, 100))),
        read(10, 11, 1, 1, 100),
        read(20, 21, 3, 6, 100),
    ];
    let mut history = History { before: BEFORE, calls };
    assert_eq!(through_node(&history, 0), Ok(()));
    assert_eq!(across_nodes(&history), Ok(()));
    // Behind a fence it is too late.
    history.calls[2].ask = Ask::FencedRead;
    assert!(across_nodes(&history).is_err());
    history.calls[2].ask = Ask::Read;
    history.calls.push(read(30, 31, 2, 5, 100));
    assert!(through_node(&history, 0).is_err());
}

/// Small random histories, judged by trying every order of every subset of the unknown calls.
#[test]
fn the_search_says_what_trying_all_orders_says() {
    let mut random = 7_u64;
    let mut below = |bound: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let (mut right, mut wrong) = (0, 0);
    for _ in 0..20_000 {
        let calls: Vec<Call> = (0..below(5) + 1)
            .map(|number| {
                let from = below(8);
                let ask = match below(3) {
                    0 => Ask::Read,
                    1 => Ask::Take(10 + number),
                    _ => Ask::SetPrice(10 + number),
                };
                let (version, price, volume) = (
                    1 + below(3),
                    [1, 10, 11][below(3) as usize],
                    100 - [0, 10, 11][below(3) as usize],
                );
                let told = match (ask, below(4)) {
                    (Ask::Read, _) => done(version, price, volume),
                    (_, 0) => Told::Unknown,
                    (Ask::Take(_), _) => left(volume),
                    _ => done(version, price, volume),
                };
                call(from, from + below(6), ask, told)
            })
            .collect();
        let expected = some_order_is_right(BEFORE, &calls);
        assert_eq!(is_right(&calls), expected, "{calls:?}");
        *if expected { &mut right } else { &mut wrong } += 1;
    }
    assert!(right > 1000 && wrong > 1000, "{right} and {wrong}");
}

fn some_order_is_right(state: State, calls: &[Call]) -> bool {
    if calls.iter().all(|call| call.told == Told::Unknown) {
        return true;
    }
    let ends = calls.iter().filter(|call| call.told != Told::Unknown);
    let first_end = ends.filter_map(|call| call.returned).min().unwrap();
    (0..calls.len()).filter(|&at| calls[at].invoked <= first_end).any(|at| {
        let mut rest = calls.to_vec();
        let call = rest.remove(at);
        state.after(call.ask, call.told).is_some_and(|after| some_order_is_right(after, &rest))
    })
}
