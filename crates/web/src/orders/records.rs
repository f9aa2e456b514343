//! Where orders are kept: in a file beside the quotes, or in memory.
//!
//! The file `orders` has places of [`RECORD_BYTES`]; order n lies in place n modulo their number:
//!
//! ```text
//!    0        8        16         24       72       73    74      75     80      88
//!    │ number │ epoch  │ quantity │ symbol │ length │ side │ scale │ zero │ check │
//! ```
//!
//! Numbers are little-endian. The quantity is `quantity × 10^-scale`; side is 0 for buy and 1 for sell; the check is
//! FNV-1a of all before it. It knows no count of orders. Invariant: what is read is what was written last under its
//! number in this epoch, or nothing; and what was kept lies where the next start will look for it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use stockd_model::limits::{ORDERS_KEPT, ORDERS_KEPT_IN_MEMORY, ORDERS_TOGETHER_MAX};
use stockd_model::{Shares, Symbol, Volume};

use crate::door::lock;

/// Bytes of the record of one order.
pub(crate) const RECORD_BYTES: usize = 88;

/// The name of the file.
pub(crate) const FILE: &str = "orders";

/// Places of the file: those that are written are none of the orders that are kept.
pub(crate) const PLACES: u64 = ORDERS_KEPT + ORDERS_TOGETHER_MAX as u64;

/// An order that was executed, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) symbol: Symbol,
    /// Taken by a buyer, added by a seller.
    pub(crate) shares: Shares,
}

/// The orders that are kept.
#[derive(Debug)]
pub(crate) enum Records {
    Memory(Mutex<VecDeque<Order>>),
    File(OrdersFile),
}

/// The file of orders. It is made with the first one.
#[derive(Debug)]
pub(crate) struct OrdersFile {
    path: PathBuf,
    epoch: u64,
    /// Whether records are forced to the disk.
    syncs: bool,
    file: OnceLock<File>,
    /// Why nothing is written any more: after a failed sync nothing is known of what the disk has.
    failed: OnceLock<String>,
}

impl Records {
    pub(crate) fn in_memory() -> Records {
        Records::Memory(Mutex::default())
    }

    pub(crate) fn in_directory(directory: &Path, epoch: u64, syncs: bool) -> Records {
        let path = directory.join(FILE);
        let (file, failed) = (OnceLock::new(), OnceLock::new());
        Records::File(OrdersFile { path, epoch, syncs, file, failed })
    }

    /// How many orders are kept at most: the last ones.
    pub(crate) fn kept_max(&self) -> u64 {
        match self {
            Records::Memory(_) => ORDERS_KEPT_IN_MEMORY as u64,
            Records::File(_) => ORDERS_KEPT,
        }
    }

    /// Keeps orders with consecutive numbers, at most [`ORDERS_TOGETHER_MAX`]. In a file it blocks.
    ///
    /// # Errors
    ///
    /// Why they may not be kept; then no further ones are.
    pub(crate) fn keep(&self, orders: &[Order]) -> Result<(), String> {
        match self {
            Records::Memory(kept) => {
                let mut kept = lock(kept);
                kept.extend(orders);
                let more = kept.len().saturating_sub(ORDERS_KEPT_IN_MEMORY);
                kept.drain(..more);
                Ok(())
            }
            Records::File(file) => {
                if let Some(why) = file.failed.get() {
                    return Err(why.clone());
                }
                file.write(orders).map_err(|error| {
                    let path = file.path.display();
                    let why = format!(
                        "orders cannot be kept in '{path}': {error}; see to the disk and start the server again"
                    );
                    tracing::error!("{why}");
                    file.failed.get_or_init(|| why).clone()
                })
            }
        }
    }

    /// The order of this number, if it is kept. In a file it blocks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(crate) fn find(&self, number: u64) -> io::Result<Option<Order>> {
        match self {
            Records::Memory(kept) => {
                let kept = lock(kept);
                let at = kept.binary_search_by_key(&number, |order| order.number);
                Ok(at.ok().and_then(|at| kept.get(at).copied()))
            }
            Records::File(file) => file.read(number),
        }
    }
}

impl OrdersFile {
    fn write(&self, orders: &[Order]) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = self.open(true)?;
                // So that the file is found after a power failure.
                if let Some(directory) = self.path.parent().filter(|_| self.syncs) {
                    File::open(directory)?.sync_all()?;
                }
                self.file.get_or_init(|| file)
            }
        };
        // Two pieces where the last place is passed.
        let runs = orders.chunk_by(|_, order| order.number % PLACES != 0);
        for run in runs {
            let Some(first) = run.first() else { continue };
            let bytes: Vec<u8> = run.iter().flat_map(|order| encode(order, self.epoch)).collect();
            file.write_all_at(&bytes, offset(first.number))?;
        }
        if self.syncs {
            file.sync_data()?;
        }
        // A file without its name can be written on, and is gone at the next start.
        if self.leads_to(file)? {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "it was replaced by another"))
        }
    }

    /// Whether its name still leads to the file that was opened.
    fn leads_to(&self, file: &File) -> io::Result<bool> {
        let [named, opened] = [self.path.metadata()?, file.metadata()?];
        Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
    }

    fn read(&self, number: u64) -> io::Result<Option<Order>> {
        let file = match self.file.get() {
            Some(file) => file,
            None => match self.open(false) {
                Ok(file) => self.file.get_or_init(|| file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let mut record = [0; RECORD_BYTES];
        match file.read_exact_at(&mut record, offset(number)) {
            Ok(()) => Ok(decode(&record)
                .filter(|(order, epoch)| order.number == number && *epoch == self.epoch)
                .map(|(order, _)| order)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, creates: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(creates).mode(0o600).open(&self.path)
    }
}

fn offset(number: u64) -> u64 {
    number % PLACES * RECORD_BYTES as u64
}

fn encode(order: &Order, epoch: u64) -> [u8; RECORD_BYTES] {
    let (side, quantity) = match order.shares {
        Shares::Take(quantity) => (0, quantity),
        Shares::Add(quantity) => (1, quantity),
    };
    let name = order.symbol.as_bytes();
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&order.number.to_le_bytes());
    record[8..16].copy_from_slice(&epoch.to_le_bytes());
    record[16..24].copy_from_slice(&quantity.coefficient().to_le_bytes());
    record[24..24 + name.len()].copy_from_slice(name);
    record[72] = name.len() as u8;
    record[73] = side;
    record[74] = quantity.places();
    let check = fnv(&record[..80]);
    record[80..].copy_from_slice(&check.to_le_bytes());
    record
}

/// The order of a record and its epoch, if it is whole.
pub(crate) fn decode(record: &[u8; RECORD_BYTES]) -> Option<(Order, u64)> {
    let number = |at: usize| Some(u64::from_le_bytes(*record.get(at..)?.first_chunk()?));
    if number(80)? != fnv(record.get(..80)?) {
        return None;
    }
    let &[length, side, places] = record.get(72..75)?.first_chunk()?;
    let name = record.get(24..72)?.get(..length.into())?;
    let quantity = Volume::with_places(number(16)?, places)?;
    let shares = match side {
        0 => Shares::Take(quantity),
        1 => Shares::Add(quantity),
        _ => return None,
    };
    let order = Order { number: number(0)?, symbol: Symbol::parse(name).ok()?, shares };
    Some((order, number(8)?))
}

/// FNV-1a with 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 7;

    fn order(number: u64) -> Order {
        let quantity = Volume::with_places(number * 10 + 5, 3).unwrap();
        let shares =
            if number.is_multiple_of(2) { Shares::Take(quantity) } else { Shares::Add(quantity) };
        Order { number, symbol: format!("S{number}").parse().unwrap(), shares }
    }

    fn orders(from: u64, to: u64) -> Vec<Order> {
        (from..to).map(order).collect()
    }

    #[test]
    fn what_was_kept_is_found_after_a_restart_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let open = |epoch| Records::in_directory(directory.path(), epoch, true);
        let records = open(EPOCH);
        assert_eq!(records.find(0).unwrap(), None, "there is no file yet");
        records.keep(&orders(0, 10)).unwrap();
        // The last place is passed, and those before are left as they are.
        records.keep(&orders(PLACES - 3, PLACES + 2)).unwrap();
        for records in [records, open(EPOCH)] {
            for number in (2..10).chain(PLACES - 3..PLACES + 2) {
                assert_eq!(records.find(number).unwrap(), Some(order(number)));
            }
            for number in [0, 1, 10, PLACES + 2, u64::MAX] {
                assert_eq!(records.find(number).unwrap(), None, "{number}");
            }
        }
        assert_eq!(open(EPOCH + 1).find(5).unwrap(), None, "of another data directory");
    }

    #[test]
    fn a_record_that_is_cut_or_damaged_is_none() {
        let whole = encode(&order(12), EPOCH);
        assert_eq!(decode(&whole), Some((order(12), EPOCH)));
        for at in 0..RECORD_BYTES {
            let mut torn = whole;
            torn[at..].fill(0);
            assert_ne!(torn, whole);
            assert_eq!(decode(&torn), None, "{at}");
            let mut changed = whole;
            changed[at] ^= 1;
            assert_eq!(decode(&changed), None, "{at}");
        }
    }

    #[test]
    fn memory_keeps_the_last_ones() {
        let records = Records::in_memory();
        let last = ORDERS_KEPT_IN_MEMORY as u64 + 5;
        (0..last).for_each(|number| records.keep(&[order(number)]).unwrap());
        assert_eq!(records.find(4).unwrap(), None);
        assert_eq!(records.find(5).unwrap(), Some(order(5)));
        assert_eq!(records.find(last - 1).unwrap(), Some(order(last - 1)));
        assert_eq!(records.find(last).unwrap(), None);
    }

    /// Somebody moves the file, or puts another in its place, while orders are made.
    #[test]
    fn a_file_that_is_not_where_it_was_keeps_no_order() {
        for is_replaced in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let records = Records::in_directory(directory.path(), EPOCH, true);
            records.keep(&orders(0, 1)).unwrap();
            let path = directory.path().join(FILE);
            std::fs::rename(&path, directory.path().join("moved")).unwrap();
            if is_replaced {
                std::fs::write(&path, b"").unwrap();
            }
            let why = records.keep(&orders(1, 2)).unwrap_err();
            assert!(why.contains("orders cannot be kept in"), "{why}");
            // What was kept is read from the file that was opened.
            assert_eq!(records.find(0).unwrap(), Some(order(0)));
        }
    }

    #[test]
    fn after_a_failure_nothing_is_kept_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::in_directory(&directory.path().join("gone"), EPOCH, true);
        let why = records.keep(&orders(0, 1)).unwrap_err();
        assert!(why.contains("orders cannot be kept in"), "{why}");
        std::fs::create_dir(directory.path().join("gone")).unwrap();
        assert_eq!(records.keep(&orders(0, 1)), Err(why));
    }
}
