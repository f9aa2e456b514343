//! The commands that begin and end subscriptions. Each is confirmed with the number of subscriptions
//! that the connection has then.

use stockd_model::{Pattern, Symbol};
use stockd_wire::resp::{Confirmation, Encoder};

use crate::turn::Turn;

/// Subscribes to a symbol, listed or not.
pub(super) fn symbol(symbol: &Symbol, encoder: &Encoder, turn: &mut Turn<'_>) {
    let engine = turn.executor.engine();
    let out = &mut *turn.replies.out;
    match turn.subscriptions.subscribe(turn.id.into(), symbol, engine) {
        Ok(count) => {
            encoder.confirm(Confirmation::Subscribed, Some(symbol.as_bytes()), count, out);
        }
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
}

/// Subscribes to all symbols that match a pattern.
pub(super) fn pattern(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let out = &mut *turn.replies.out;
    match turn.subscriptions.subscribe_pattern(turn.id.into(), &Pattern::new(name)) {
        Ok(count) => encoder.confirm(Confirmation::SubscribedPattern, Some(name), count, out),
        Err(refused) => encoder.error(&format_args!("ERR {refused}"), out),
    }
}

/// Ends the subscription to a symbol, if there is one. An impossible name has none.
pub(super) fn end_symbol(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let key = turn.id.into();
    let count = match Symbol::parse(name) {
        Ok(symbol) => turn.subscriptions.unsubscribe(key, &symbol),
        Err(_) => turn.subscriptions.len(key),
    };
    encoder.confirm(Confirmation::Unsubscribed, Some(name), count, turn.replies.out);
}

/// Ends the subscription to a pattern, if there is one.
pub(super) fn end_pattern(name: &[u8], encoder: &Encoder, turn: &mut Turn<'_>) {
    let count = turn.subscriptions.unsubscribe_pattern(turn.id.into(), &Pattern::new(name));
    encoder.confirm(Confirmation::UnsubscribedPattern, Some(name), count, turn.replies.out);
}

/// Ends all subscriptions to symbols, and confirms each.
pub(super) fn end_all_symbols(encoder: &Encoder, turn: &mut Turn<'_>) {
    let (symbols, _) = turn.subscriptions.of(turn.id.into());
    if symbols.is_empty() {
        return confirm_none(Confirmation::Unsubscribed, encoder, turn);
    }
    for symbol in symbols {
        end_symbol(symbol.as_bytes(), encoder, turn);
    }
}

/// Ends all subscriptions to patterns, and confirms each.
pub(super) fn end_all_patterns(encoder: &Encoder, turn: &mut Turn<'_>) {
    let (_, patterns) = turn.subscriptions.of(turn.id.into());
    if patterns.is_empty() {
        return confirm_none(Confirmation::UnsubscribedPattern, encoder, turn);
    }
    for pattern in patterns {
        end_pattern(pattern.as_bytes(), encoder, turn);
    }
}

/// Where there is nothing to end, one confirmation names nothing.
fn confirm_none(confirmation: Confirmation, encoder: &Encoder, turn: &mut Turn<'_>) {
    let count = turn.subscriptions.len(turn.id.into());
    encoder.confirm(confirmation, None, count, turn.replies.out);
}
