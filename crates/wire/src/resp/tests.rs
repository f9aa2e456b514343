//! Whole conversations: bytes in, bytes out, against an exchange in miniature.

mod commands;
mod foreign;
mod limits;
mod page;
mod rubbish;
mod transactions;

use std::collections::BTreeMap;

use stockd_model::{
    Answer, Edit, FeedState, Field, Fields, Quote, QuoteFeed, Refusal, Reply, Request, Shares,
    Status, Symbol, Volume,
};

use super::*;

/// One connection to a server of a few stocks.
struct Conversation {
    decoder: Decoder,
    encoder: Encoder,
    /// Received and not decoded yet.
    input: Vec<u8>,
    out: Vec<u8>,
    stocks: BTreeMap<Symbol, Quote>,
    subscribed: Vec<Vec<u8>>,
    closed: bool,
    /// Nothing more is decoded while as many bytes of replies are unread.
    out_bytes_max: usize,
    /// Whether lookups are recognised at a glance where they can be.
    at_a_glance: bool,
    /// Whether requests are taken as those are that wait for the disk.
    deferring: bool,
    /// The commands of a transaction: how many, and their bytes.
    queue: Option<(usize, Vec<u8>)>,
    /// Whether one of them was refused.
    aborted: bool,
    /// The feed that it is.
    feed: Option<QuoteFeed>,
}

/// When everything here was updated.
const NOW_NS: u64 = 1_790_000_000_123_456_789;

impl Conversation {
    /// AAPL at 172.50, IBM at 159.00; SOLDOUT has no volume left, HALTED is halted.
    fn new() -> Conversation {
        let mut conversation = Conversation {
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            input: Vec::new(),
            out: Vec::new(),
            stocks: BTreeMap::new(),
            subscribed: Vec::new(),
            closed: false,
            out_bytes_max: usize::MAX,
            at_a_glance: true,
            deferring: false,
            queue: None,
            aborted: false,
            feed: None,
        };
        for (name, price, volume, status) in [
            ("AAPL", "172.50", 1000, Status::Trading),
            ("IBM", "159.00", 50, Status::Trading),
            ("SOLDOUT", "10", 0, Status::Trading),
            ("HALTED", "20", 5, Status::Halted),
        ] {
            let fields = Fields {
                price: Edit::Set(price.parse().unwrap()),
                volume: Edit::Set(Volume::new(volume)),
                status: Some(status),
                ..Fields::default()
            };
            conversation.execute(Request::Set(name.parse().unwrap(), fields));
        }
        conversation
    }

    /// What is answered to bytes that come in these pieces.
    fn replies<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut conversation = Conversation::new();
        for piece in pieces {
            conversation.receive(piece);
        }
        conversation.read()
    }

    fn receive(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        self.resume();
    }

    /// Decodes while there is room for replies.
    fn resume(&mut self) {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let mut decoder = std::mem::take(&mut self.decoder);
        while !self.closed && self.out.len() < self.out_bytes_max {
            let before = rest.len();
            if self.at_a_glance {
                let mut symbols = Vec::new();
                let at_most = if self.out_bytes_max == usize::MAX { 16 } else { 1 };
                decoder.lookups(&mut rest, at_most, |symbol| symbols.push(symbol));
                for symbol in &symbols {
                    let answer = match self.execute(Request::Lookup(*symbol)) {
                        Reply::Found(quote) => quote.answer(),
                        _ => Answer::NotFound,
                    };
                    self.encoder.answer(answer, &mut self.out);
                }
                if !symbols.is_empty() {
                    continue;
                }
            }
            if self.deferring {
                match decoder.decode_deferrable(&mut rest) {
                    Ok(Some((request, shape))) => {
                        let reply = self.execute(request);
                        self.encoder.reply(&reply, &shape, &mut self.out);
                        continue;
                    }
                    Ok(None) => break,
                    Err(NotDeferrable) => {
                        let left = rest;
                        assert_eq!(decoder.decode_deferrable(&mut rest), Err(NotDeferrable));
                        assert_eq!(rest, left, "what is left stays as it is");
                    }
                }
            }
            match decoder.decode(&mut rest) {
                Ok(Some(Incoming::Request(request, shape))) => {
                    let reply = self.execute(request);
                    self.encoder.reply(&reply, &shape, &mut self.out);
                }
                Ok(Some(Incoming::Command(command))) => self.answer(command),
                Ok(None) => {
                    assert!(!self.deferring, "what cannot be deferred is whole or an error");
                    break;
                }
                Err(error) => {
                    self.encoder.error(&error, &mut self.out);
                    self.closed = true;
                }
            }
            assert!(rest.len() <= before);
            let talks_resp2 = self.encoder.version() == Version::Resp2;
            let mute = talks_resp2 && !self.subscribed.is_empty();
            decoder.admit(match () {
                () if mute => Admits::Subscription,
                () if self.queue.is_some() => Admits::Transaction,
                () => Admits::All,
            });
        }
        self.decoder = decoder;
        self.input = rest.to_vec();
    }

    fn read(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).unwrap()
    }

    fn answer(&mut self, command: Command<'_>) {
        let encoder = self.encoder.clone();
        let out = &mut self.out;
        match command {
            Command::Array(elements) => encoder.array(elements, out),
            Command::Count => encoder.integer(self.stocks.len() as u64, out),
            Command::Snapshot { next: true } => encoder.nil(out),
            Command::Snapshot { next: false } => {
                encoder.quotes(&self.stocks.values().copied().collect::<Vec<_>>(), out);
            }
            Command::Scan(scan) => {
                let fits = |symbol: &&Symbol| {
                    scan.right_type && scan.pattern.is_none_or(|it| it.matches(symbol.as_bytes()))
                };
                let symbols = self.stocks.keys().filter(fits);
                encoder.scan(None, &symbols.copied().collect::<Vec<_>>(), out);
            }
            Command::Keys(pattern) => {
                let symbols = self.stocks.keys().filter(|s| pattern.matches(s.as_bytes()));
                encoder.symbols(&symbols.copied().collect::<Vec<_>>(), out);
            }
            Command::Subscribe(name) => self.subscribe(Confirmation::Subscribed, name),
            Command::SubscribePattern(pattern) => {
                self.subscribe(Confirmation::SubscribedPattern, pattern);
            }
            Command::RandomKey => encoder.text(b"IBM", out),
            Command::SetAll(prices) => self.set_all(prices),
            Command::MemoryUsage(symbol) => {
                match symbol.is_ok_and(|symbol| self.stocks.contains_key(&symbol)) {
                    true => encoder.integer(128, out),
                    false => encoder.nil(out),
                }
            }
            Command::Channels(pattern) => {
                let fits = |name: &&Vec<u8>| pattern.matches(name);
                let found: Vec<_> = self.subscribed.iter().filter(fits).collect();
                encoder.array(found.len(), out);
                found.into_iter().for_each(|name| encoder.text(name, out));
            }
            Command::SubscriberCounts(names) => {
                let subscribed = self.subscribed.clone();
                let count = |name| usize::from(subscribed.iter().any(|own| own == name));
                encoder.subscriber_counts(names.map(|name| (name, count(name))), out);
            }
            Command::PatternCount => encoder.integer(0, out),
            Command::Unsubscribe(name) => self.unsubscribe(Confirmation::Unsubscribed, name),
            Command::UnsubscribePattern(pattern) => {
                self.unsubscribe(Confirmation::UnsubscribedPattern, pattern);
            }
            Command::UnsubscribeAll => encoder.confirm(Confirmation::Unsubscribed, None, 0, out),
            Command::UnsubscribeAllPatterns => {
                encoder.confirm(Confirmation::UnsubscribedPattern, None, 0, out);
            }
            Command::Ping(message) => encoder.pong(message, !self.subscribed.is_empty(), out),
            Command::Echo(message) => encoder.text(message, out),
            Command::Hello(Hello { credentials: Some(credentials), .. })
                if let Err(error) = credentials.check_open() =>
            {
                encoder.error(&error, out);
            }
            Command::Hello(hello) => {
                self.encoder.set_version(hello.version.unwrap_or(encoder.version()));
                self.encoder.hello(7, out);
            }
            Command::WhoAmI => encoder.text(b"default", out),
            Command::Auth(credentials) => match credentials.check_open() {
                Ok(()) => encoder.ok(out),
                Err(error) => encoder.error(&error, out),
            },
            Command::Client(Client::Id) => encoder.integer(7, out),
            Command::Client(Client::Name) => encoder.nil(out),
            Command::Client(Client::Redirection) => encoder.constant(Constant::Integer(-1), out),
            Command::Client(Client::TrackingInfo) => encoder.tracking(&["off"], &[], out),
            Command::Client(Client::Info | Client::List(_)) => encoder.lines("id=7\n", out),
            Command::Constant(constant) => encoder.constant(constant, out),
            Command::Client(_) => encoder.ok(out),
            Command::Describe(describe) => {
                let mut description = encoder.describe(&describe, out);
                while description.next(&encoder, out) {}
            }
            Command::Settings(patterns) => {
                encoder.settings(patterns, &[("save", ""), ("appendonly", "no")], out);
            }
            Command::Info(_) => encoder.lines("# Server\r\nloading:0\r\n", out),
            Command::Time => encoder.time(NOW_NS, out),
            Command::Feed(command) => self.answer_feed(&command),
            Command::Multi if self.queue.is_some() => {
                encoder.error(&CommandError::NestedMulti, out);
            }
            Command::Multi => {
                self.queue = Some((0, Vec::new()));
                encoder.ok(out);
            }
            Command::Queue(command) => {
                let (commands, bytes) = self.queue.as_mut().unwrap();
                *commands += 1;
                bytes.extend_from_slice(command.bytes);
                encoder.queued(out);
            }
            Command::Exec => self.execute_queue(),
            Command::Discard if self.queue.take().is_none() => {
                encoder.error(&CommandError::DiscardWithoutMulti, out);
            }
            Command::Watch(_) if self.queue.is_some() => {
                encoder.error(&CommandError::WatchInsideMulti, out);
            }
            Command::Discard | Command::Watch(_) | Command::Unwatch | Command::Fence => {
                encoder.ok(out);
            }
            Command::Reset => {
                self.encoder = Encoder::new();
                self.subscribed.clear();
                encoder.reset(out);
            }
            Command::Quit => {
                encoder.ok(out);
                self.closed = true;
            }
            Command::BadRow { error, last } => {
                self.encoder.bad_row(&error, last, &mut self.out);
            }
            Command::Refused(error) => {
                self.aborted |= self.queue.is_some();
                encoder.error(&error, out);
            }
        }
    }

    fn answer_feed(&mut self, command: &FeedCommand<'_>) {
        let state = match (command, self.feed) {
            (FeedCommand::List, _) => return self.encoder.array(0, &mut self.out),
            (FeedCommand::Open { name, .. }, _) => {
                self.feed = Some(QuoteFeed::told(name, FeedState::Live));
                FeedState::Quiet
            }
            (_, None) => return self.encoder.error(&CommandError::NoFeed, &mut self.out),
            (FeedCommand::Beat, _) => FeedState::Quiet,
            (FeedCommand::Gap, _) => FeedState::Gap,
            (FeedCommand::End, _) => {
                self.feed = None;
                FeedState::Ended
            }
        };
        for quote in self.stocks.values_mut() {
            quote.feed = quote.feed.map(|feed| QuoteFeed { state, ..feed });
        }
        self.encoder.ok(&mut self.out);
    }

    fn execute_queue(&mut self) {
        let aborted = std::mem::take(&mut self.aborted);
        match self.queue.take() {
            None => self.encoder.error(&CommandError::ExecWithoutMulti, &mut self.out),
            Some(_) if aborted => {
                self.encoder.error(&CommandError::TransactionAborted, &mut self.out);
            }
            Some((commands, bytes)) => {
                self.encoder.array(commands, &mut self.out);
                let mut decoder = Decoder::new();
                let mut rest = bytes.as_slice();
                while let Some(incoming) = decoder.decode(&mut rest).unwrap() {
                    match incoming {
                        Incoming::Request(request, shape) => {
                            let reply = self.execute(request);
                            self.encoder.reply(&reply, &shape, &mut self.out);
                        }
                        Incoming::Command(command) => self.answer(command),
                    }
                }
                assert_eq!(rest, b"");
            }
        }
    }

    fn set_all(&mut self, prices: Prices<'_>) {
        let updates: Vec<_> = prices.updates().collect();
        if let Some((symbol, _)) = updates.iter().find(|(it, _)| !self.stocks.contains_key(it)) {
            return self.encoder.refusal(&Refusal::NotListed(*symbol), &mut self.out);
        }
        for (_, update) in updates {
            self.execute(update);
        }
        self.encoder.ok(&mut self.out);
    }

    fn subscribe(&mut self, confirmation: Confirmation, channel: &[u8]) {
        self.subscribed.push(channel.to_vec());
        let subscriptions = self.subscribed.len();
        self.encoder.confirm(confirmation, Some(channel), subscriptions, &mut self.out);
    }

    fn unsubscribe(&mut self, confirmation: Confirmation, channel: &[u8]) {
        self.subscribed.retain(|own| own != channel);
        let subscriptions = self.subscribed.len();
        self.encoder.confirm(confirmation, Some(channel), subscriptions, &mut self.out);
    }

    fn execute(&mut self, mut request: Request) -> Reply {
        if let (Some(feed), Request::Set(_, fields) | Request::Update(_, fields)) =
            (self.feed, &mut request)
        {
            fields.feed = Edit::Set(feed);
        }
        let old = |symbol: &Symbol| self.stocks.get(symbol).copied();
        match request {
            Request::Lookup(Err(_)) => Reply::NotFound,
            Request::Lookup(Ok(symbol)) => old(&symbol).map_or(Reply::NotFound, Reply::Found),
            Request::Delist(symbol) => {
                self.stocks.remove(&symbol).map_or(Reply::NotFound, Reply::Delisted)
            }
            Request::Trade(symbol, shares) => {
                let Some(mut quote) = old(&symbol) else {
                    return Reply::Refused(Refusal::NotListed(symbol));
                };
                let (Shares::Add(take) | Shares::Take(take)) = shares;
                let Some(volume) = quote.volume else {
                    return Reply::Refused(Refusal::VolumeAbsent(symbol));
                };
                match volume.after_trade(shares) {
                    _ if quote.status == Status::Halted => Reply::Refused(Refusal::Halted(symbol)),
                    Some(left) => {
                        quote.volume = Some(left);
                        self.stocks.insert(symbol, quote);
                        Reply::Updated(quote)
                    }
                    None => Reply::Refused(Refusal::VolumeTooLow { symbol, volume, take }),
                }
            }
            Request::Clear(symbol, fields) => {
                let Some(before) = old(&symbol) else { return Reply::NotFound };
                let quote = fields.outcome(&before);
                self.stocks.insert(symbol, quote);
                let fields = |quote: &Quote| {
                    Field::ALL.into_iter().filter(|it| quote.text_of(*it).is_some()).count()
                };
                Reply::Cleared(quote, (fields(&before) - fields(&quote)) as u32)
            }
            Request::Update(symbol, _) if old(&symbol).is_none() => {
                Reply::Refused(Refusal::NotListed(symbol))
            }
            Request::Set(symbol, fields) | Request::Update(symbol, fields) => {
                let old = old(&symbol);
                if old.is_none() && !fields.can_list() {
                    return Reply::Refused(Refusal::PriceMissing(symbol));
                }
                let latest = old.and_then(|quote| quote.time_ns);
                if let (Edit::Set(time_ns), Some(latest_ns)) = (fields.time_ns, latest)
                    && time_ns < latest_ns
                {
                    return Reply::Refused(Refusal::Late { symbol, time_ns, latest_ns });
                }
                let mut quote = fields.outcome(&old.unwrap_or_else(|| Quote::new(symbol)));
                quote.version += 1;
                quote.updated_ns = NOW_NS;
                self.stocks.insert(symbol, quote);
                if old.is_none() { Reply::Listed(quote) } else { Reply::Updated(quote) }
            }
        }
    }
}

/// A command as clients send it.
fn array<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
    let mut bytes = Vec::new();
    frame::command(&parts, &mut bytes);
    bytes
}

/// A command of words without spaces.
fn words(command: &str) -> Vec<u8> {
    array(&command.split_whitespace().collect::<Vec<_>>())
}

/// What is answered to one command.
fn reply(command: &str) -> String {
    Conversation::replies([words(command).as_slice()])
}

/// What is answered to one command after `HELLO 3`, without the reply to that.
fn reply3(command: &str) -> String {
    let mut conversation = Conversation::new();
    conversation.receive(&words("HELLO 3"));
    conversation.read();
    conversation.receive(&words(command));
    conversation.read()
}
