//! The story: somebody follows a log that is kept elsewhere, and keeps with the quotes how far it has
//! come. It does not sync each commit. The power fails at any moment; what is left then is the
//! catalog at one of its positions, at the last synced one or later, and it follows from there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stockd_model::{Price, Quote, Symbol};
use stockd_store::simulation::{Disk, Fault, Random, for_each_seed};
use stockd_store::{Database, Durability, Write};

/// Entry number `number` of the log: what it does, and the version floor behind it.
fn entry(number: u64) -> (Write, u64) {
    let mut random = Random(number);
    let symbol: Symbol = format!("S{}", random.below(50)).parse().unwrap();
    let write = match random.below(5) {
        0 => Write::Remove(symbol),
        _ => Write::Put(Quote {
            price: Price::new(number as i64, 2),
            version: number,
            ..Quote::new(symbol)
        }),
    };
    (write, number)
}

/// The catalog after this many entries.
fn after(entries: u64) -> BTreeMap<Symbol, Quote> {
    let mut quotes = BTreeMap::new();
    for (write, _) in (1..=entries).map(entry) {
        match write {
            Write::Put(quote) => drop(quotes.insert(quote.symbol, quote)),
            Write::Remove(symbol) => drop(quotes.remove(&symbol)),
        }
    }
    quotes
}

fn position(database: &Database) -> u64 {
    let kept = database.position().map(|bytes| bytes.try_into().expect("8 bytes"));
    kept.map_or(0, u64::from_le_bytes)
}

/// Where it stands, after it was compared with the log.
fn compared(database: &Database) -> u64 {
    let position = position(database);
    let mut quotes = BTreeMap::new();
    let floor = database.load(|quote| {
        quotes.insert(quote.symbol, quote);
        ControlFlow::Continue(())
    });
    assert_eq!((quotes, floor.unwrap()), (after(position), position));
    position
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut disk = Disk::default().seeded(random.number());
    let mut kept = 0;
    for _ in 0..3 {
        let mut database = disk.open_database().unwrap();
        let mut at = compared(&database);
        assert!(at >= kept, "synced at {kept}, found at {at}");
        disk.order(Fault::Power { at: 1 + random.below(200) });
        for _ in 0..random.below(40) {
            let step = 1 + random.below(8);
            let (writes, floors): (Vec<_>, Vec<_>) = (at + 1..=at + step).map(entry).unzip();
            let mut latest = BTreeMap::new();
            latest.extend(writes.iter().map(|write| (*write.symbol(), *write)));
            let writes: Vec<_> = latest.into_values().collect();
            let synced = random.below(6) == 0;
            let durability = if synced { Durability::Synced } else { Durability::Unsynced };
            let floor = floors.last().copied().unwrap_or_default();
            let position = (at + step).to_le_bytes();
            if database.commit_at(&writes, floor, &position, durability).is_err() {
                assert!(disk.has_failed());
                break;
            }
            at += step;
            if synced {
                kept = at;
            }
        }
        if random.below(3) == 0 {
            drop(database);
            kept = if disk.has_failed() { kept } else { at };
        } else {
            disk.order(Fault::Power { at: 1 });
            drop(database);
        }
        disk = disk.after_power_loss(random.number());
    }
    assert!(compared(&disk.open_database().unwrap()) >= kept);
}

#[test]
fn what_is_left_is_the_catalog_at_its_position() {
    for_each_seed(300, run);
}
