//! Orders with numbers: trades that can be asked for later, each under a number that no other has.
//!
//! ```text
//!   order ── ledger.rs: one task, ORDERS_WAITING_MAX wait, ORDERS_TOGETHER_MAX at once
//!              │ 1. the record of order n         ── records.rs: the file `orders`, synced
//!              │ 2. the trade, and the count n+1  ── door.rs: one transaction, one commit
//!              │ 3. the answer n
//! ```
//!
//! The count of orders is the volume of a stock, [`COUNT`](ledger::COUNT), so that the committer keeps it together with
//! the trade. What is an order is decided by that count alone: a record beyond it is one whose trade was not kept, and
//! the next order takes its place. So whenever the server is killed no number is lost, left out or given twice.
//! docs/decisions/028-orders.md says why.

pub(crate) mod check;
pub(crate) mod ledger;
pub(crate) mod records;
