//! A crowd of subscribers, most of whom do not read.

use std::collections::HashMap;

use stockd_model::limits::FEED_CROWD;

use crate::stage::{Client, Stage, set};

const STOCKS: usize = 100;

/// Changes of each stock: more messages than all buffers on the way hold.
const CHANGES: usize = 60;

/// A worker takes no marks before a crowd was told of earlier ones. Those who have no room for messages are no part of
/// that: whoever reads is told of each change, and who reads on is told the last.
#[test]
fn those_who_do_not_read_keep_no_message_from_those_who_do() {
    let stage = Stage::new(STOCKS);
    let names: String = (0..STOCKS).map(|stock| format!(" S{stock}")).collect();
    let subscribe = || {
        let mut client = stage.client();
        client.send(format!("SUBSCRIBE{names}\r\n"));
        client
    };
    let mut deaf: Vec<Client> = (0..2 * FEED_CROWD).map(|_| subscribe()).collect();
    let mut reader = subscribe();
    for change in 2..CHANGES {
        let price = change.to_string();
        (0..STOCKS).for_each(|stock| set(&stage.engine, stock, &price));
        read_until_all_are_at(&mut reader, &price);
    }
    stage.wait_until(|metrics| metrics.slow >= deaf.len() as u64);
    let last = (CHANGES - 1).to_string();
    deaf.iter_mut().for_each(|client| read_until_all_are_at(client, &last));
    stage.wait_until(|metrics| metrics.slow == 0);
}

fn read_until_all_are_at(client: &mut Client, price: &str) {
    let mut at = HashMap::new();
    while at.values().filter(|at| *at == price).count() < STOCKS {
        let line = client.line();
        assert!(!line.is_empty(), "the connection is over");
        let quote = line.strip_prefix("{\"symbol\":\"").and_then(|rest| rest.split_once('"'));
        if let Some((symbol, rest)) = quote {
            let quoted = rest.strip_prefix(",\"price\":\"").and_then(|rest| rest.split_once('"'));
            at.insert(symbol.to_owned(), quoted.expect("a price").0.to_owned());
        }
    }
}
