//! The commands that begin and end subscriptions. Each is confirmed with the number of subscriptions
//! that the connection has then.

use stockd_engine::{NotSubscribed, Progress};
use stockd_model::limits::PATTERN_BYTES_MAX;
use stockd_model::{Pattern, Request, Symbol};
use stockd_wire::resp::{Arguments, Confirmation, Encoder};

use super::cost;
use crate::turn::Turn;

/// Subscribes to a symbol, listed or not. A name that can be no symbol is confirmed all the same, since
/// clients count the confirmations; there will never be a message of it.
pub(super) fn symbol(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    if let Err(full) = turn.check_memory() {
        return encoder.error(&full, turn.replies.out);
    }
    let Ok(symbol) = Symbol::parse(name) else {
        return confirm_unchanged(Confirmation::Subscribed, Some(name), encoder, turn);
    };
    let subscribed = turn.feed.subscribe(turn.id.into(), turn.identity.access(), &symbol);
    let out = &mut *turn.replies.out;
    match subscribed {
        Err(NotSubscribed::NotPermitted(refusal)) => {
            turn.cells.count_refusal(&refusal);
            encoder.refusal(&refusal, out);
        }
        Ok(count) => {
            encoder.confirm(Confirmation::Subscribed, Some(symbol.as_bytes()), count, out);
        }
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
}

/// Subscribes to all symbols that match a pattern. One that is too long is confirmed, and matches nothing.
pub(super) fn pattern(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    if let Err(full) = turn.check_memory() {
        return encoder.error(&full, turn.replies.out);
    }
    if name.len() > PATTERN_BYTES_MAX {
        return confirm_unchanged(Confirmation::SubscribedPattern, Some(name), encoder, turn);
    }
    let (access, pattern) = (turn.identity.access(), Pattern::new(name));
    let subscribed = turn.feed.subscribe_pattern(turn.id.into(), access, &pattern);
    let out = &mut *turn.replies.out;
    match subscribed {
        Ok(count) => encoder.confirm(Confirmation::SubscribedPattern, Some(name), count, out),
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
}

/// Says how many connections are subscribed to each name.
pub(super) fn count(names: Arguments<'_>, encoder: &Encoder, turn: &mut Turn<'_>) {
    let (directory, access) = (turn.executor.engine().directory(), turn.identity.access());
    for symbol in names.filter_map(|name| Symbol::parse(name).ok()) {
        if let Err(refusal) = access.check(&Request::Lookup(Ok(symbol))) {
            turn.cells.count_refusal(&refusal);
            return encoder.refusal(&refusal, turn.replies.out);
        }
    }
    let count = |name| directory.subscribers(access, &Symbol::parse(name).ok()?);
    let counts = names.map(|name| (name, count(name).unwrap_or_default()));
    encoder.subscriber_counts(counts, turn.replies.out);
}

/// Ends the subscription to a symbol, if there is one. An impossible name has none.
pub(super) fn end_symbol(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let subscriber = turn.id.into();
    let count = match Symbol::parse(name) {
        Ok(symbol) => turn.feed.unsubscribe(subscriber, &symbol),
        Err(_) => turn.feed.len(subscriber),
    };
    encoder.confirm(Confirmation::Unsubscribed, Some(name), count, turn.replies.out);
}

/// Ends the subscription to a pattern, if there is one.
pub(super) fn end_pattern(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let count = turn.feed.unsubscribe_pattern(turn.id.into(), &Pattern::new(name));
    encoder.confirm(Confirmation::UnsubscribedPattern, Some(name), count, turn.replies.out);
}

/// Ends the next of all subscriptions to symbols, and confirms it.
pub(super) fn end_next_symbol(encoder: &Encoder, turn: &mut Turn<'_>) -> Progress {
    let next = turn.feed.symbols(turn.id.into()).next();
    let Some(symbol) = next else {
        return Progress::Done;
    };
    turn.work.spend(cost::SUBSCRIPTION);
    end_symbol(symbol.as_bytes(), encoder, turn);
    Progress::More
}

/// Ends the next of all subscriptions to patterns, and confirms it.
pub(super) fn end_next_pattern(encoder: &Encoder, turn: &mut Turn<'_>) -> Progress {
    let next = turn.feed.patterns(turn.id.into()).next().cloned();
    let Some(pattern) = next else {
        return Progress::Done;
    };
    turn.work.spend(cost::SUBSCRIPTION);
    end_pattern(pattern.as_bytes(), encoder, turn);
    Progress::More
}

/// Whether there are subscriptions to end of this kind. If not, that is confirmed.
pub(super) fn has_some_to_end(
    confirmation: Confirmation,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) -> bool {
    let subscriber = turn.id.into();
    let has_some = match confirmation {
        Confirmation::UnsubscribedPattern => turn.feed.patterns(subscriber).next().is_some(),
        _ => turn.feed.symbols(subscriber).next().is_some(),
    };
    if !has_some {
        confirm_unchanged(confirmation, None, encoder, turn);
    }
    has_some
}

/// Where nothing begins or ends, one confirmation says so.
fn confirm_unchanged(
    confirmation: Confirmation,
    name: Option<&[u8]>,
    encoder: &Encoder,
    turn: &mut Turn<'_>,
) {
    let count = turn.feed.len(turn.id.into());
    encoder.confirm(confirmation, name, count, turn.replies.out);
}
