//! Who may do what.
//!
//! An access file names users: the tokens and certificates by which they show who they are, the stocks
//! that each may read, write and trade, and what else it may do. [`AccessFile`] is such a file, read
//! from its text. An [`Authority`] holds the one in force and says who a client is, by what it has
//! shown: an [`Identity`], with the [`Access`] that goes with it.
//!
//! This crate owns what a file means. It opens no files and no sockets, and does not know what is asked
//! with the rights that it gives: what executes something asks [`Access`] first.
//!
//! Invariant: without an access file everybody may do everything; with one no client may do what no line
//! of it says. A file is in force whole or not at all. Tokens are kept as hashes alone, and no message
//! shows one.
//!
//! ```
//! use stockd_access::{AccessFile, Authority, Token};
//! use stockd_model::Right;
//!
//! let token = Token::new([7; 32]);
//! let file = format!("[[user]]\nname = \"feed\"\ntokens = [\"{}\"]\nwrite = [\"US.*\"]\n", token.hash());
//! let authority = Authority::new(AccessFile::parse(&file)?);
//!
//! let feed = authority.by_token(None, token.as_str().as_bytes()).ok_or("a wrong token")?;
//! assert_eq!(feed.user(), Some("feed"));
//! assert!(feed.access().may(Right::Write, &"US.AAPL".parse()?));
//! assert!(!feed.access().may(Right::Read, &"US.AAPL".parse()?));
//! assert!(!authority.anonymous().is_known());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod access;
mod attempts;
mod authority;
mod file;
mod grants;
mod token;
mod user;

pub use access::Access;
pub use attempts::FailedAttempts;
pub use authority::{Authority, Identity};
pub use file::{AccessFile, AccessFileError};
pub use grants::Grants;
pub use token::{Token, TokenError, TokenHash};
pub use user::{ANONYMOUS, User};
