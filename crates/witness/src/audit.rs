//! Whether the log of a cluster says what clients were told.
//!
//! Every write of a client has a mark that no other has, so it is found in the log by that.

use std::collections::BTreeMap;

use crate::history::{Call, History, State, Told};
use crate::truth::{Effect, Truth};

/// What is told of one kind of difference, at most.
const TOLD_MAX: usize = 5;

/// Compares what clients of one stock were told with the log: every difference.
pub fn audit(symbol: &str, history: &History, truth: &Truth) -> Vec<String> {
    let mut differences = Vec::new();
    let mut effects: BTreeMap<(bool, u64), Vec<&Effect>> = BTreeMap::new();
    for effect in truth.effects.iter().filter(|effect| effect.symbol == symbol) {
        if let (Some(mark), Some(_)) = (effect.ask.mark(), effect.after) {
            effects.entry(mark).or_default().push(effect);
        }
    }
    let mut known = 0;
    for call in &history.calls {
        let Some(mark) = call.ask.mark() else { continue };
        let of_call = effects.remove(&mark).unwrap_or_default();
        known += of_call.len();
        differences.extend(compare(symbol, call, &of_call));
    }
    for (_, unknown) in effects {
        differences
            .push(format!("{symbol}: the log has {unknown:?}, which no client has asked for"));
    }
    match truth.stocks.get(symbol) {
        Some(last) => differences.extend(account(symbol, history, *last)),
        None if known > 0 => differences.push(format!("{symbol} is not in the log")),
        None => {}
    }
    let left_out = differences.len().saturating_sub(TOLD_MAX);
    differences.truncate(TOLD_MAX);
    if left_out > 0 {
        differences.push(format!("{symbol}: and {left_out} more"));
    }
    differences
}

fn compare(symbol: &str, call: &Call, effects: &[&Effect]) -> Option<String> {
    let why = match (call.told, effects) {
        (_, [_, _, ..]) => "has taken effect more than once",
        (Told::Done(_), []) => "was acknowledged and is not in the log",
        (Told::Refused | Told::NoEffect, [_]) => "was told that it has no effect, and has had it",
        (Told::Done(shown), [Effect { after: Some(after), .. }]) if !shown.is_of(after) => {
            "was told something else than the log says"
        }
        _ => return None,
    };
    Some(format!("{symbol}: {call:?} {why}: {effects:?}"))
}

/// What was sold and what is left are what was issued.
fn account(symbol: &str, history: &History, last: State) -> Option<String> {
    let sum = |is_counted: fn(&Told) -> bool| -> u64 {
        let counted = history.calls.iter().filter(|call| is_counted(&call.told));
        counted
            .filter_map(|call| call.ask.mark())
            .filter(|(takes, _)| *takes)
            .map(|(_, it)| it)
            .sum()
    };
    let sold = sum(|told| matches!(told, Told::Done(_)));
    let unknown = sum(|told| matches!(told, Told::Unknown));
    let gone = history.before.volume.checked_sub(last.volume);
    match gone {
        Some(gone) if (sold..=sold + unknown).contains(&gone) => None,
        _ => Some(format!(
            "{symbol}: {} were issued, {} are left, {sold} were sold and perhaps {unknown} more",
            history.before.volume, last.volume
        )),
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::batch::{self, BatchWriter, Body, Head, Kind, Seen};
    use stockd_model::{Edit, Fields, Request, Shares, Volume};

    use super::*;
    use crate::history::{Ask, Shown};
    use crate::nats::Message;

    fn head(kind: Kind, number: u64) -> Head {
        Head { kind, count: 0, session: 1, number, time_ns: 1, seen: Seen::default() }
    }

    fn batch(number: u64, requests: &[Request]) -> Vec<u8> {
        let mut writer = BatchWriter::new();
        requests.iter().for_each(|it| writer.push(&(*it).into()).unwrap());
        writer.finish(&head(Kind::Batch, number))
    }

    fn take(shares: u64) -> Request {
        Request::Trade("HOT".parse().unwrap(), Shares::Take(Volume::new(shares)))
    }

    /// A stock of a hundred shares, of which 7 and then 8 are taken; the first message comes twice.
    fn truth() -> Truth {
        let fields = Fields {
            price: Edit::Set("1".parse().unwrap()),
            volume: Edit::Set(Volume::new(100)),
            ..Fields::default()
        };
        let taken = batch(2, &[take(7)]);
        let log = [
            batch::plain(&head(Kind::Hello, 0), &Body::Nothing),
            batch(1, &[Request::Set("HOT".parse().unwrap(), fields)]),
            taken.clone(),
            batch(3, &[take(8), take(200)]),
            taken,
            b"rubbish".to_vec(),
        ];
        let message = |(at, bytes): (usize, &Vec<u8>)| Message {
            sequence: at as u64 + 1,
            bytes: bytes.clone(),
        };
        Truth::of(&log.iter().enumerate().map(message).collect::<Vec<_>>())
    }

    fn differences(calls: &[(u64, Told)]) -> Vec<String> {
        let call = |&(shares, told): &(u64, Told)| Call {
            client: 0,
            node: 0,
            invoked: 0,
            returned: Some(1),
            ask: Ask::Take(shares),
            told,
        };
        let before = State { version: 1, price: 1, volume: 100 };
        let history = History { before, calls: calls.iter().map(call).collect() };
        audit("HOT", &history, &truth())
    }

    fn left(volume: u64) -> Told {
        Told::Done(Shown { volume: Some(volume), ..Shown::default() })
    }

    #[test]
    fn messages_count_once_and_shares_are_taken_where_there_are_some() {
        let truth = truth();
        assert_eq!(truth.stocks["HOT"], State { version: 3, price: 1, volume: 85 });
        assert_eq!(truth.passed_over, 2);
    }

    #[test]
    fn what_clients_were_told_has_to_be_in_the_log() {
        let good = [(7, left(93)), (8, left(85)), (200, Told::Refused), (9, Told::NoEffect)];
        assert_eq!(differences(&good), [] as [String; 0]);
        assert_eq!(differences(&[(7, Told::Unknown), (8, left(85)), (10, Told::Unknown)]).len(), 0);
        let said = |calls: &[(u64, Told)], what: &str| {
            let differences = differences(calls).join("\n");
            assert!(differences.contains(what), "{differences}");
        };
        said(&[(7, left(93)), (8, left(85)), (9, left(76))], "not in the log");
        said(&[(7, Told::NoEffect), (8, left(85))], "has had it");
        said(&[(7, left(92)), (8, left(85))], "something else");
        said(&[(8, left(85))], "no client has asked for");
        said(&[(7, left(93)), (8, left(85)), (9, left(76))], "85 are left, 24 were sold");
    }
}
