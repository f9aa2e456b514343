//! RESP, the protocol of Redis: commands in, replies out, so that every Redis client works.
//!
//! The [`Decoder`] turns bytes into [`Command`]s, the [`Encoder`] turns what came of them into
//! bytes, in RESP2 or RESP3. What commands there are stands in one table, from which dispatch,
//! checks, the replies of `COMMAND` and the table of docs/resp.md come. Both know no connection:
//! whoever serves one executes the commands, remembers its name and subscriptions, and tells the
//! decoder which commands it [`Admits`] now and the encoder which [`Version`] it speaks.
//!
//! Invariant: a lookup is decoded and encoded without allocation; a command over any number of
//! stocks is handed over stock by stock and never held as a whole.
//!
//! ```
//! use stockd_model::{Reply, Request};
//! use stockd_wire::resp::{Command, Decoder, Encoder};
//!
//! let mut decoder = Decoder::new();
//! let mut encoder = Encoder::new();
//! let mut out = Vec::new();
//!
//! let mut input = b"*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\nPING\r\n*1\r\n$4".as_slice();
//! while let Some(command) = decoder.decode(&mut input)? {
//!     match command {
//!         Command::Ask(Request::Lookup(_), shape) => {
//!             encoder.reply(&Reply::NotFound, &shape, &mut out);
//!         }
//!         Command::Ping(message) => encoder.pong(message, false, &mut out),
//!         Command::Refused(error) => encoder.error(&error, &mut out),
//!         _ => unreachable!(),
//!     }
//! }
//! assert_eq!(out, b"$-1\r\n+PONG\r\n");
//! assert_eq!(input, b"*1\r\n$4");
//! # Ok::<(), stockd_wire::resp::ProtocolError>(())
//! ```

mod arguments;
mod command;
mod decoder;
mod describe;
mod encoder;
mod error;
mod glob;
mod inline;
mod part;
mod push;
mod table;
#[cfg(test)]
mod tests;

pub use arguments::Arguments;
pub use command::{Client, Command, Credentials, Describe, Field, Hello, Scan, Shape, Version};
pub use decoder::{Admits, Decoder};
pub use encoder::{ANSWER_BYTES_MAX, Encoder};
pub use error::{CommandError, ProtocolError};
pub use glob::Glob;
pub use push::Confirmation;
