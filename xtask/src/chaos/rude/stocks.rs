//! Writers that list and delist as fast as they are let.

use std::io;
use std::ops::Range;

use super::super::scene::{Rude, RudeClient, Visit};

/// Lists stocks whose names begin like this, in commands one after the other.
pub(super) fn list(
    visit: &Visit<'_>,
    client: &mut RudeClient,
    prefix: &str,
    numbers: Range<usize>,
) -> io::Result<()> {
    let command = |number| format!("HSET {prefix}{number} price 1 volume 1\r\n");
    let commands: String = numbers.map(command).collect();
    client.exchange(visit, commands.as_bytes())
}

/// Delists them again.
pub(super) fn delist(
    visit: &Visit<'_>,
    client: &mut RudeClient,
    prefix: &str,
    numbers: Range<usize>,
) -> io::Result<()> {
    let commands: String = numbers.map(|number| format!("DEL {prefix}{number}\r\n")).collect();
    client.exchange(visit, commands.as_bytes())
}

/// Names that are new each time are listed and delisted: what a name leaves behind adds up.
pub(super) struct Listings;

impl Rude for Listings {
    fn name(&self) -> &'static str {
        "listings"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        let mut client = visit.resp()?;
        while visit.goes_on() {
            let prefix = format!("L{}.", visit.serial());
            list(visit, &mut client, &prefix, 0..500)?;
            delist(visit, &mut client, &prefix, 0..500)?;
        }
        Ok(())
    }
}

/// New stocks that stay, 2,000 at a time, up to the limit of the run: from 4 to 8 million polite
/// clients waited for up to 1,077 ms.
pub(super) struct Growth;

impl Rude for Growth {
    fn name(&self) -> &'static str {
        "growth"
    }

    fn act(&self, visit: &mut Visit<'_>) -> io::Result<()> {
        const BATCH: usize = 2000;
        let mut client = visit.resp()?;
        while visit.goes_on() && visit.may_grow(BATCH as u64) {
            let prefix = format!("G{}.", visit.serial());
            list(visit, &mut client, &prefix, 0..BATCH)?;
        }
        Ok(())
    }
}
