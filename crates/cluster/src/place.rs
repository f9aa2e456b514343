//! Where a node is in the log, and what it holds there, as bytes: kept in its data directory with its quotes, and at the
//! front of a snapshot.
//!
//! docs/cluster.md draws them. Pure: bytes in, a place or what is wrong with them out.
//!
//! Invariant: what was decoded encodes to the same bytes, and no other bytes mean the same place.

use stockd_engine::Holdings;
use stockd_model::limits::{CHAIN_KEPT, CLUSTER_SESSIONS_MAX, VERSION_MAX};

use crate::log_state::LogState;
use crate::options::ClusterName;
use crate::round::Round;
use crate::sessions::{Session, Sessions};

/// Where a node is in the log of its cluster, and what it holds there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) cluster: ClusterName,
    /// That of the log.
    pub(crate) epoch: u64,
    pub(crate) holdings: Holdings,
    pub(crate) log: LogState,
}

/// Bytes that are no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// A later stockd has written it.
    #[error("it has format {0}, which a later stockd has written")]
    Newer(u8),
    /// Something else.
    #[error("{what} at byte {at}")]
    Malformed { what: &'static str, at: usize },
}

/// What a place begins with.
const MAGIC: [u8; 4] = *b"node";
/// The format that is written, and the latest that is read.
const FORMAT: u8 = 1;

impl Place {
    /// Appends what [`decode`](Place::decode) reads.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        encode(bytes, (&self.cluster, self.epoch), &self.holdings, &self.log);
    }

    /// Reads a place from the front, and moves behind it.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Place, PlaceError> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take()? != MAGIC {
            return Err(reader.malformed("no place in a log"));
        }
        let [format, name, 0, 0] = reader.take()? else {
            return Err(reader.malformed("no zeros"));
        };
        match format {
            FORMAT => {}
            later if later > FORMAT => return Err(PlaceError::Newer(later)),
            _ => return Err(reader.malformed("an unknown format")),
        }
        let epoch = reader.u64()?;
        let (quotes, stocks, version_floor) = (reader.u64()?, reader.u64()?, reader.u64()?);
        if version_floor > VERSION_MAX {
            return Err(reader.malformed("a version beyond all"));
        }
        let holdings = Holdings { quotes, stocks, version_floor };
        let (sequence, time_ns, forgotten) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let round = Round {
            sequence: reader.u64()?,
            began_ns: reader.u64()?,
            due_ns: reader.u64()?,
            bytes: reader.u64()?,
        };
        let (links, sessions) = (reader.u16()?, reader.u16()?);
        let counts =
            1..=CHAIN_KEPT.min(usize::try_from(sequence).unwrap_or(usize::MAX).saturating_add(1));
        if !counts.contains(&links) || sessions > CLUSTER_SESSIONS_MAX || reader.take()? != [0; 4] {
            return Err(reader.malformed("impossible counts"));
        }
        let name = reader.name(usize::from(name))?;
        let links = (0..links).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        let mut open = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            let (id, session) = reader.session()?;
            if open.last().is_some_and(|(before, _)| *before >= id) {
                return Err(reader.malformed("sessions out of order"));
            }
            open.push((id, session));
        }
        let log = LogState::restored(
            (sequence, links),
            Sessions::restored(time_ns, forgotten, open),
            round,
        );
        *bytes = bytes.get(reader.at..).unwrap_or_default();
        Ok(Place { cluster: name, epoch, holdings, log })
    }
}

/// Appends a place.
pub(crate) fn encode(
    bytes: &mut Vec<u8>,
    (cluster, epoch): (&ClusterName, u64),
    holdings: &Holdings,
    log: &LogState,
) {
    let (links, sessions, round) = (log.links(CHAIN_KEPT), log.open_sessions(), log.round());
    let name = cluster.as_str().as_bytes();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[FORMAT, name.len() as u8, 0, 0]);
    let Holdings { quotes, stocks, version_floor } = *holdings;
    let of_log = [log.seen().sequence, sessions.time_ns(), sessions.forgotten()];
    let of_round = [round.sequence, round.began_ns, round.due_ns, round.bytes];
    let numbers = [epoch, quotes, stocks, version_floor].into_iter().chain(of_log).chain(of_round);
    numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes.extend_from_slice(&(links.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(sessions.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(name);
    links.for_each(|link| bytes.extend_from_slice(&link.to_le_bytes()));
    for (id, Session { opened, number, sequence, time_ns }) in sessions.open() {
        for number in [id, opened, number, sequence, time_ns] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// Reads from a front.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn malformed(&self, what: &'static str) -> PlaceError {
        PlaceError::Malformed { what, at: self.at }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PlaceError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = *rest.first_chunk().ok_or_else(|| self.malformed("it ends"))?;
        self.at += N;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<usize, PlaceError> {
        self.take().map(u16::from_le_bytes).map(usize::from)
    }

    fn u64(&mut self) -> Result<u64, PlaceError> {
        self.take().map(u64::from_le_bytes)
    }

    fn name(&mut self, len: usize) -> Result<ClusterName, PlaceError> {
        let name = self.bytes.get(self.at..).and_then(|rest| rest.get(..len));
        let name = name.ok_or_else(|| self.malformed("it ends"))?;
        let name = std::str::from_utf8(name).ok().and_then(|name| ClusterName::new(name).ok());
        let name = name.ok_or_else(|| self.malformed("no name of a cluster"))?;
        self.at += len;
        Ok(name)
    }

    fn session(&mut self) -> Result<(u64, Session), PlaceError> {
        let id = self.u64()?;
        let (opened, number) = (self.u64()?, self.u64()?);
        Ok((id, Session { opened, number, sequence: self.u64()?, time_ns: self.u64()? }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = Place> {
        let sessions = btree_map(any::<u64>(), any::<[u64; 4]>(), 0..6);
        let of_log = (CHAIN_KEPT as u64..1 << 50, vec(any::<u64>(), 1..CHAIN_KEPT + 1), sessions);
        ("[a-zA-Z0-9_-]{1,32}", any::<[u64; 10]>(), of_log).prop_map(
            |(name, numbers, (sequence, links, sessions))| {
                let [epoch, quotes, stocks, floor, time_ns, forgotten, round @ ..] = numbers;
                let [at, began_ns, due_ns, bytes] = round;
                let session = |(id, [opened, number, sequence, time_ns]): (u64, [u64; 4])| {
                    (id, Session { opened, number, sequence, time_ns })
                };
                let sessions = sessions.into_iter().map(session);
                let version_floor = floor % VERSION_MAX;
                Place {
                    cluster: ClusterName::new(&name).unwrap(),
                    epoch,
                    holdings: Holdings { quotes, stocks, version_floor },
                    log: LogState::restored(
                        (sequence, links),
                        Sessions::restored(time_ns, forgotten, sessions),
                        Round { sequence: at, began_ns, due_ns, bytes },
                    ),
                }
            },
        )
    }

    fn encoded(place: &Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        place.encode(&mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_place_comes_back_and_what_is_cut_is_none(place in places()) {
            let bytes = encoded(&place);
            let mut front = &*[&bytes[..], b"behind"].concat();
            let back = Place::decode(&mut front).unwrap();
            prop_assert_eq!(front, b"behind");
            prop_assert_eq!(encoded(&back), &bytes[..]);
            prop_assert_eq!(back.log.seen(), place.log.seen());
            prop_assert_eq!(back.holdings, place.holdings);
            for len in 0..bytes.len() {
                prop_assert!(Place::decode(&mut &bytes[..len]).is_err(), "cut at {}", len);
            }
        }

        #[test]
        fn rubbish_is_no_place_or_one_that_encodes_to_it(
            place in places(), at in any::<usize>(), byte in any::<u8>(), rubbish in vec(any::<u8>(), 0..200)
        ) {
            let mut bytes = encoded(&place);
            let at = at % bytes.len();
            bytes[at] = byte;
            for bytes in [bytes, rubbish] {
                let mut rest = &*bytes;
                if let Ok(read) = Place::decode(&mut rest) {
                    prop_assert_eq!(&encoded(&read), &bytes[..bytes.len() - rest.len()]);
                }
            }
        }
    }

    /// The example of docs/cluster.md.
    #[test]
    fn a_place_is_the_bytes_of_the_document() {
        let session = Session { opened: 1, number: 2, sequence: 3, time_ns: 4 };
        let place = Place {
            cluster: ClusterName::new("main").unwrap(),
            epoch: 0x0102_0304_0506_0708,
            holdings: Holdings { quotes: 0x1112_1314_1516_1718, stocks: 2, version_floor: 9 },
            log: LogState::restored(
                (3, vec![0x21, 0x22]),
                Sessions::restored(4, 0, [(0x31, session)]),
                Round { sequence: 2, began_ns: 3, due_ns: 0, bytes: 96 },
            ),
        };
        let document = include_str!("../../../docs/cluster.md");
        let (_, table) = document.split_once("## What a node keeps").unwrap();
        let bytes: Vec<u8> = table
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| line.rsplit('`').nth(1))
            .flat_map(|example| example.split(' '))
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert_eq!(encoded(&place), bytes);
        let mut later = bytes;
        later[4] = FORMAT + 1;
        assert_eq!(Place::decode(&mut &*later).unwrap_err(), PlaceError::Newer(FORMAT + 1));
    }
}
