//! The commands that begin and end subscriptions. Each is confirmed with the number of subscriptions
//! that the connection has then.

use stockd_model::{Pattern, Symbol};
use stockd_wire::resp::{Confirmation, Encoder};

use crate::turn::Turn;

/// Subscribes to a symbol, listed or not.
pub(super) fn symbol(symbol: &Symbol, encoder: &Encoder, turn: &mut Turn<'_>) {
    let subscribed = turn.feed.subscribe(turn.id.into(), symbol);
    let out = &mut *turn.replies.out;
    match subscribed {
        Ok(count) => {
            encoder.confirm(Confirmation::Subscribed, Some(symbol.as_bytes()), count, out);
        }
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
}

/// Subscribes to all symbols that match a pattern.
pub(super) fn pattern(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let subscribed = turn.feed.subscribe_pattern(turn.id.into(), &Pattern::new(name));
    let out = &mut *turn.replies.out;
    match subscribed {
        Ok(count) => encoder.confirm(Confirmation::SubscribedPattern, Some(name), count, out),
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
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

/// Ends all subscriptions to symbols, and confirms each.
pub(super) fn end_all_symbols(encoder: &Encoder, turn: &mut Turn<'_>) {
    let mut symbols: Vec<Symbol> = turn.feed.symbols(turn.id.into()).collect();
    symbols.sort_unstable();
    if symbols.is_empty() {
        return confirm_none(Confirmation::Unsubscribed, encoder, turn);
    }
    for symbol in symbols {
        end_symbol(symbol.as_bytes(), encoder, turn);
    }
}

/// Ends all subscriptions to patterns, and confirms each.
pub(super) fn end_all_patterns(encoder: &Encoder, turn: &mut Turn<'_>) {
    let patterns: Vec<Pattern> = turn.feed.patterns(turn.id.into()).cloned().collect();
    if patterns.is_empty() {
        return confirm_none(Confirmation::UnsubscribedPattern, encoder, turn);
    }
    for pattern in patterns {
        end_pattern(pattern.as_bytes(), encoder, turn);
    }
}

/// Where there is nothing to end, one confirmation names nothing.
fn confirm_none(confirmation: Confirmation, encoder: &Encoder, turn: &mut Turn<'_>) {
    let count = turn.feed.len(turn.id.into());
    encoder.confirm(confirmation, None, count, turn.replies.out);
}
