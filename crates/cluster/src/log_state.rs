//! What a node knows of the log: up to where, and what of it counts.
//!
//! It reads one message after the other, in the order of the log, and says what each means. It decides nothing about
//! stocks. Pure: messages in, meanings out, no clock and no network; all nodes read the same out of the same log.
//!
//! Invariant: a message is read once, at its own sequence, after all before it; after a [`Fault`] none is.

use stockd_model::batch::{self, BatchError, Body, Command, Head, Kind, Seen};
use xxhash_rust::xxh3::Xxh3;

use crate::chain::Chain;
use crate::round::{Round, Turn};
use crate::sessions::{Admission, Sessions};

/// The log up to a message, as a node has read it.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    chain: Chain,
    sessions: Sessions,
    round: Round,
    /// Messages that were passed over since the start.
    passed_over: u64,
}

/// What a delivered message is to a node.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// It has been read before.
    Old,
    /// There is one before it that has not come.
    Gap,
    /// The next one.
    Next(Option<Head>, Meaning),
}

/// What a message of the log means.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    /// Somebody's session begins.
    Opened,
    /// Commands, to be decided at its time.
    Commands(Vec<Command>),
    /// Commands that the reader has, since it has sent them: they were not read again.
    Own,
    /// Its sender lives.
    Alive,
    /// Its sender holds this after that message.
    Digest { sequence: u64, digest: u64 },
    /// Every node is to say what it holds now.
    Compare,
    /// A snapshot up to that message has been kept.
    Snapshot { sequence: u64 },
    /// Nothing: it has come before, or is of a session that is not open.
    Repeated,
    /// Nothing: its session is not open.
    Unknown,
    /// Nothing: it is not a message of a cluster.
    Rubbish(BatchError),
}

/// Why a node reads no further. What it holds is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A later stockd writes to the log.
    #[error(
        "message {sequence} of the log has format {format}, which a later stockd has written; \
         update this node, it goes on from there"
    )]
    NewerFormat {
        /// Its sequence.
        sequence: u64,
        /// Its format.
        format: u8,
    },
    /// The log is not what others have read, or what this node has read before.
    #[error(
        "the log has forked at message {sequence}: it is not what was there before; writes have stopped; see \
         docs/cluster.md, 'When the log has lost messages'"
    )]
    Forked {
        /// Where it was seen.
        sequence: u64,
    },
    /// The log has lost what this node or another one has read.
    #[error(
        "the log has lost its end: message {sequence} was there, and it is being written again; writes have stopped; \
         see docs/cluster.md, 'When the log has lost messages'"
    )]
    LostTail {
        /// A message that was read and is not there.
        sequence: u64,
    },
    /// Most nodes hold something else.
    #[error(
        "after message {sequence} most other nodes hold something else than this one: its quotes are wrong; begin \
         it with an empty memory, and look for what has changed it"
    )]
    Diverged {
        /// After which message.
        sequence: u64,
    },
    /// What comes next is not in the log any more.
    #[error(
        "this node has applied message {applied} of the log, which begins at message {first} now: it was held up for too \
         long; start it again, it begins from a snapshot"
    )]
    Behind {
        /// The first message of the log.
        first: u64,
        /// The last message that was applied.
        applied: u64,
    },
    /// The log cannot be followed.
    #[error("{0}")]
    Unusable(String),
    /// The node has no room for what the others hold.
    #[error("{0}; give this node more memory and start it again")]
    NoRoom(String),
}

impl LogState {
    /// Before the first message.
    pub(crate) fn new() -> LogState {
        LogState {
            chain: Chain::from(Seen::default()),
            sessions: Sessions::default(),
            round: Round::default(),
            passed_over: 0,
        }
    }

    /// As it was after a message, with the links of the last ones up to that.
    pub(crate) fn restored(
        (sequence, links): (u64, Vec<u64>),
        sessions: Sessions,
        round: Round,
    ) -> LogState {
        LogState { chain: Chain::with_links(sequence, links), sessions, round, passed_over: 0 }
    }

    /// The links of the latest messages, that of the last one last.
    pub(crate) fn links(&self, most: usize) -> impl ExactSizeIterator<Item = u64> {
        self.chain.latest(most)
    }

    /// The sessions.
    pub(crate) fn open_sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What the log has had since the last snapshot.
    pub(crate) fn round(&self) -> Round {
        self.round
    }

    /// Whose turn it is to keep a snapshot of this number of stocks, when one is due.
    pub(crate) fn turn(&self, stocks: u64) -> Option<Turn> {
        self.round.turn(&self.sessions, stocks)
    }

    /// The last message that was read, and the chain up to it.
    pub(crate) fn seen(&self) -> Seen {
        self.chain.seen()
    }

    /// Sessions that are open.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Messages that meant nothing, since the start.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// A hash of it, the same at all nodes.
    pub(crate) fn digest(&self, hash: &mut Xxh3) {
        let Seen { sequence, chain } = self.chain.seen();
        for number in [sequence, chain].into_iter().chain(self.sessions.numbers()) {
            hash.update(&number.to_le_bytes());
        }
    }

    /// Reads what was delivered as the message of this sequence. `is_own` says by its head whether it is a batch that the
    /// reader has sent, byte by byte, and waits for.
    ///
    /// # Errors
    ///
    /// [`Fault`]: it was not read, and nothing may be read any more.
    pub(crate) fn read(
        &mut self,
        sequence: u64,
        message: &[u8],
        is_own: impl FnOnce(&Head) -> bool,
    ) -> Result<Read, Fault> {
        let next = self.chain.sequence() + 1;
        if sequence < next {
            return match self.chain.has(sequence, message) {
                Some(false) => Err(Fault::Forked { sequence }),
                _ => Ok(Read::Old),
            };
        }
        if sequence > next {
            return Ok(Read::Gap);
        }
        let read = match batch::decode_head(message) {
            Ok(head) if is_own(&head) => Ok((head, None)),
            Ok(_) => batch::decode(message).map(|(head, body)| (head, Some(body))),
            Err(error) => Err(error),
        };
        let (head, meaning) = match read {
            Err(BatchError::Format(format)) => return Err(Fault::NewerFormat { sequence, format }),
            Err(rubbish) => (None, Meaning::Rubbish(rubbish)),
            Ok((head, body)) => {
                // Not with somebody who has never said hello here: it may have read another log.
                if head.kind == Kind::Hello || self.sessions.is_open(head.session) {
                    self.compare(&head, sequence)?;
                }
                let meaning = match self.sessions.admit(&head, sequence) {
                    Admission::Unknown => Meaning::Unknown,
                    Admission::Repeated => Meaning::Repeated,
                    Admission::Counts => meaning_of(head.kind, body),
                };
                (Some(head), meaning)
            }
        };
        let is_nothing =
            matches!(meaning, Meaning::Repeated | Meaning::Unknown | Meaning::Rubbish(_));
        self.passed_over += u64::from(is_nothing);
        self.chain.append(message);
        self.round.note(message.len(), self.sessions.time_ns());
        if let Meaning::Snapshot { sequence } = meaning {
            self.round.kept(sequence, self.sessions.time_ns());
        }
        Ok(Read::Next(head, meaning))
    }

    /// Compares what the sender of a message had seen with what is here.
    fn compare(&self, head: &Head, sequence: u64) -> Result<(), Fault> {
        let Seen { sequence: seen, chain } = head.seen;
        if seen >= sequence {
            return Err(Fault::LostTail { sequence: seen });
        }
        match self.chain.link(seen) {
            Some(link) if link != chain => Err(Fault::Forked { sequence: seen }),
            _ => Ok(()),
        }
    }
}

fn meaning_of(kind: Kind, body: Option<Body>) -> Meaning {
    let Some(body) = body else { return Meaning::Own };
    match (kind, body) {
        (Kind::Hello, _) => Meaning::Opened,
        (Kind::Compare, _) => Meaning::Compare,
        (_, Body::Nothing) => Meaning::Alive,
        (_, Body::Commands(commands)) => Meaning::Commands(commands),
        (_, Body::Digest { sequence, digest }) => Meaning::Digest { sequence, digest },
        (_, Body::Snapshot { sequence }) => Meaning::Snapshot { sequence },
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::batch::{FORMAT, plain};

    use super::*;

    fn message(kind: Kind, number: u64, seen: Seen) -> Vec<u8> {
        plain(&Head { kind, count: 0, session: 7, number, time_ns: 9, seen }, &Body::Nothing)
    }

    fn read(log: &mut LogState, sequence: u64, message: &[u8]) -> Result<Read, Fault> {
        log.read(sequence, message, |_| false)
    }

    #[test]
    fn messages_are_read_in_order_and_once() {
        let mut log = LogState::new();
        let hello = message(Kind::Hello, 0, Seen::default());
        assert_eq!(read(&mut log, 2, &hello), Ok(Read::Gap));
        assert!(matches!(read(&mut log, 1, &hello), Ok(Read::Next(Some(_), Meaning::Opened))));
        assert_eq!(read(&mut log, 1, &hello), Ok(Read::Old));
        let tick = message(Kind::Tick, 1, log.seen());
        assert!(matches!(read(&mut log, 2, &tick), Ok(Read::Next(_, Meaning::Alive))));
        assert!(matches!(read(&mut log, 3, &tick), Ok(Read::Next(_, Meaning::Repeated))));
        assert!(matches!(
            read(&mut log, 4, b"\x01rubbish"),
            Ok(Read::Next(None, Meaning::Rubbish(_)))
        ));
        assert!(matches!(read(&mut log, 5, b""), Ok(Read::Next(None, Meaning::Rubbish(_)))));
        assert_eq!((log.seen().sequence, log.passed_over(), log.sessions()), (5, 3, 1));
    }

    #[test]
    fn a_later_format_a_fork_and_a_lost_end_stop_a_node() {
        let mut log = LogState::new();
        read(&mut log, 1, &message(Kind::Hello, 0, Seen::default())).unwrap();
        let tick = message(Kind::Tick, 1, log.seen());
        read(&mut log, 2, &tick).unwrap();
        let before = log.seen();
        let mut later = message(Kind::Tick, 2, before);
        later[0] = FORMAT + 1;
        let format = FORMAT + 1;
        assert_eq!(read(&mut log, 3, &later), Err(Fault::NewerFormat { sequence: 3, format }));
        let other = message(Kind::Tick, 9, before);
        assert_eq!(
            read(&mut log, 2, &other),
            Err(Fault::Forked { sequence: 2 }),
            "another one came before"
        );
        let wrong = Seen { chain: 1, ..before };
        assert_eq!(
            read(&mut log, 3, &message(Kind::Tick, 2, wrong)),
            Err(Fault::Forked { sequence: 2 })
        );
        let ahead = Seen { sequence: 3, ..before };
        let lost = Err(Fault::LostTail { sequence: 3 });
        assert_eq!(read(&mut log, 3, &message(Kind::Tick, 2, ahead)), lost);
        assert_eq!(log.seen(), before, "nothing of it was read");
        let good = message(Kind::Tick, 2, before);
        assert!(matches!(read(&mut log, 3, &good), Ok(Read::Next(_, Meaning::Alive))));
    }

    #[test]
    fn what_the_reader_has_sent_is_not_read_again_and_counts_once() {
        let mut log = LogState::new();
        read(&mut log, 1, &message(Kind::Hello, 0, Seen::default())).unwrap();
        let tick = message(Kind::Tick, 1, log.seen());
        assert!(matches!(log.read(2, &tick, |_| true), Ok(Read::Next(Some(_), Meaning::Own))));
        assert!(matches!(log.read(3, &tick, |_| true), Ok(Read::Next(_, Meaning::Repeated))));
        let wrong = message(Kind::Tick, 2, Seen { chain: 1, ..log.seen() });
        assert_eq!(log.read(4, &wrong, |_| true), Err(Fault::Forked { sequence: 3 }));
        assert_eq!(log.read(4, b"rubbish", |_| true).map(|_| log.seen().sequence), Ok(4));
    }
}
