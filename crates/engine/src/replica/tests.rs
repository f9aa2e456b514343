use stockd_access::Access;
use stockd_model::{Condition, Conditional, Edit, Fields, Symbol, Volume};

use super::*;
use crate::write_queue::WriteHandle;

/// A hash for tests (FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn replicated(capacity: usize, stocks_max: usize) -> (Engine, Replica) {
    let catalog = Catalog::with_capacity(capacity);
    Engine::replicated(Replicated { catalog, version_floor: 0, stocks_max, epoch: 7, hash: fnv })
}

fn symbol(number: usize) -> Symbol {
    format!("S{number}").parse().unwrap()
}

fn set(number: usize, volume: u64) -> Request {
    let fields = Fields {
        price: Edit::Set("1.5".parse().unwrap()),
        volume: Edit::Set(Volume::new(volume)),
        ..Fields::default()
    };
    Request::Set(symbol(number), fields)
}

fn one(request: Request) -> Command {
    Command::One(request.into())
}

fn quotes(engine: &Engine) -> Vec<Quote> {
    let mut quotes = engine.browse(&Access::All, 0, usize::MAX).quotes;
    quotes.sort_by_key(|quote| quote.symbol.as_str().to_owned());
    quotes
}

/// The sum of the hashes of all quotes, from the quotes themselves.
fn sum_of_rows(replica: &Replica) -> u64 {
    Tally::of(&replica.market.catalog, fnv).quotes
}

/// What clients were answered.
fn answers(handle: &mut WriteHandle) -> Vec<(u64, Answered)> {
    handle.take(Vec::new()).into_iter().map(|(to, answered)| (to.0, answered)).collect()
}

#[test]
fn replicas_hold_the_same_whenever_they_show_it() {
    let (one_engine, mut first) = replicated(0, 1000);
    let (other_engine, mut second) = replicated(500, 1000);
    let mut number = 1_usize;
    for round in 0..3000_u64 {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let stock = number >> 33;
        let command = match round % 4 {
            0 => one(Request::Delist(symbol(stock % 50))),
            1 => one(set(stock % 1000, round)),
            2 => Command::Together(
                Vec::new(),
                vec![set(stock % 50, 9), Request::Delist(symbol(stock % 7))],
            ),
            _ => one(Request::Trade(symbol(stock % 50), (-3).into())),
        };
        // Clocks of nodes go back, too.
        let time_ns = 1000 + round % 100 * 10;
        first.decide(time_ns, std::slice::from_ref(&command)).unwrap();
        second.decide(time_ns, &[command]).unwrap();
        first.show();
        if round % 64 == 63 {
            second.show();
            assert_eq!(first.holdings(), second.holdings());
        }
    }
    second.show();
    assert_eq!(quotes(&one_engine), quotes(&other_engine));
    assert!(quotes(&one_engine).iter().all(|quote| quote.updated_ns < 3000));
    let holdings = first.holdings();
    assert_eq!(
        (holdings.quotes, holdings.stocks),
        (sum_of_rows(&first), one_engine.count(&Access::All).unwrap() as u64)
    );
}

#[test]
fn what_changed_brings_a_store_from_one_moment_to_the_next() {
    let (engine, mut replica) = replicated(0, 1000);
    replica.decide(1, &[one(set(1, 1))]).unwrap();
    replica.show();
    replica.note_changes();
    let mut kept = std::collections::BTreeMap::from([(symbol(1), quotes(&engine)[0])]);
    for round in 0..300_usize {
        let command = match round % 3 {
            0 => one(Request::Delist(symbol(round % 7))),
            _ => one(set(round % 11, round as u64)),
        };
        replica.decide(9, &[command]).unwrap();
        if round % 5 == 0 {
            replica.show();
        }
        if round % 20 == 0 {
            assert!(replica.changed() <= 11);
            for write in replica.take_changes() {
                match write {
                    Write::Put(quote) => _ = kept.insert(quote.symbol, quote),
                    Write::Remove(symbol) => _ = kept.remove(&symbol),
                }
            }
            let mut kept: Vec<Quote> = kept.values().copied().collect();
            kept.sort_by_key(|quote| quote.symbol.as_str().to_owned());
            assert_eq!(kept, quotes(&engine), "round {round}");
        }
    }
}

#[test]
fn the_limit_on_stocks_is_that_of_the_cluster() {
    let (_one, mut first) = replicated(0, 2);
    let (_other, mut second) = replicated(0, 2);
    for (at, command) in [set(1, 1), set(2, 1), set(3, 1), Request::Delist(symbol(1)), set(4, 1)]
        .map(one)
        .into_iter()
        .enumerate()
    {
        first.decide(1, std::slice::from_ref(&command)).unwrap();
        second.decide(1, &[command]).unwrap();
        if at % 2 == 0 {
            first.show();
        }
    }
    first.show();
    second.show();
    assert_eq!((first.holdings(), first.holdings().stocks), (second.holdings(), 2));
}

/// A node whose own catalog is smaller than the cluster's limit says: what it has decided wrong from there on is shown to
/// no one, neither what was decided over the rows nor what would be changed in them.
#[test]
fn behind_what_has_no_room_nothing_is_shown() {
    let options = stockd_catalog::Options { stocks_max: 2, ..Default::default() };
    let catalog = Catalog::with_options(options);
    let (engine, mut replica) = Engine::replicated(Replicated {
        catalog,
        version_floor: 0,
        stocks_max: 1000,
        epoch: 7,
        hash: fnv,
    });
    replica.decide(1, &[one(set(1, 1)), one(set(2, 1))]).unwrap();
    replica.show();
    let before = quotes(&engine);
    let moved = Command::Together(Vec::new(), vec![set(3, 1), set(2, 5)]);
    replica.decide(2, &[moved, one(set(2, 9)), one(set(1, 9))]).unwrap_err();
    assert_eq!(quotes(&engine), before);
}

/// Edits of listed stocks are made in their rows, what else is decided beside them over the rows: each finds what the
/// other has made.
#[test]
fn edits_in_rows_and_what_is_pending_over_them_are_decided_in_order() {
    let (engine, mut replica) = replicated(0, 1000);
    replica.decide(1, &[one(set(1, 10)), one(set(2, 10))]).unwrap();
    replica.show();
    let trade = |number: usize| Request::Trade(symbol(number), (-3).into());
    let version_is = |version| Condition::Version(version);
    let on_version =
        |version, request| Command::One(Conditional { condition: version_is(version), request });
    replica
        .decide(
            2,
            &[
                on_version(1, trade(1)),
                on_version(1, trade(1)),
                Command::Together(vec![(symbol(1), version_is(2))], vec![trade(1), trade(2)]),
                on_version(3, trade(1)),
                one(trade(2)),
                one(Request::Delist(symbol(2))),
                one(trade(2)),
                one(set(2, 7)),
                one(trade(2)),
            ],
        )
        .unwrap();
    replica.show();
    let held = quotes(&engine).iter().map(|it| (it.version, it.volume)).collect::<Vec<_>>();
    assert_eq!(held, [(4, Some(Volume::new(1))), (6, Some(Volume::new(4)))]);
    assert_eq!(replica.holdings().quotes, sum_of_rows(&replica));
}

#[test]
fn what_was_asked_is_answered_in_order_when_its_batch_is_shown() {
    let (engine, mut replica) = replicated(0, 1000);
    let mut handle = engine.write_handle(|| {}).unwrap();
    let requests =
        [set(1, 2), Request::Trade(symbol(1), (-5).into()), Request::Lookup(Ok(symbol(1)))];
    for (to, request) in (0..).zip(requests) {
        handle.submit(&Access::All, ReplyTo(to), request);
    }
    let moved = vec![Request::Trade(symbol(1), (-1).into()), Request::Lookup(Ok(symbol(1)))];
    handle.submit_transaction(&Access::All, ReplyTo(3), Transaction::new(Vec::new(), moved));
    handle.submit(&Access::nothing(), ReplyTo(4), set(9, 9));
    handle.flush();
    assert!(replica.wait(Instant::now()) && replica.is_asked());
    let (commands, pending) = replica.gather();
    assert_eq!((commands.count(), replica.is_asked(), pending.is_empty()), (3, false, false));
    assert_eq!(
        (quotes(&engine), answers(&mut handle)),
        (vec![], vec![]),
        "nothing before it is back"
    );

    replica.decide_own(5, pending).unwrap();
    assert!(answers(&mut handle).is_empty(), "nor before it is shown");
    replica.show();
    let told = answers(&mut handle);
    assert_eq!(told.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(matches!(told[0].1, Answered::Reply(Reply::Listed(_))));
    assert!(matches!(told[1].1, Answered::Reply(Reply::Refused(Refusal::VolumeTooLow { .. }))));
    assert!(matches!(told[2].1, Answered::Reply(Reply::Found(Quote { updated_ns: 5, .. }))));
    let Answered::Outcome(outcome) = &told[3].1 else { panic!("{told:?}") };
    let Outcome::Executed { replies, .. } = &**outcome else { panic!("{outcome:?}") };
    assert!(matches!(replies[..], [Reply::Updated(now), Reply::Found(found)] if now == found));
    assert!(matches!(told[4].1, Answered::Reply(Reply::Refused(Refusal::NotPermitted { .. }))));
    let totals = engine.totals();
    assert_eq!((totals.listings, totals.trades, totals.refusals, totals.hits), (1, 1, 1, 2));
    assert_eq!(totals.not_permitted, 1);
}

#[test]
fn more_than_a_batch_has_room_for_goes_into_several() {
    let (engine, mut replica) = replicated(0, 100_000);
    let mut handle = engine.write_handle(|| {}).unwrap();
    for number in 0..10_000 {
        handle.submit(&Access::All, ReplyTo(number as u64), set(number, 1));
    }
    handle.flush();
    replica.wait(Instant::now());
    let mut counts = Vec::new();
    while replica.is_asked() {
        let (commands, pending) = replica.gather();
        counts.push(commands.count());
        replica.decide_own(1, pending).unwrap();
    }
    replica.show();
    assert!(counts.len() > 1 && counts.iter().sum::<usize>() == 10_000, "{counts:?}");
    let order: Vec<u64> = answers(&mut handle).into_iter().map(|(to, _)| to).collect();
    assert_eq!(order, (0..10_000).collect::<Vec<_>>());

    let delistings = (0..10_000).map(|_| Request::Delist("x".repeat(48).parse().unwrap()));
    let transaction = Transaction::new(Vec::new(), delistings.collect());
    handle.submit_transaction(&Access::All, ReplyTo(1), transaction);
    handle.submit(&Access::All, ReplyTo(2), set(1, 1));
    handle.flush();
    replica.wait(Instant::now());
    let (commands, pending) = replica.gather();
    assert_eq!(commands.count(), 1);
    replica.decide_own(1, pending).unwrap();
    replica.show();
    let told = answers(&mut handle);
    let [(1, Answered::Outcome(outcome)), (2, Answered::Reply(Reply::Updated(_)))] = &told[..]
    else {
        panic!("{told:?}")
    };
    let refused = Outcome::Refused(Refusal::ClusterDown { cause: TOO_LARGE });
    assert_eq!(**outcome, refused);
}

#[test]
fn what_is_refused_changes_nothing_and_lookups_in_it_are_answered() {
    let (engine, mut replica) = replicated(0, 1000);
    let mut handle = engine.write_handle(|| {}).unwrap();
    handle.submit(&Access::All, ReplyTo(0), set(1, 1));
    handle.submit(&Access::All, ReplyTo(1), Request::Lookup(Ok(symbol(1))));
    handle.submit_transaction(&Access::All, ReplyTo(2), Transaction::default());
    handle.flush();
    replica.wait(Instant::now());
    let (commands, pending) = replica.gather();
    assert_eq!(commands.count(), 2, "a fence is a command");
    replica.refuse(pending, Refusal::Uncertain);
    replica.show();
    let told: Vec<Answered> = answers(&mut handle).into_iter().map(|(_, told)| told).collect();
    let refused = Answered::Reply(Reply::Refused(Refusal::Uncertain));
    let outcome = Answered::Outcome(Box::new(Outcome::Refused(Refusal::Uncertain)));
    assert_eq!(told, [refused, Answered::Reply(Reply::NotFound), outcome]);
    assert_eq!(quotes(&engine), []);
    engine.close(std::time::Duration::ZERO).unwrap();
    assert!(!replica.wait(Instant::now()));
}

#[test]
fn an_interrupt_ends_the_wait() {
    let (_engine, mut replica) = replicated(0, 1000);
    let interrupter = replica.interrupter();
    let far = Instant::now() + std::time::Duration::from_secs(3600);
    interrupter.interrupt();
    assert!(replica.wait(far));
    let thread = std::thread::spawn(move || interrupter.interrupt());
    assert!(replica.wait(far));
    thread.join().unwrap();
}

#[test]
fn a_condition_is_decided_in_the_order_of_the_log() {
    let (_engine, mut replica) = replicated(0, 1000);
    let condition = stockd_model::Condition::Version(1);
    let taken = Command::One(Conditional { condition, request: set(1, 7) });
    replica.decide(1, &[one(set(1, 5)), taken.clone(), taken]).unwrap();
    replica.show();
    let quote = replica.market.catalog.get(&symbol(1)).unwrap();
    assert_eq!((quote.version, quote.volume), (2, Some(Volume::new(7))));
}
