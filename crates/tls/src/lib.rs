//! Certificates of stockd: read from files, checked as a whole, and exchanged while the server runs.
//!
//! It owns what a server shows ([`ServerTls`]), what a client trusts ([`ClientTls`]), and the names in
//! a client's certificate ([`names_of`]). It makes and reads no connections: those take a
//! configuration of `rustls` from here, when they begin.
//!
//! Invariant: what is in use was read whole and found to fit; files that do not are an error, and what
//! was in use before stays.

#![forbid(unsafe_code)]

mod client;
#[cfg(feature = "development")]
pub mod development;
mod error;
mod files;
mod name;
mod server;

pub use client::{ClientFiles, ClientTls};
pub use error::TlsError;
pub use name::names_of;
pub use server::{ClientCertificates, ServerFiles, ServerTls, Validity};
