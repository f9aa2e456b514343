//! The story: a server commits, and the power fails: in the middle of a commit, between two, while
//! a checkpoint is written beside them, while it closes, or while it recovers from the time before. Or a
//! sync fails, or the disk is full, and the server is started again. Each time the store is opened from what is left and compared with a
//! naive model: it has all commits that returned, whole, and of the one that did not all or nothing.
//!
//! `STOCKD_SIMULATIONS=100000 cargo nextest run -p stockd-store` runs that many instead of the few
//! of every day; `STOCKD_SEED=7` runs that one alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stockd_model::{Price, Quote, Status, Symbol, Volume};
use stockd_store::simulation::{Disk, Fault, Random, for_each_seed};
use stockd_store::{Checkpoint, LoggedStore, Store, StoreError, Write, WrittenCheckpoint};

/// What a store should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    quotes: BTreeMap<Symbol, Quote>,
    version_floor: u64,
}

impl Model {
    fn of(store: &LoggedStore) -> Result<Model, StoreError> {
        let mut quotes = BTreeMap::new();
        let version_floor = store.load(|quote| {
            assert!(quotes.insert(quote.symbol, quote).is_none());
            ControlFlow::Continue(())
        })?;
        assert_eq!(store.stocks(), quotes.len() as u64);
        Ok(Model { quotes, version_floor })
    }

    fn after(&self, writes: &[Write], version_floor: u64) -> Model {
        let mut model = self.clone();
        for write in writes {
            match write {
                Write::Put(quote) => drop(model.quotes.insert(quote.symbol, *quote)),
                Write::Remove(symbol) => drop(model.quotes.remove(symbol)),
            }
        }
        model.version_floor = model.version_floor.max(version_floor);
        model
    }

    /// A commit that could come next.
    fn writes(&self, random: &mut Random) -> (Vec<Write>, u64) {
        let stocks = [3, 40, 1500][random.below(3) as usize];
        let mut writes = BTreeMap::new();
        let mut version_floor = self.version_floor;
        for _ in 0..=random.below(if stocks > 1000 { 300 } else { 20 }) {
            let symbol: Symbol = format!("STOCK {}", random.below(stocks)).parse().unwrap();
            let version =
                self.quotes.get(&symbol).map_or(self.version_floor, |old| old.version) + 1;
            let write = if random.below(4) == 0 {
                version_floor = version_floor.max(version);
                Write::Remove(symbol)
            } else {
                Write::Put(Quote {
                    price: Price::new(1 + random.below(1 << 62) as i64, random.below(19) as u8),
                    volume: Some(Volume::new(random.number())),
                    ask: Price::new(random.below(1 << 62) as i64, random.below(19) as u8),
                    time_ns: Some(random.number()).filter(|time| time % 2 == 0),
                    status: [Status::Trading, Status::Halted][random.below(2) as usize],
                    version,
                    updated_ns: random.number(),
                    ..Quote::new(symbol)
                })
            };
            writes.insert(symbol, write);
        }
        (writes.into_values().collect(), version_floor)
    }
}

/// A checkpoint on its way.
enum Work {
    Begun(Checkpoint),
    Written(WrittenCheckpoint),
}

/// Lives through a few failures; all that happens follows from the seed.
fn run(seed: u64) {
    let mut random = Random(seed);
    // Few commits to a segment, or one, or many.
    let segment_bytes = [512, 2048, 8192][random.below(3) as usize];
    let segments_max = 2 + random.below(3) as usize;
    let disk = Disk::default().with_segments(segment_bytes, segments_max);
    let mut disk = disk.seeded(random.number());
    let mut model = Model::default();
    let mut store = disk.open().unwrap();
    for _ in 0..=random.below(3) {
        let fault = match random.below(8) {
            0 => Fault::Sync { at: 1 + random.below(6) },
            1 => Fault::NoSpace { at: 1 + random.below(60) },
            2 => Fault::ShortWrite { at: 1 + random.below(60) },
            _ => Fault::Power { at: 1 + random.below(120) },
        };
        disk.order(fault);
        let (mut in_flight, mut checkpoint) = (None, None);
        for _ in 0..random.below(25) {
            // One is begun at some commit, written at a later one, and given back at another.
            checkpoint = match checkpoint.take() {
                None if random.below(3) == 0 => {
                    store.begin_checkpoint(random.below(2) == 0).map(Work::Begun)
                }
                Some(Work::Begun(begun)) if random.below(2) == 0 || store.log().is_full => {
                    Some(Work::Written(begun.write()))
                }
                Some(Work::Written(written)) if random.below(2) == 0 || store.log().is_full => {
                    let ended = store.end_checkpoint(written);
                    assert!(ended.is_ok() || disk.has_failed(), "{ended:?}");
                    None
                }
                other => other,
            };
            if checkpoint.is_some() && store.log().is_full {
                continue;
            }
            let (writes, version_floor) = model.writes(&mut random);
            let next = model.after(&writes, version_floor);
            match store.commit(&writes, version_floor) {
                Ok(()) => model = next,
                Err(first) => {
                    assert!(disk.has_failed(), "{first}");
                    // Nothing is kept any more, for the same cause.
                    let second = store.commit(&[], 0).unwrap_err();
                    assert_eq!(second.to_string(), first.to_string());
                    in_flight = Some(next);
                    break;
                }
            }
        }
        let power_fails = matches!(fault, Fault::Power { .. }) || random.below(2) == 0;
        if power_fails && !disk.has_failed() && random.below(2) == 0 {
            // Not while it closes but before.
            disk.order(Fault::Power { at: 1 });
        }
        drop((checkpoint, store));
        disk = left(&disk, power_fails, &mut random);
        // Recovery may be cut short, over and over.
        while random.below(3) == 0 {
            disk.order(Fault::Power { at: 1 + random.below(40) });
            if let Ok(opened) = disk.open() {
                match Model::of(&opened) {
                    Ok(found) => assert_is_one_of(&found, &model, in_flight.as_ref()),
                    Err(error) => assert!(disk.has_failed(), "{error}"),
                }
            }
            disk = left(&disk, true, &mut random);
        }
        store = disk.open().expect("what is left can be opened");
        let found = Model::of(&store).expect("every record is a quote");
        assert_is_one_of(&found, &model, in_flight.as_ref());
        model = found;
    }
}

fn left(disk: &Disk, power_fails: bool, random: &mut Random) -> Disk {
    if power_fails { disk.after_power_loss(random.number()) } else { disk.after_restart() }
}

fn assert_is_one_of(found: &Model, acknowledged: &Model, in_flight: Option<&Model>) {
    assert!(
        found == acknowledged || Some(found) == in_flight,
        "neither the last commit that was acknowledged nor the one in flight: {} stocks, {} and {:?} expected",
        found.quotes.len(),
        acknowledged.quotes.len(),
        in_flight.map(|model| model.quotes.len())
    );
}

#[test]
fn what_was_acknowledged_is_there_after_every_failure() {
    for_each_seed(1000, run);
}
