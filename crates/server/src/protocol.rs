//! What is spoken on connections. Each protocol is one file beneath; [`of`] is the one place where a
//! protocol is told from another.

mod line;
mod resp;

use crate::Protocol;
use crate::conversation::Definition;

/// The definition of a protocol.
pub(crate) fn of(protocol: Protocol) -> &'static Definition {
    match protocol {
        Protocol::Line => &line::DEFINITION,
        Protocol::Resp => &resp::DEFINITION,
    }
}
