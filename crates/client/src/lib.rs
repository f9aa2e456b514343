//! Looks up, follows and changes stock prices on a stockd server.
//!
//! A [`Client`] is one connection. It asks and waits: [`lookup`](Client::lookup) for one name,
//! [`lookup_all`](Client::lookup_all) for many in few round trips. Every wait has a timeout, and
//! every error says which server, what was waited for, and what to do.
//!
//! ```
//! # use std::sync::Arc;
//! # use stockd_engine::{Access, Engine};
//! # use stockd_model::{Fields, Request};
//! # use stockd_server::{Config, Endpoint, Protocol, Server};
//! # let engine = Arc::new(Engine::default());
//! # let fields = Fields { price: "172.50".parse()?, volume: "9".parse()?, ..Fields::default() };
//! # engine.executor().batch(&Access::All).execute(&Request::Set("AAPL".parse()?, fields));
//! # let listener = Endpoint::plain(Protocol::Line, ([127, 0, 0, 1], 0));
//! # let config = Config { endpoints: vec![listener], workers: 1, ..Config::default() };
//! # let server = Server::start(config, engine)?;
//! # let address = &server.endpoints()[0].address;
//! use stockd_client::{Answer, Client};
//!
//! // The server's default address is "127.0.0.1:7878"; that of a Unix socket is "unix:PATH".
//! let mut client = Client::connect(address)?;
//! match client.lookup("AAPL")? {
//!     Answer::Price(price) => assert_eq!(price.to_string(), "172.5"),
//!     Answer::NotTradable => panic!("halted, or no volume is left"),
//!     Answer::NotFound => panic!("not listed"),
//!     Answer::NotPermitted => panic!("not permitted"),
//! }
//! assert_eq!(client.lookup_all(["XYZ", " AAPL "])?[0], Answer::NotFound);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`QuoteClient`] reads whole quotes, lists and updates stocks and trades them, over RESP; a
//! [`Subscription`] follows quotes as they change, through lost connections too.
//!
//! With the feature `async` there is the module `http`: a client for programs on tokio, which does all of that over HTTP,
//! and writes under conditions.
//!
//! The rest of the crate works over blocking sockets and knows nothing of the server's inside. The codecs are
//! those of `stockd_wire`; `line`, and `resp` with `command` and `payload`, say what is asked and
//! what a reply means. Bytes move in `connection`, which is the same for both protocols, and `link`
//! keeps it while it is usable.
//!
//! Invariant: an answer belongs to the request it is returned for. After an error that leaves this
//! in doubt, a timeout for one, the connection is closed, and the client says so until
//! [`reconnect`](Client::reconnect) succeeds.

#![forbid(unsafe_code)]

mod buffer;
mod client;
mod command;
mod connection;
mod credentials;
mod error;
mod feed;
#[cfg(feature = "async")]
pub mod http;
mod line;
mod link;
mod options;
mod pause;
mod payload;
mod protocol;
mod quote_client;
mod resp;
mod stream;
mod subscription;
#[cfg_attr(not(feature = "async"), allow(dead_code, unreachable_pub))]
mod told;

pub use client::Client;
pub use command::{Write, Written};
pub use credentials::Credentials;
pub use error::{ClientError, NameError, Refused};
pub use feed::FeedOptions;
pub use options::Options;
pub use quote_client::{QuoteClient, Snapshot};
pub use stockd_model::{
    Address, AddressError, Answer, DecimalText, Edit, FeedName, FeedNameError, FeedState, Field,
    FieldError, FieldText, Fields, Price, PriceError, Problem, Quote, QuoteFeed, Shares,
    SharesError, SocketPath, Status, StatusError, Symbol, SymbolError, ToAddresses, Volume,
    VolumeError,
};
pub use stockd_tls::{ClientFiles, ClientTls, TlsError};
pub use stream::Stream;
pub use subscription::{Event, Subscription};
