//! Several requests as one.
//!
//! A transaction is decided as a whole over an [overlay](Overlay) and then applied, so each stock
//! changes once, to its final quote. In memory it is executed behind a closed
//! [gate](crate::gate::Gate); in a durable engine by the committer, within one commit. It knows no
//! commands and no connections.
//!
//! Invariant: no other write comes in between; all its conditions hold when it is executed, or nothing
//! of it is; its writes are kept together or not at all.

use std::sync::Arc;

use stockd_access::Access;
use stockd_model::{Condition, Refusal, Reply, Request, Right, Watched};

use crate::counters::Totals;
use crate::market::Market;
use crate::overlay::Overlay;

/// Requests to be executed as one, if all conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    watched: Vec<Watched>,
    requests: Vec<Request>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed.
    Executed {
        /// The replies to its requests, in order.
        replies: Vec<Reply>,
        /// Stocks that were listed when it began, whether the client may read them or not.
        stocks: usize,
    },
    /// A condition did not hold, and nothing was executed: why.
    Conflict(Refusal),
    /// Nothing of it was kept or took effect: why.
    Refused(Refusal),
}

impl Transaction {
    /// Requests to be executed as one, in this order, if these stocks are as they are to be. Each
    /// request sees what those before it have written. One that is refused changes nothing, and the
    /// others are executed all the same.
    pub fn new(watched: Vec<Watched>, requests: Vec<Request>) -> Transaction {
        Transaction { watched, requests }
    }

    /// The stocks that are to be as they were, and how.
    pub(crate) fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// What is executed.
    pub(crate) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Whether it changes nothing, whatever it finds. One without requests does not either; yet it has its turn
    /// among the writes, as a fence.
    pub(crate) fn only_looks_up(&self) -> bool {
        !self.requests.is_empty()
            && self.requests.iter().all(|request| matches!(request, Request::Lookup(_)))
    }

    /// Checks that all of it may be done. What may be written or read may be watched.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotPermitted`], of the first request or stock that may not.
    pub fn check(&self, access: &Access) -> Result<(), Refusal> {
        self.requests.iter().try_for_each(|request| access.check(request))?;
        let is_hidden = |(symbol, condition): &&Watched| {
            *condition != Condition::Always
                && !access.reads(symbol)
                && !access.may(Right::Write, symbol)
        };
        match self.watched.iter().find(is_hidden) {
            Some(&(symbol, _)) => Err(Refusal::NotPermitted { right: Right::Read, symbol }),
            None => Ok(()),
        }
    }

    /// Executes it on a catalog in memory.
    pub(crate) fn execute(&self, market: &Arc<Market>) -> Outcome {
        let _closed = market.gate.close();
        let mut overlay = Overlay::new(Arc::clone(market), 0);
        let outcome = self.decide(&mut overlay, None);
        overlay.apply();
        outcome
    }

    /// Decides it on the catalog as it will be. The refusal, if there is one, is for writes.
    pub(crate) fn decide(&self, overlay: &mut Overlay, refusal: Option<Refusal>) -> Outcome {
        let stocks = overlay.listed();
        for &(symbol, condition) in &self.watched {
            if let Err(why) = overlay.check(&symbol, condition) {
                return Outcome::Conflict(why);
            }
        }
        let mut replies = Vec::with_capacity(self.requests.len());
        for &request in &self.requests {
            match overlay.execute(&request.into(), refusal) {
                // It is the same for every write: none of them has changed anything.
                Reply::Refused(why @ Refusal::ReadOnly { .. }) => return Outcome::Refused(why),
                reply => replies.push(reply),
            }
        }
        Outcome::Executed { replies, stocks }
    }
}

impl Totals {
    /// Counts a transaction that ended like this.
    pub(crate) fn count_transaction(&mut self, transaction: &Transaction, outcome: &Outcome) {
        match outcome {
            Outcome::Executed { replies, .. } => {
                self.transactions += 1;
                let answered = transaction.requests.iter().zip(replies);
                answered.for_each(|(request, reply)| self.count(request, reply));
            }
            Outcome::Conflict(_) => self.conflicts += 1,
            Outcome::Refused(Refusal::NotPermitted { .. }) => self.not_permitted += 1,
            Outcome::Refused(_) => self.refusals += 1,
        }
    }
}
