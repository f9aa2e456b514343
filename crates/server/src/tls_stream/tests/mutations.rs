//! Flights of a client in which anything may have been changed on the way.
//!
//! 256 cases in each run, with a seed of their own, which is printed where one fails. More of them:
//!
//! ```console
//! $ PROPTEST_CASES=100000 cargo test --release -p stockd-server --lib mutations
//! ```

use super::*;
use prop::sample::Index;

/// What happens to the bytes of a flight.
#[derive(Clone, Debug)]
enum Mutation {
    /// Bits of a byte are others.
    Flip(Index, u8),
    /// Some bytes are lost.
    Lose(Index, usize),
    /// Some bytes come twice.
    Repeat(Index, usize),
    /// Some bytes come that were not sent.
    Insert(Index, Vec<u8>),
    /// A record says that it has another length, or is of another kind or version.
    Head(Index, [u8; 5]),
    /// Two records change places.
    Swap(Index, Index),
    /// One record comes in two, each with a head of its own.
    Split(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let length = prop_oneof![3 => 1..6_usize, 1 => 1..700_usize];
    let bytes = prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        3 => (at(), 1..=u8::MAX).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        1 => (at(), length.clone()).prop_map(|(at, length)| Mutation::Lose(at, length)),
        1 => (at(), length).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        1 => (at(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (at(), head()).prop_map(|(at, head)| Mutation::Head(at, head)),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        1 => at().prop_map(Mutation::Split),
    ]
}

/// The head of a record, of a kind that there is more often than not.
fn head() -> impl Strategy<Value = [u8; 5]> {
    let kind = prop_oneof![4 => 20..=24_u8, 1 => any::<u8>()];
    let length = prop_oneof![
        2 => 0..64_u16,
        1 => 16_380..16_700_u16,
        1 => any::<u16>(),
    ];
    (kind, 0..5_u8, length).prop_map(|(kind, minor, length)| {
        let [high, low] = length.to_be_bytes();
        [kind, 3, minor, high, low]
    })
}

/// The whole records of a flight.
fn records(flight: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut rest = flight;
    while let [_, _, _, high, low, ..] = rest {
        let end = rest.len().min(5 + usize::from(u16::from_be_bytes([*high, *low])));
        records.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    records
}

impl Mutation {
    fn apply(&self, flight: &mut Vec<u8>) {
        if flight.is_empty() {
            return;
        }
        let range = |at: &Index, length: usize| {
            let begin = at.index(flight.len());
            begin..flight.len().min(begin + length)
        };
        match self {
            Mutation::Flip(at, bits) => {
                let at = at.index(flight.len());
                flight[at] ^= bits;
            }
            Mutation::Lose(at, length) => drop(flight.drain(range(at, *length))),
            Mutation::Repeat(at, length) => {
                let range = range(at, *length);
                let again = flight[range.clone()].to_vec();
                drop(flight.splice(range.end..range.end, again));
            }
            Mutation::Insert(at, bytes) => {
                let at = at.index(flight.len());
                drop(flight.splice(at..at, bytes.iter().copied()));
            }
            Mutation::Head(..) | Mutation::Swap(..) | Mutation::Split(_) => {
                let mut records = records(flight);
                if !records.is_empty() {
                    self.apply_to_records(&mut records);
                }
                *flight = records.concat();
            }
        }
    }

    fn apply_to_records(&self, records: &mut Vec<Vec<u8>>) {
        let count = records.len();
        match self {
            Mutation::Head(at, head) => records[at.index(count)][..5].copy_from_slice(head),
            Mutation::Swap(one, other) => records.swap(one.index(count), other.index(count)),
            Mutation::Split(at) => {
                let at = at.index(count);
                let record = records.remove(at);
                let (head, body) = record.split_at(5);
                for half in [&body[..body.len() / 2], &body[body.len() / 2..]] {
                    let length = (half.len() as u16).to_be_bytes();
                    records.insert(at, [&head[..3], &length, half].concat());
                }
                // The first half comes first.
                records.swap(at, at + 1);
            }
            _ => {}
        }
    }
}

/// Gives the server a flight, and the client what comes back until it understands no more.
fn give(
    pair: &mut Pair,
    mut bytes: &[u8],
    cut: usize,
    is_understood: &mut bool,
) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        let room = pair.server.room(&mut pair.buffers, cut);
        let part = room.len().min(bytes.len());
        room[..part].copy_from_slice(&bytes[..part]);
        bytes = &bytes[part..];
        let opened = pair.server.open(part, &mut pair.buffers, &mut pair.plain);
        let mut outgoing = pair.buffers.outgoing.as_slice();
        while *is_understood && !outgoing.is_empty() {
            *is_understood = pair.client.read_tls(&mut outgoing).is_ok()
                && pair.client.process_new_packets().is_ok();
        }
        pair.received.extend_from_slice(&pair.plain[..opened?]);
        assert!(pair.server.held_bytes() <= 2 * TLS_PARTIAL_BYTES_MAX);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    /// Whatever is changed in whichever flight, however it is cut: nothing panics, little is held, what the
    /// session gets is the beginning of what the client has sent, and after an error nothing is sent but an alert.
    #[test]
    fn what_was_changed_on_the_way_is_never_taken_for_what_was_sent(
        mutations in prop::collection::vec(mutation(), 1..4),
        changed in 0..4_usize,
        cut in prop::sample::select(vec![1_usize, 5, 100, 3000, 20_000]),
        parts in prop::collection::vec(1..2000_usize, 1..4),
    ) {
        let mut pair = Pair::new();
        let mut sent = Vec::new();
        let (mut outcome, mut is_understood) = (Ok(()), true);
        for flight in 0..4 {
            if flight >= 2 && !pair.client.is_handshaking() {
                for part in &parts {
                    let plain: Vec<u8> = (0..*part).map(|byte| byte as u8).collect();
                    // It may have been told that it is not understood.
                    if pair.client.writer().write_all(&plain).is_ok() {
                        sent.extend_from_slice(&plain);
                    }
                }
            }
            if flight == 3 {
                pair.client.send_close_notify();
            }
            let mut bytes = pair.flight();
            if flight == changed {
                mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
            }
            outcome = outcome.and_then(|()| give(&mut pair, &bytes, cut, &mut is_understood));
            prop_assert!(sent.starts_with(&pair.received));
        }
        pair.server.seal(b"172.5", &mut pair.buffers.outgoing);
        pair.server.seal_end(&mut pair.buffers.outgoing);
        prop_assert!(outcome.is_ok() || pair.buffers.outgoing.is_empty());
    }
}
