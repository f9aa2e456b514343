//! What a request does to a quote, and what is answered.
//!
//! Pure: it is given the quote as it is, and says what to change. It does not know whether the
//! change is applied at once or when the disk has it.

use stockd_catalog::{Change, Changed};
use stockd_model::{
    Condition, Conditional, Edit, Field, Fields, Quote, Refusal, Reply, Request, Shares, Status,
    Symbol, Volume,
};

use crate::counters::Totals;
use crate::market::Refused;

/// What a request does to a stock with this quote, or to one that is not listed, if its condition
/// holds.
pub(crate) fn decide_if(
    Conditional { condition, request }: &Conditional,
    quote: Option<&Quote>,
) -> Result<Change, Refusal> {
    if let Some(symbol) = request.symbol() {
        check(symbol, *condition, quote)?;
    }
    decide(request, quote)
}

/// Whether a condition holds of a stock with this quote, or of one that is not listed.
pub(crate) fn check(
    symbol: &Symbol,
    condition: Condition,
    quote: Option<&Quote>,
) -> Result<(), Refusal> {
    let symbol = *symbol;
    match (condition, quote) {
        (Condition::Always, _) | (Condition::Listed, Some(_)) | (Condition::Unlisted, None) => {
            Ok(())
        }
        (Condition::Unlisted, Some(&Quote { version, .. })) => {
            Err(Refusal::AlreadyListed { symbol, version })
        }
        (Condition::Listed | Condition::Version(_), None) => Err(Refusal::NotListed(symbol)),
        (Condition::Version(expected), Some(&Quote { version, .. })) => {
            if version == expected {
                Ok(())
            } else {
                Err(Refusal::VersionDiffers { symbol, version, expected })
            }
        }
    }
}

/// What a request does to a stock with this quote, or to one that is not listed.
pub(crate) fn decide(request: &Request, quote: Option<&Quote>) -> Result<Change, Refusal> {
    match request {
        Request::Lookup(_) => Ok(Change::Keep),
        Request::Set(symbol, fields) => set(symbol, quote, fields),
        Request::Update(symbol, fields) => {
            let quote = quote.ok_or(Refusal::NotListed(*symbol))?;
            set(symbol, Some(quote), fields)
        }
        Request::Clear(_, fields) => {
            let cleared = quote.map(|quote| (quote, fields.outcome(quote)));
            let changed = cleared.filter(|(before, after)| *before != after);
            Ok(changed.map_or(Change::Keep, |(_, after)| Change::Put(after)))
        }
        Request::Trade(symbol, shares) => trade(symbol, quote, *shares),
        Request::Delist(_) => Ok(if quote.is_some() { Change::Delist } else { Change::Keep }),
    }
}

/// Whether a request can be made of a stock with [`edit`], where that is listed.
#[inline]
pub(crate) fn is_edit(request: &Request) -> bool {
    matches!(request, Request::Set(..) | Request::Update(..) | Request::Trade(..))
}

/// Does to a listed stock what such a request does: `quote` is as it was `before`, and becomes what it is then.
#[inline]
pub(crate) fn edit(request: &Request, before: &Quote, quote: &mut Quote) -> Result<(), Refusal> {
    match request {
        Request::Set(symbol, fields) | Request::Update(symbol, fields) => {
            check_time(symbol, before, fields)?;
            fields.apply(quote);
        }
        Request::Trade(symbol, shares) => {
            quote.volume = Some(volume_after(symbol, before, *shares)?);
        }
        Request::Lookup(_) | Request::Clear(..) | Request::Delist(_) => {
            debug_assert!(false, "{request:?} is no edit");
        }
    }
    Ok(())
}

/// The reply to a request that made this change.
pub(crate) fn reply(request: &Request, changed: &Result<Changed, Refused>) -> Reply {
    match *changed {
        Err(Refused(refusal)) => Reply::Refused(refusal),
        Ok(Changed { before: None, after: None }) => Reply::NotFound,
        Ok(Changed { before: None, after: Some(first) }) => Reply::Listed(first),
        Ok(Changed { before: Some(before), after: Some(now) }) => match request {
            Request::Lookup(_) => Reply::Found(now),
            Request::Clear(..) => {
                let is_gone = |field: &Field| {
                    // The feed and its state go together, and count once.
                    *field != Field::FeedState && before.has(*field) && !now.has(*field)
                };
                Reply::Cleared(now, Field::ALL.iter().filter(|field| is_gone(field)).count() as u32)
            }
            _ => Reply::Updated(now),
        },
        Ok(Changed { before: Some(last), after: None }) => Reply::Delisted(last),
    }
}

impl Totals {
    /// Counts one request that was answered like this.
    pub(crate) fn count(&mut self, request: &Request, reply: &Reply) {
        let counter = match (request, reply) {
            (_, Reply::Refused(Refusal::NotPermitted { .. })) => &mut self.not_permitted,
            (_, Reply::Refused(refusal)) => {
                *self.refused(refusal) += 1;
                &mut self.refusals
            }
            (_, Reply::Found(_)) => &mut self.hits,
            (Request::Lookup(_), _) => &mut self.misses,
            (_, Reply::NotFound) => return,
            (_, Reply::Listed(_)) => &mut self.listings,
            (Request::Trade(..), Reply::Updated(_)) => &mut self.trades,
            (_, Reply::Cleared(_, 0)) => return,
            (_, Reply::Updated(_) | Reply::Cleared(..)) => &mut self.updates,
            (_, Reply::Delisted(_)) => &mut self.delistings,
        };
        *counter += 1;
    }

    /// Where refusals of this kind are counted. One of a condition is a conflict, too.
    fn refused(&mut self, refusal: &Refusal) -> &mut u64 {
        match refusal {
            Refusal::NotPermitted { .. } => &mut self.not_permitted,
            Refusal::Late { .. } => &mut self.refused_late,
            Refusal::VersionDiffers { .. } | Refusal::AlreadyListed { .. } => {
                self.conflicts += 1;
                &mut self.refused_condition
            }
            Refusal::NotListed(_) | Refusal::PriceMissing(_) => &mut self.refused_not_listed,
            Refusal::Halted(_) => &mut self.refused_halted,
            Refusal::VolumeAbsent(_)
            | Refusal::VolumeTooLow { .. }
            | Refusal::VolumeTooHigh { .. } => &mut self.refused_volume,
            Refusal::CatalogFull { .. } | Refusal::NoMemory { .. } => &mut self.refused_full,
            Refusal::ReadOnly { .. }
            | Refusal::NotKept { .. }
            | Refusal::ClusterDown { .. }
            | Refusal::Uncertain => &mut self.refused_storage,
        }
    }
}

fn set(symbol: &Symbol, quote: Option<&Quote>, fields: &Fields) -> Result<Change, Refusal> {
    let Some(quote) = quote else {
        return match fields.can_list() {
            true => Ok(Change::Put(fields.outcome(&Quote::new(*symbol)))),
            false => Err(Refusal::PriceMissing(*symbol)),
        };
    };
    check_time(symbol, quote, fields)?;
    Ok(Change::Put(fields.outcome(quote)))
}

/// Whether a write comes in time.
#[inline]
fn check_time(symbol: &Symbol, quote: &Quote, fields: &Fields) -> Result<(), Refusal> {
    match (fields.time_ns, quote.time_ns) {
        (Edit::Set(time_ns), Some(latest_ns)) if time_ns < latest_ns => {
            Err(Refusal::Late { symbol: *symbol, time_ns, latest_ns })
        }
        _ => Ok(()),
    }
}

fn trade(symbol: &Symbol, quote: Option<&Quote>, shares: Shares) -> Result<Change, Refusal> {
    let quote = quote.ok_or(Refusal::NotListed(*symbol))?;
    let left = volume_after(symbol, quote, shares)?;
    Ok(Change::Put(Quote { volume: Some(left), ..*quote }))
}

fn volume_after(symbol: &Symbol, quote: &Quote, shares: Shares) -> Result<Volume, Refusal> {
    let symbol = *symbol;
    if quote.status_now() == Status::Halted {
        return Err(Refusal::Halted(symbol));
    }
    let volume = quote.volume.ok_or(Refusal::VolumeAbsent(symbol))?;
    let refusal = match shares {
        Shares::Take(take) => Refusal::VolumeTooLow { symbol, volume, take },
        Shares::Add(add) => Refusal::VolumeTooHigh { symbol, volume, add },
    };
    volume.after_trade(shares).ok_or(refusal)
}
