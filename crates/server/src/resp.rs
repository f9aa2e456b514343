//! A conversation in RESP: what a client that speaks like one of Redis asks, and what it is told.
//!
//! It decodes, has requests executed, encodes, and keeps what is particular to this protocol: the
//! version spoken, the requests that are *parked* until the disk has them, and through its worker
//! the subscriptions. Like the [session](crate::session) around it, it knows no socket.
//!
//! Invariant: while requests are parked, all further ones are parked behind them, lookups too, so
//! that replies keep their order and a client reads what it has written. A command that is no
//! request to the engine waits until none is parked.

use std::collections::VecDeque;

use stockd_engine::{Catalog, Feed, Message, Snapshot, SubscriberId};
use stockd_model::limits::{KEYS_MAX, PARKED_REQUESTS_MAX, SNAPSHOT_PAGE_ROWS, SNAPSHOTS_MAX};
use stockd_model::{Pattern, Reply, Request, Symbol};
use stockd_wire::resp::{
    ANSWER_BYTES_MAX, Admits, Client, Command, CommandError, Confirmation, Decoder, Encoder, Glob,
    Hello, Shape, Version,
};

use crate::session::{Ending, Replies, Told, Waits};

/// One client's conversation.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    decoder: Decoder,
    encoder: Encoder,
    /// The shapes of the replies that are to come from the journal, in order.
    parked: VecDeque<Shape<'static>>,
    /// The catalog at one moment, while the client reads it.
    snapshot: Option<Box<Snapshot>>,
}

/// What a command leaves to be done when it is no longer borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Nothing,
    /// Which commands are admitted may have changed.
    Admit,
    Quit,
}

impl Conversation {
    /// Answers as many commands as there are and as there is room for. Returns how many bytes
    /// they took.
    #[inline]
    pub(crate) fn answer(&mut self, input: &[u8], replies: &mut Replies<'_>) -> (usize, Waits) {
        let mut taken = 0;
        let waits = loop {
            let together = replies.lookups_together(ANSWER_BYTES_MAX);
            if together == 0 {
                break Waits::ForRoom;
            }
            let before = input.get(taken..).unwrap_or_default();
            let mut rest = before;
            if self.is_parked() {
                let waits = self.park_next(&mut rest, replies);
                taken += before.len() - rest.len();
                match waits {
                    Some(waits) => break waits,
                    None => continue,
                }
            }
            self.decoder.lookups(&mut rest, together, |symbol| replies.batch.begin(&symbol));
            if replies.batch.begun() > 0 {
                replies.batch.answer(|answer| self.encoder.answer(answer, replies.out));
                taken += before.len() - rest.len();
                match rest {
                    // Lookups that are taken leave nothing to be decoded without input.
                    [] => break Waits::ForInput,
                    _ => continue,
                }
            }
            let after = match self.decoder.decode(&mut rest) {
                Ok(Some(Command::Ask(request, shape))) => {
                    match replies.batch.execute_now(&request) {
                        Some(reply) => self.encoder.reply(&reply, &shape, replies.out),
                        None => park(request, &shape, &mut self.parked, replies),
                    }
                    After::Nothing
                }
                Ok(Some(command)) => {
                    perform(command, &mut self.encoder, &mut self.snapshot, replies)
                }
                Ok(None) => {
                    taken += before.len() - rest.len();
                    break Waits::ForInput;
                }
                Err(error) => {
                    self.encoder.error(&error, replies.out);
                    break Waits::ForNothing(Ending::ProtocolError);
                }
            };
            taken += before.len() - rest.len();
            match after {
                After::Nothing => {}
                After::Admit => self.admit(replies),
                After::Quit => break Waits::ForNothing(Ending::Quit),
            }
        };
        (taken, waits)
    }

    /// Parks the next request behind those that are parked. Says what the conversation waits for if
    /// there is none, or none that can be parked now.
    fn park_next(&mut self, rest: &mut &[u8], replies: &mut Replies<'_>) -> Option<Waits> {
        let has_room = replies.writer.as_ref().is_some_and(|writer| writer.has_room());
        if !has_room || self.parked.len() >= PARKED_REQUESTS_MAX {
            return Some(Waits::ForJournal);
        }
        let undecoded = (*rest, self.decoder.clone());
        match self.decoder.decode(rest) {
            Ok(Some(Command::Ask(request, shape))) if shape.lasting().is_some() => {
                park(request, &shape, &mut self.parked, replies);
                None
            }
            Ok(None) => Some(Waits::ForInput),
            _ => {
                (*rest, self.decoder) = undecoded;
                Some(Waits::ForJournal)
            }
        }
    }

    /// Whether replies are to come from the journal.
    #[inline]
    pub(crate) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// The reply to the request that is parked first has come.
    pub(crate) fn answered(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        if let Some(shape) = self.parked.pop_front() {
            self.encoder.reply(reply, &shape, out);
        }
    }

    /// Tells a subscriber what it has not been told, as long as there is room. Returns how many
    /// messages that were.
    pub(crate) fn tell(&self, told: &mut Told<'_>) -> u64 {
        let Told { feed, subscriber, catalog, budget, out, out_bytes_max } = told;
        let mut messages = 0;
        let _ = feed.tell(*subscriber, catalog, budget, |Message { pattern, symbol, payload }| {
            let symbol = symbol.as_bytes();
            match pattern {
                None => self.encoder.message(symbol, payload, out),
                Some(pattern) => {
                    self.encoder.pattern_message(pattern.as_bytes(), symbol, payload, out);
                }
            }
            messages += 1;
            out.len() < *out_bytes_max
        });
        messages
    }

    /// A subscribed client that speaks RESP2 could not tell replies from messages.
    fn admit(&mut self, replies: &Replies<'_>) {
        let subscribed = replies.feed.len(replies.subscriber) > 0;
        let takes_messages_for_replies = self.encoder.version() == Version::Resp2;
        self.decoder.admit(match subscribed && takes_messages_for_replies {
            true => Admits::Subscription,
            false => Admits::All,
        });
    }
}

/// Hands a request to the journal, which answers it later.
#[cold]
fn park(
    request: Request,
    shape: &Shape<'_>,
    parked: &mut VecDeque<Shape<'static>>,
    replies: &mut Replies<'_>,
) {
    if let (Some(writer), Some(shape)) = (&mut replies.writer, shape.lasting()) {
        writer.submit(replies.tag, request);
        parked.push_back(shape);
    } else {
        debug_assert!(false, "every write can be parked where there is a journal");
    }
}

/// Performs any command but a request to the engine.
#[cold]
fn perform(
    command: Command<'_>,
    encoder: &mut Encoder,
    snapshot: &mut Option<Box<Snapshot>>,
    replies: &mut Replies<'_>,
) -> After {
    let Replies { batch, out, feed, subscriber, card, overview, now, .. } = replies;
    let subscriber = *subscriber;
    let engine = batch.engine();
    match command {
        Command::Ask(request, shape) => {
            let reply = batch.execute(&request);
            encoder.reply(&reply, &shape, out);
        }
        Command::Array(elements) => encoder.array(elements, out),
        Command::Count => encoder.integer(engine.catalog().len() as u64, out),
        Command::Snapshot { next } => {
            if !next {
                *snapshot = None;
                *snapshot = engine.snapshot().map(Box::new);
            }
            page_of_snapshot(snapshot, next, encoder, out);
        }
        Command::Scan(scan) => {
            let page = engine.catalog().page(scan.from, scan.rows);
            let symbols: Vec<Symbol> = page.quotes.iter().map(|quote| quote.symbol).collect();
            let admitted: Vec<_> = symbols.into_iter().filter(|it| scan.admits(it)).collect();
            encoder.scan(page.next, &admitted, out);
        }
        Command::Keys(pattern) => match keys(engine.catalog(), pattern) {
            Some(symbols) => encoder.symbols(&symbols, out),
            None => encoder.error(
                &format_args!(
                    "ERR KEYS would list more than {KEYS_MAX} stocks, the limit; use SCAN"
                ),
                out,
            ),
        },
        Command::Subscribe(symbol) => {
            match feed.subscribe(subscriber, &symbol, engine.catalog()) {
                Ok(count) => {
                    let name = Some(symbol.as_bytes());
                    encoder.confirm(Confirmation::Subscribed, name, count, out);
                }
                Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
            }
            return After::Admit;
        }
        Command::SubscribePattern(pattern) => {
            let name = pattern.as_bytes();
            match feed.subscribe_pattern(subscriber, &Pattern::new(name)) {
                Ok(count) => {
                    encoder.confirm(Confirmation::SubscribedPattern, Some(name), count, out);
                }
                Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
            }
            return After::Admit;
        }
        Command::Unsubscribe(name) => {
            let count = match Symbol::parse(name) {
                Ok(symbol) => feed.unsubscribe(subscriber, &symbol),
                Err(_) => feed.len(subscriber),
            };
            encoder.confirm(Confirmation::Unsubscribed, Some(name), count, out);
            return After::Admit;
        }
        Command::UnsubscribePattern(name) => {
            let count = feed.unsubscribe_pattern(subscriber, &Pattern::new(name));
            encoder.confirm(Confirmation::UnsubscribedPattern, Some(name), count, out);
            return After::Admit;
        }
        Command::UnsubscribeAll => {
            unsubscribe_all(Confirmation::Unsubscribed, encoder, feed, subscriber, out);
            return After::Admit;
        }
        Command::UnsubscribeAllPatterns => {
            unsubscribe_all(Confirmation::UnsubscribedPattern, encoder, feed, subscriber, out);
            return After::Admit;
        }
        Command::Ping(message) => encoder.pong(message, feed.len(subscriber) > 0, out),
        Command::Echo(message) => encoder.text(message, out),
        Command::Hello(Hello { credentials: Some(_), .. }) | Command::Auth(_) => {
            encoder.error(&CommandError::NoPasswordConfigured, out);
        }
        Command::Hello(Hello { version, name, credentials: None }) => {
            if let Some(version) = version {
                encoder.set_version(version);
            }
            if let Some(name) = name {
                name.clone_into(&mut card.names().client);
            }
            encoder.hello(env!("CARGO_PKG_VERSION"), card.id, out);
            return After::Admit;
        }
        Command::Client(client) => {
            match client {
                Client::Id => encoder.integer(card.id, out),
                Client::Info => {
                    let mut line = String::new();
                    card.write_line(*now, &mut line);
                    encoder.lines(&line, out);
                }
                Client::List => encoder.lines(&overview.roster.lines(*now), out),
                Client::Name => match card.names().client.as_bytes() {
                    b"" => encoder.nil(out),
                    name => encoder.text(name, out),
                },
                Client::SetName(name) => name.clone_into(&mut card.names().client),
                Client::SetLibraryName(name) => name.clone_into(&mut card.names().library),
                Client::SetLibraryVersion(version) => {
                    version.clone_into(&mut card.names().library_version);
                }
            }
            let sets = |client| {
                use Client::{SetLibraryName, SetLibraryVersion, SetName};
                matches!(client, SetName(_) | SetLibraryName(_) | SetLibraryVersion(_))
            };
            if sets(client) {
                encoder.ok(out);
            }
        }
        Command::Describe(describe) => encoder.describe(&describe, out),
        Command::Settings(patterns) => {
            let connections_max = overview.metrics().connections_max.to_string();
            // What tools that measure Redis ask for.
            let appendonly = if engine.journal().is_some() { "yes" } else { "no" };
            let settings =
                [("save", ""), ("appendonly", appendonly), ("maxclients", &connections_max)];
            encoder.settings(patterns, &settings, out);
        }
        Command::Info(sections) => encoder.lines(&overview.info(sections, *now), out),
        Command::Time => encoder.time(stockd_engine::now_ns(), out),
        Command::Nothing => encoder.ok(out),
        Command::Reset => {
            feed.leave(subscriber);
            card.subscriptions.set(0);
            card.marks.set(0);
            encoder.set_version(Version::Resp2);
            *card.names() = Default::default();
            *snapshot = None;
            encoder.reset(out);
            return After::Admit;
        }
        Command::Quit => {
            encoder.ok(out);
            return After::Quit;
        }
        Command::Refused(error) => encoder.error(&error, out),
    }
    After::Nothing
}

/// Sends the next page of the snapshot, and forgets it after the last.
fn page_of_snapshot(
    snapshot: &mut Option<Box<Snapshot>>,
    begun: bool,
    encoder: &Encoder,
    out: &mut Vec<u8>,
) {
    let Some(reading) = snapshot else {
        let refusal = match begun {
            true => format_args!("ERR no snapshot is being read; begin one with SNAPSHOT"),
            false => format_args!(
                "ERR {SNAPSHOTS_MAX} snapshots are being read, the limit; try again when one has ended"
            ),
        };
        return encoder.error(&refusal, out);
    };
    match reading.page(SNAPSHOT_PAGE_ROWS) {
        Some(quotes) => encoder.quotes(&quotes, out),
        None => {
            *snapshot = None;
            encoder.nil(out);
        }
    }
}

/// Every symbol that matches, unless they are more than may be listed at once.
fn keys(catalog: &Catalog, pattern: Glob<'_>) -> Option<Vec<Symbol>> {
    let symbols = catalog.iter().map(|quote| quote.symbol);
    let matching = symbols.filter(|symbol| pattern.matches(symbol.as_bytes()));
    let found: Vec<_> = matching.take(KEYS_MAX + 1).collect();
    (found.len() <= KEYS_MAX).then_some(found)
}

/// Ends all subscriptions to symbols, or all to patterns, and confirms each.
fn unsubscribe_all(
    confirmation: Confirmation,
    encoder: &Encoder,
    feed: &mut Feed,
    subscriber: SubscriberId,
    out: &mut Vec<u8>,
) {
    let mut confirmed = false;
    if confirmation == Confirmation::Unsubscribed {
        let mut symbols: Vec<_> = feed.symbols(subscriber).collect();
        symbols.sort_unstable();
        for symbol in symbols {
            let count = feed.unsubscribe(subscriber, &symbol);
            encoder.confirm(confirmation, Some(symbol.as_bytes()), count, out);
            confirmed = true;
        }
    } else {
        let patterns: Vec<_> = feed.patterns(subscriber).cloned().collect();
        for pattern in patterns {
            let count = feed.unsubscribe_pattern(subscriber, &pattern);
            encoder.confirm(confirmation, Some(pattern.as_bytes()), count, out);
            confirmed = true;
        }
    }
    if !confirmed {
        encoder.confirm(confirmation, None, feed.len(subscriber), out);
    }
}
