//! What a client that is a feed of market data says of itself.

use std::borrow::Cow;
use std::time::Duration;

use stockd_wire::resp::{Value, frame};

use crate::command::{Answered, answered, done};
use crate::protocol::{NoAnswer, Question, Request};
use crate::resp::Replies;

/// A feed of market data, as a connection opens it. Its writes and beats keep it alive: where none come for
/// longer than `ttl`, everybody who reads a quote of it sees that it is stale.
///
/// ```no_run
/// use std::time::Duration;
/// use stockd_client::{FeedOptions, QuoteClient};
///
/// let mut client = QuoteClient::connect("127.0.0.1:7879")?;
/// client.open_feed(&FeedOptions {
///     name: "nasdaq".to_owned(),
///     ttl: Duration::from_secs(30),
///     halts_when_stale: false,
///     halts_on_gap: false,
/// })?;
/// client.set_price("AAPL".parse()?, "172.5".parse()?)?;
/// client.beat()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// Its name: 1 to 64 letters, digits and `. _ : / @ + -`.
    pub name: String,
    /// How long it may be silent, from 10 ms to a day, in whole milliseconds.
    pub ttl: Duration,
    /// Whether its stocks are halted while it is stale.
    pub halts_when_stale: bool,
    /// Whether its stocks are halted after it has missed something.
    pub halts_on_gap: bool,
}

impl Request for FeedOptions {
    fn encode(&self, chunk: &mut Vec<u8>) {
        let halts = |halts| if halts { &b"halt"[..] } else { b"mark" };
        let ttl_ms = self.ttl.as_millis().to_string();
        let parts = [
            &b"FEED"[..],
            b"OPEN",
            self.name.as_bytes(),
            ttl_ms.as_bytes(),
            b"ONSTALE",
            halts(self.halts_when_stale),
            b"ONGAP",
            halts(self.halts_on_gap),
        ];
        frame::command(&parts, chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        "FEED OPEN".into()
    }
}

impl Question<Replies> for FeedOptions {
    type Answer = Answered<()>;

    fn answer(&self, reply: Value) -> Result<Answered<()>, NoAnswer> {
        answered(&reply, done)
    }
}
