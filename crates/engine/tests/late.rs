//! Writes that come late: whatever the order in which they come, the newest by its time stays.

use std::sync::Arc;

use proptest::prelude::*;
use stockd_engine::{Access, Catalog, Engine, Sync, Transaction};
use stockd_model::{Conditional, Edit, Fields, Price, Refusal, Reply, Request, Symbol};
use stockd_store::simulation::Disk;

fn symbol() -> Symbol {
    "TICK".parse().unwrap()
}

/// One write: its price, and its time if it has one.
fn write((number, time_ns): (usize, Option<u64>)) -> Request {
    let price = Price::new(number as i64 + 1, 2).into();
    let time_ns = time_ns.map_or(Edit::Keep, Edit::Set);
    Request::Set(symbol(), Fields { price, time_ns, ..Fields::default() })
}

/// Checks the replies to a history, and what is left. Versions have no gaps, and the price is that of the
/// last write that was not late.
fn check(engine: &Engine, times: &[Option<u64>], replies: &[Reply]) {
    let (mut version, mut latest, mut price, mut late) = (0, None, None, 0);
    for (number, (&time, reply)) in times.iter().zip(replies).enumerate() {
        match (time, latest) {
            (Some(time_ns), Some(latest_ns)) if time_ns < latest_ns => {
                let refusal = Refusal::Late { symbol: symbol(), time_ns, latest_ns };
                assert_eq!(*reply, Reply::Refused(refusal), "write {number}");
                late += 1;
            }
            _ => {
                version += 1;
                latest = time.or(latest);
                price = Price::new(number as i64 + 1, 2);
                let (Reply::Listed(quote) | Reply::Updated(quote)) = *reply else {
                    panic!("write {number}: {reply:?}")
                };
                assert_eq!((quote.version, quote.price, quote.time_ns), (version, price, latest));
            }
        }
    }
    let quote = engine.quote(&Access::All, &symbol()).unwrap();
    assert_eq!((quote.version, quote.price, quote.time_ns), (version, price, latest));
    assert_eq!(quote.time_ns, times.iter().flatten().max().copied());
    assert_eq!((engine.totals().refused_late, engine.totals().refusals), (late, late));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_history_in_any_order_ends_with_the_newest_by_time(
        times in prop::collection::vec(prop::option::weighted(0.8, 0..20_u64), 1..40),
        transacted: bool, durable: bool,
    ) {
        let engine = match durable {
            false => Arc::new(Engine::default()),
            true => {
                let database = Box::new(Disk::default().open().unwrap());
                Arc::new(Engine::durable(Catalog::new(), 0, database, Sync::Always))
            }
        };
        let writes: Vec<Request> = times.iter().copied().enumerate().map(write).collect();
        let mut executor = engine.executor();
        let replies = if transacted {
            let transaction = Transaction::new(Vec::new(), writes);
            match executor.transact(&Access::All, transaction) {
                stockd_engine::Outcome::Executed { replies, .. } => replies,
                outcome => panic!("{outcome:?}"),
            }
        } else {
            let asked: Vec<_> = writes.into_iter().map(Conditional::from).collect();
            executor.batch(&Access::All).execute_all(&asked)
        };
        check(&engine, &times, &replies);
    }
}
