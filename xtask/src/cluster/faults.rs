//! What goes wrong in a run, as its seed says: which fault begins when, and when it ends.
//!
//! Invariant: faults at once do nothing to the same processes or the same links, so each is undone as it was done.

use std::fmt;
use std::time::Duration;

use stockd_witness::Random;

/// Servers of a cluster, and its nodes behind them.
pub(super) const SERVERS: usize = 3;
pub(super) const NODES: usize = 3;
pub(super) const MEMBERS: usize = SERVERS + NODES;

/// Faults at once, at most.
const TOGETHER: usize = 2;

/// How long one lasts.
const LASTS_MS: (usize, usize) = (500, 7000);

/// Between the beginnings of two: now and then long enough for servers to elect a leader, which takes them 4 to 9 s.
const PAUSE_MS: (usize, usize) = (500, 8000);

/// Something that goes wrong. Members are servers from 0 on, and nodes behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end without a warning, and start again.
    Killed(Vec<usize>),
    /// They stand still.
    Stopped(usize),
    /// Nothing goes from one to another, or nothing goes between them.
    Cut { from: usize, to: usize, is_both_ways: bool },
    /// It reaches no other one; or no other one reaches it, either.
    Alone { member: usize, is_both_ways: bool },
    /// All that it sends is late, and some of it is lost.
    Slow(usize),
    /// Its links come and go, many times a second.
    Flapping(usize),
    /// The power of these servers fails: what they have not synced is lost.
    PowerFailure(Vec<usize>),
    /// A node joins that keeps a snapshot, and is killed: before that, meanwhile, or when it is done.
    Snapshot,
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) fault: Fault,
}

/// The faults of this time, by the time when they begin.
pub(super) fn plan(time: Duration, random: &mut Random) -> Vec<Planned> {
    let mut plan: Vec<Planned> = Vec::new();
    let milliseconds = |random: &mut Random, (least, most)| {
        Duration::from_millis(random.between(least, most) as u64)
    };
    let mut from = milliseconds(random, PAUSE_MS);
    while from + Duration::from_millis(LASTS_MS.0 as u64) < time {
        let fault = draw(random);
        let to = (from + milliseconds(random, LASTS_MS)).min(time);
        let going_on = || plan.iter().filter(|other| other.to > from);
        let is_free = going_on().all(|other| !other.fault.concerns(&fault));
        if is_free && going_on().count() < TOGETHER {
            plan.push(Planned { from, to, fault });
        }
        from += milliseconds(random, PAUSE_MS);
    }
    plan
}

fn draw(random: &mut Random) -> Fault {
    let member = random.below(MEMBERS);
    let is_both_ways = random.below(2) == 0;
    match random.below(11) {
        0 | 1 => Fault::Killed(vec![member]),
        2 => Fault::Killed(some_servers(random)),
        3 => Fault::Stopped(member),
        4 | 5 => {
            // Nodes have no links between each other.
            let servers: Vec<usize> = (0..SERVERS).filter(|it| *it != member).collect();
            let server = *random.pick(&servers);
            let (from, to) = if random.below(2) == 0 { (member, server) } else { (server, member) };
            Fault::Cut { from, to, is_both_ways }
        }
        6 => Fault::Alone { member, is_both_ways },
        7 => Fault::Slow(member),
        8 => Fault::Flapping(member),
        9 => Fault::PowerFailure(some_servers(random)),
        _ => Fault::Snapshot,
    }
}

/// One of them, two, or all.
fn some_servers(random: &mut Random) -> Vec<usize> {
    let mut servers: Vec<usize> = (0..SERVERS).collect();
    random.shuffle(&mut servers);
    servers.truncate(random.between(1, SERVERS));
    servers
}

impl Fault {
    /// Whether both do something to the same processes, or to the same links.
    fn concerns(&self, other: &Fault) -> bool {
        let ((one, members), (another, others)) = (self.members(), other.members());
        one == another && members.iter().any(|member| others.contains(member))
    }

    /// What it does something to, and to which members.
    fn members(&self) -> (What, Vec<usize>) {
        match self {
            Fault::Killed(members) | Fault::PowerFailure(members) => {
                (What::Process, members.clone())
            }
            Fault::Stopped(member) => (What::Process, vec![*member]),
            Fault::Cut { from, to, .. } => (What::Links, vec![*from, *to]),
            // Its links are those of all.
            Fault::Alone { .. } | Fault::Flapping(_) => (What::Links, (0..MEMBERS).collect()),
            Fault::Slow(member) => (What::Speed, vec![*member]),
            Fault::Snapshot => (What::Snapshot, vec![0]),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Process,
    Links,
    Speed,
    Snapshot,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |members: &[usize]| {
            members.iter().map(|it| name(*it)).collect::<Vec<_>>().join(" and ")
        };
        let ways = |is_both| if is_both { "both ways" } else { "one way" };
        match self {
            Fault::Killed(members) => write!(f, "{} killed", names(members)),
            Fault::Stopped(member) => write!(f, "{} stopped", name(*member)),
            Fault::Cut { from, to, is_both_ways } => {
                write!(f, "{} cut from {}, {}", name(*from), name(*to), ways(*is_both_ways))
            }
            Fault::Alone { member, is_both_ways } => {
                write!(f, "{} cut from all, {}", name(*member), ways(*is_both_ways))
            }
            Fault::Slow(member) => write!(f, "{} slow", name(*member)),
            Fault::Flapping(member) => write!(f, "{} flapping", name(*member)),
            Fault::PowerFailure(members) => write!(f, "power of {} fails", names(members)),
            Fault::Snapshot => write!(f, "a snapshot is kept by a node that is killed"),
        }
    }
}

/// What a member is called.
pub(super) fn name(member: usize) -> String {
    match member.checked_sub(SERVERS) {
        None => format!("server {member}"),
        Some(node) => format!("node {node}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_and_faults_at_once_do_not_meet() {
        let time = Duration::from_secs(60);
        let mut kinds = std::collections::HashSet::new();
        for seed in 0..200 {
            let of_seed = plan(time, &mut Random::new(seed));
            assert_eq!(of_seed, plan(time, &mut Random::new(seed)));
            assert!(of_seed.len() > 2, "{of_seed:?}");
            for (at, one) in of_seed.iter().enumerate() {
                assert!(one.from < one.to && one.to <= time);
                if let Fault::Cut { from, to, .. } = one.fault {
                    assert!(from != to && from.min(to) < SERVERS, "{one:?}");
                }
                kinds.insert(std::mem::discriminant(&one.fault));
                let together = |other: &&Planned| other.from < one.to && one.from < other.to;
                let others: Vec<_> = of_seed[..at].iter().filter(together).collect();
                assert!(others.len() < TOGETHER, "{one:?} {others:?}");
                assert!(others.iter().all(|other| !other.fault.concerns(&one.fault)));
            }
        }
        assert_eq!(kinds.len(), 8, "all kinds");
    }
}
