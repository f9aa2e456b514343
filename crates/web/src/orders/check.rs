//! Reads all orders of a data directory that is not in use, and changes nothing in it.
//!
//! It knows no quotes but the one that counts orders. Invariant: what is no record of an order that is kept counts for
//! nothing, whatever it is.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use stockd_model::Quote;
use stockd_model::limits::{CHECK_DAMAGED_RECORDS_SHOWN_MAX, ORDERS_KEPT};

use crate::orders::ledger::{COUNT, number_in};
use crate::orders::records::{FILE, PLACES, RECORD_BYTES, decode};

/// A check of the orders beside the quotes of a data directory.
#[derive(Debug, Default)]
pub struct OrdersCheck {
    counted: u64,
}

/// What there is of the orders of a data directory. Prints as lines for people.
#[derive(Debug)]
#[non_exhaustive]
pub struct OrdersReport {
    /// The file.
    pub file: PathBuf,
    /// Orders that were executed.
    pub counted: u64,
    /// Those that can be asked for: of the last million.
    pub kept: u64,
    /// Those whose record is none.
    pub damaged: u64,
    /// The numbers of the first of them, at most [`CHECK_DAMAGED_RECORDS_SHOWN_MAX`].
    pub damaged_numbers: Vec<u64>,
}

impl OrdersCheck {
    /// Takes note of a quote of the directory: one of them counts the orders.
    pub fn note(&mut self, quote: &Quote) {
        if quote.symbol.as_str() == COUNT {
            self.counted = number_in(quote);
        }
    }

    /// Reads the file of orders, where there is one or should be.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(self, directory: &Path, epoch: u64) -> io::Result<Option<OrdersReport>> {
        let OrdersCheck { counted } = self;
        let path = directory.join(FILE);
        let (mut kept, mut damaged, mut damaged_numbers) = (0, 0, Vec::new());
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && counted > 0 => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut records = file.map(BufReader::new);
        for place in 0..PLACES {
            let Some(file) = &mut records else { break };
            let mut record = [0; RECORD_BYTES];
            match file.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            let Some(number) = number_at(place, counted) else { continue };
            match decode(&record) {
                Some((order, of)) => kept += u64::from(order.number == number && of == epoch),
                // Nothing was ever written there: the orders are older than the file.
                None if record == [0; RECORD_BYTES] => {}
                None => {
                    damaged += 1;
                    if damaged_numbers.len() < CHECK_DAMAGED_RECORDS_SHOWN_MAX {
                        damaged_numbers.push(number);
                    }
                }
            }
        }
        Ok(Some(OrdersReport { file: path, counted, kept, damaged, damaged_numbers }))
    }
}

/// The number of the order in a place, if one that is kept lies there.
fn number_at(place: u64, counted: u64) -> Option<u64> {
    let first = counted.saturating_sub(ORDERS_KEPT);
    let number = first + (place + PLACES - first % PLACES) % PLACES;
    (number < counted).then_some(number)
}

impl fmt::Display for OrdersReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrdersReport { file, counted, kept, damaged, damaged_numbers } = self;
        write!(f, "orders    {counted}, kept {kept}, damaged {damaged}, {}", file.display())?;
        for number in damaged_numbers {
            write!(f, "\n  order {number}: its checksum is wrong")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::records::{Order, Records};

    const EPOCH: u64 = 7;

    fn check(directory: &Path, counted: u64) -> Option<OrdersReport> {
        let mut check = OrdersCheck::default();
        let symbol = COUNT.parse().unwrap();
        let volume = Some(stockd_model::Volume::new(counted));
        check.note(&Quote { volume, ..Quote::new(symbol) });
        check.note(&Quote { volume: None, ..Quote::new("A".parse().unwrap()) });
        check.read(directory, EPOCH).unwrap()
    }

    #[test]
    fn each_record_of_an_order_that_is_kept_is_looked_at_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check(directory.path(), 0).is_none());
        assert_eq!(check(directory.path(), 3).unwrap().kept, 0, "there is no file");
        let records = Records::in_directory(directory.path(), EPOCH, true);
        let order = |number| Order {
            number,
            symbol: "A".parse().unwrap(),
            shares: stockd_model::Shares::Take(stockd_model::Volume::new(1)),
        };
        records.keep(&(0..10).map(order).collect::<Vec<_>>()).unwrap();
        let whole = check(directory.path(), 10).unwrap();
        assert_eq!((whole.kept, whole.damaged), (10, 0));
        let path = directory.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        for number in [3, 9] {
            bytes[number * RECORD_BYTES + 30] ^= 1;
        }
        std::fs::write(&path, &bytes).unwrap();
        let report = check(directory.path(), 10).unwrap();
        assert_eq!((report.kept, report.damaged, &*report.damaged_numbers), (8, 2, &[3, 9][..]));
        let text = report.to_string();
        assert!(text.starts_with("orders    10, kept 8, damaged 2, ") && text.ends_with("wrong"));
        // The last one was cut by a crash, and does not count.
        assert_eq!(check(directory.path(), 9).unwrap().damaged, 1);
        // Places are used again.
        for (place, counted, number) in [
            (0, 1, Some(0)),
            (1, 1, None),
            (0, PLACES + 1, Some(PLACES)),
            (1, PLACES + 1, None),
            (PLACES - 1, PLACES + 1, Some(PLACES - 1)),
            (300, PLACES + 1, Some(300)),
        ] {
            assert_eq!(number_at(place, counted), number, "{place} {counted}");
        }
    }
}
