//! What a client that is a feed of market data says of itself.

use std::borrow::Cow;
use std::time::Duration;

use stockd_wire::resp::{Value, frame};

use crate::error::Refused;
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
    /// How long it may be silent.
    pub ttl: Duration,
    /// Whether its stocks are halted while it is stale.
    pub halts_when_stale: bool,
    /// Whether its stocks are halted after it has missed something.
    pub halts_on_gap: bool,
}

/// A command of `FEED`.
pub(crate) struct Feed(Vec<Cow<'static, str>>);

impl Feed {
    pub(crate) fn open(options: &FeedOptions) -> Feed {
        let halts = |halts: bool| if halts { "halt" } else { "mark" };
        Feed(vec![
            "FEED".into(),
            "OPEN".into(),
            options.name.clone().into(),
            options.ttl.as_millis().to_string().into(),
            "ONSTALE".into(),
            halts(options.halts_when_stale).into(),
            "ONGAP".into(),
            halts(options.halts_on_gap).into(),
        ])
    }

    /// One without arguments: `BEAT`, `GAP` or `END`.
    pub(crate) fn word(word: &'static str) -> Feed {
        Feed(vec!["FEED".into(), word.into()])
    }
}

impl Request for Feed {
    fn encode(&self, chunk: &mut Vec<u8>) {
        let parts: Vec<&[u8]> = self.0.iter().map(|part| part.as_bytes()).collect();
        frame::command(&parts, chunk);
    }

    fn name(&self) -> Cow<'_, str> {
        self.0.get(..2).unwrap_or_default().join(" ").into()
    }
}

impl Question<Replies> for Feed {
    type Answer = Result<(), Refused>;

    fn answer(&self, reply: Value) -> Result<Self::Answer, NoAnswer> {
        match reply {
            Value::Error(why) => Ok(Err(Refused::new(&why))),
            Value::Text(ok) if ok == b"OK" => Ok(Ok(())),
            other => Err(NoAnswer::rubbish(&other)),
        }
    }
}
