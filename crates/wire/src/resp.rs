//! RESP, the protocol of Redis: commands and replies, each encoded and decoded.
//!
//! **A server** decodes commands and encodes replies. The [`Decoder`] turns bytes into requests and
//! [`Command`]s, the [`Encoder`] turns what came of them into bytes, in RESP2 or RESP3. One table
//! lists the commands; dispatch, checks, the replies of `COMMAND` and the table of docs/resp.md
//! come from it. Both know no connection: the caller executes the commands, remembers the
//! connection's name and subscriptions, and tells the decoder which commands it [`Admits`] now and
//! the encoder which [`Version`] it speaks.
//!
//! **A client** encodes commands with [`frame`] and decodes replies: [`decode_piece`] where they
//! lie, or as whole values with a [`ValueDecoder`].
//!
//! Invariant: a lookup is decoded and encoded without allocation; a command over any number of
//! stocks is handed over stock by stock and never held as a whole.
//!
//! ```
//! use stockd_model::{Reply, Request};
//! use stockd_wire::resp::{Command, Decoder, Encoder, Incoming};
//!
//! let mut decoder = Decoder::new();
//! let mut encoder = Encoder::new();
//! let mut out = Vec::new();
//!
//! let mut input = b"*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\nPING\r\n*1\r\n$4".as_slice();
//! while let Some(incoming) = decoder.decode(&mut input)? {
//!     match incoming {
//!         Incoming::Request(Request::Lookup(_), shape) => {
//!             encoder.reply(&Reply::NotFound, &shape, &mut out);
//!         }
//!         Incoming::Command(Command::Ping(message)) => encoder.pong(message, false, &mut out),
//!         Incoming::Command(Command::Refused(error)) => encoder.error(&error, &mut out),
//!         _ => unreachable!(),
//!     }
//! }
//! assert_eq!(out, b"$-1\r\n+PONG\r\n");
//! assert_eq!(input, b"*1\r\n$4");
//! # Ok::<(), stockd_wire::resp::ProtocolError>(())
//! ```

mod absent;
mod arguments;
mod columns;
mod command;
mod command_error;
mod decoder;
mod describe;
mod encoder;
mod error_counts;
pub mod frame;
mod glob;
mod grammar;
mod inline;
mod part;
mod protocol_error;
mod push;
mod reply;
mod rows;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod usage;
mod value;

pub use arguments::Arguments;
pub use columns::Columns;
pub use command::{
    Client, ClientFilter, ClientKind, Command, Constant, Credentials, Describe, FeedCommand, Hello,
    Incoming, Kill, Prices, Queued, ReplyMode, Scan, Shape, Tracking, TrackingMode, Version,
};
pub use command_error::CommandError;
pub use decoder::{Admits, Decoder, NotDeferrable};
pub use describe::Description;
pub use encoder::{ANSWER_BYTES_MAX, Encoder, REDIS_VERSION};
pub use error_counts::{ErrorCounts, error_codes};
pub use glob::Glob;
pub use protocol_error::ProtocolError;
pub use push::Confirmation;
pub use reply::{Piece, decode_piece};
pub use spec::{CommandId, command_name, command_rights};
pub use value::{Value, ValueDecoder, ValueError};
