//! The numbers that stand for things in messages of the log; docs/cluster.md has them.
//!
//! Invariant: a number never means something else in the same format.

pub(super) const OP_SET: u8 = 2;
pub(super) const OP_UPDATE: u8 = 3;
pub(super) const OP_CLEAR: u8 = 4;
pub(super) const OP_TRADE: u8 = 5;
pub(super) const OP_DELIST: u8 = 6;
pub(super) const OP_TOGETHER: u8 = 7;
/// What stands in place of a command where a condition stands alone.
pub(super) const OP_NONE: u8 = 0;

pub(super) const CONDITION_SHIFT: u32 = 4;
pub(super) const IF_LISTED: u8 = 1;
pub(super) const IF_UNLISTED: u8 = 2;
pub(super) const IF_VERSION: u8 = 3;

pub(super) const KEEP: u16 = 0;
pub(super) const CLEAR: u16 = 1;
pub(super) const SET: u16 = 2;
pub(super) const STATUS_SHIFT: u32 = 14;
pub(super) const TRADING: u16 = 1;
pub(super) const HALTED: u16 = 2;

/// The bit of a trade that takes shares.
pub(super) const TAKES: u8 = 1 << 7;
