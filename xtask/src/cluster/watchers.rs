//! One watcher for each node, who asks it again and again how it is: how far it has come, how old it says that it may be, and
//! what it shows then.
//!
//! Invariant: what is noted of a node was asked in this order: how old it may be, then what it shows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use stockd_witness::{Call, Told, Truth};

use super::clients::STOCKS;
use super::node::{Node, info};
use crate::resp::{Dialogue, Reply};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A node at one moment.
#[derive(Clone, Debug)]
struct Look {
    /// When it was asked, by the clock of the clients.
    at: u64,
    applied: u64,
    /// How old what it shows may be, as it says.
    fresh: Option<Duration>,
    /// The latest digest, and after which message.
    digest: Option<String>,
    /// The version of the first stock.
    version: Option<u64>,
}

/// Watchers at work.
#[derive(Debug)]
pub(super) struct Watchers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Look>>>,
}

/// What they have seen.
#[derive(Debug)]
pub(super) struct Seen(Vec<Vec<Look>>);

impl Watchers {
    /// Watches these nodes. `now` is the time of the clients.
    pub(super) fn start(nodes: &[Node], now: u64) -> Watchers {
        let over = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let watch = |node: &Node| {
            let (socket, over) = (node.socket.clone(), Arc::clone(&over));
            thread::spawn(move || watch(&socket, &over, || now + began.elapsed().as_nanos() as u64))
        };
        let threads = nodes.iter().map(watch).collect();
        Watchers { over, threads }
    }

    pub(super) fn end(mut self) -> Result<Seen> {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.threads.drain(..).map(|it| it.join().ok().context("a watcher panicked"));
        Ok(Seen(seen.collect::<Result<_>>()?))
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|it| _ = it.join());
    }
}

fn watch(socket: &PathBuf, over: &AtomicBool, now: impl Fn() -> u64) -> Vec<Look> {
    let mut looks = Vec::new();
    let mut dialogue: Option<Dialogue> = None;
    while !over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
        if dialogue.is_none() {
            dialogue = Dialogue::connect_unix(socket).ok();
        }
        let looked = dialogue.as_mut().map(|it| look(it, now()));
        match looked {
            Some(Ok(look)) => looks.push(look),
            _ => dialogue = None,
        }
    }
    looks
}

fn look(dialogue: &mut Dialogue, at: u64) -> Result<Look> {
    let said = info(dialogue)?;
    let number = |name: &str| said(name).and_then(|text| text.parse::<u64>().ok());
    let version = match dialogue.ask(&format!("HGET {} version", STOCKS[0].0))? {
        Reply::Bulk(text) => text.parse().ok(),
        Reply::Number(number) => u64::try_from(number).ok(),
        _ => None,
    };
    Ok(Look {
        at,
        applied: number("cluster_applied").unwrap_or_default(),
        fresh: number("cluster_fresh_ms").map(Duration::from_millis),
        digest: said("cluster_digest"),
        version,
    })
}

impl Seen {
    /// How many digests were compared.
    pub(super) fn digests(&self) -> usize {
        let digests = self.0.iter().flatten().filter_map(|look| look.digest.as_ref());
        digests.collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Whether nodes have ever held different things, or gone back: each case.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut contradictions = Vec::new();
        let mut digests: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (node, looks) in self.0.iter().enumerate() {
            for two in looks.windows(2) {
                let ([before, after], is_back) =
                    ([&two[0], &two[1]], two[1].version < two[0].version);
                if after.applied < before.applied || is_back {
                    contradictions
                        .push(format!("node {node} went back: {before:?}, then {after:?}"));
                }
            }
            for said in looks.iter().filter_map(|look| look.digest.as_deref()) {
                let Some((sequence, digest)) = said.split_once(':') else { continue };
                let (other, known) =
                    digests.entry(sequence.to_owned()).or_insert((node, digest.to_owned()));
                if known != digest {
                    contradictions.push(format!(
                        "after message {sequence} node {node} has digest {digest}, and node {other} {known}"
                    ));
                }
            }
        }
        contradictions.dedup();
        contradictions
    }

    /// Whether a node has ever shown something else than the log says up to where it had come: each case.
    pub(super) fn differences(&self, truth: &Truth) -> Vec<String> {
        let of_stock = truth.effects.iter().filter(|effect| effect.symbol == STOCKS[0].0);
        let versions: Vec<(u64, u64)> =
            of_stock.filter_map(|effect| Some((effect.sequence, effect.after?.version))).collect();
        let version_at = |applied: u64| {
            let count = versions.partition_point(|(sequence, _)| *sequence <= applied);
            count.checked_sub(1).map_or(1, |at| versions[at].1)
        };
        let mut differences = Vec::new();
        for (node, looks) in self.0.iter().enumerate() {
            for two in looks.windows(2) {
                // It had come at least so far when it was asked, and at most so far when it had answered.
                let (least, most) = (version_at(two[0].applied), version_at(two[1].applied));
                if two[0].version.is_some_and(|shown| !(least..=most).contains(&shown)) {
                    differences.push(format!(
                        "node {node} shows another version than the log has, {least} to {most}: {:?}",
                        two[0]
                    ));
                }
            }
        }
        differences.truncate(3);
        differences
    }

    /// Whether a node was ever older than it said: what had been acknowledged anywhere before, it must show.
    pub(super) fn too_old(&self, calls: &[Call]) -> Vec<String> {
        let mut acknowledged: Vec<(u64, u64)> = calls
            .iter()
            .filter_map(|call| match (call.told, call.returned) {
                (Told::Done(shown), Some(returned)) => Some((returned, shown.version?)),
                _ => None,
            })
            .collect();
        acknowledged.sort_unstable();
        let mut latest = 0;
        for (_, version) in &mut acknowledged {
            latest = latest.max(*version);
            *version = latest;
        }
        let mut too_old = Vec::new();
        for (node, looks) in self.0.iter().enumerate() {
            for look in looks {
                let (Some(fresh), Some(shown)) = (look.fresh, look.version) else { continue };
                // It tells whole milliseconds.
                let fresh = fresh + Duration::from_millis(1);
                let before = look.at.saturating_sub(fresh.as_nanos() as u64);
                let known = acknowledged.partition_point(|(returned, _)| *returned < before);
                let due = known.checked_sub(1).map_or(0, |at| acknowledged[at].1);
                if shown < due {
                    too_old.push(format!(
                        "node {node} says that it is at most {fresh:?} old, and shows version {shown} when {due} was \
                         acknowledged before: {look:?}"
                    ));
                }
            }
        }
        too_old.truncate(3);
        too_old
    }
}

#[cfg(test)]
mod tests {
    use stockd_witness::{Ask, Shown};

    use super::*;

    fn look(at: u64, applied: u64, fresh_ms: u64, digest: &str, version: u64) -> Look {
        let fresh = Some(Duration::from_millis(fresh_ms));
        Look { at, applied, fresh, digest: Some(digest.to_owned()), version: Some(version) }
    }

    #[test]
    fn nodes_that_differ_or_go_back_are_told() {
        let good = vec![look(0, 5, 1, "4:a", 1), look(1, 6, 1, "4:a", 1), look(2, 9, 1, "8:b", 2)];
        assert_eq!(Seen(vec![good.clone(), good.clone()]).contradictions().len(), 0);
        let back = vec![look(0, 6, 1, "4:a", 1), look(1, 5, 1, "4:a", 1)];
        let other = vec![look(0, 9, 1, "8:c", 1)];
        assert_eq!(Seen(vec![good.clone(), back]).contradictions().len(), 1);
        assert_eq!(Seen(vec![good, other]).contradictions().len(), 1);
    }

    #[test]
    fn a_node_that_is_older_than_it_says_is_told() {
        let ms = |number: u64| number * 1_000_000;
        let shown = Shown { version: Some(7), ..Shown::default() };
        let call = Call {
            client: 0,
            node: 1,
            invoked: ms(5),
            returned: Some(ms(10)),
            ask: Ask::SetPrice(3),
            told: Told::Done(shown),
        };
        let seen = |version, fresh_ms| Seen(vec![vec![look(ms(100), 1, fresh_ms, "4:a", version)]]);
        assert_eq!(seen(7, 50).too_old(&[call]).len(), 0);
        assert_eq!(seen(6, 95).too_old(&[call]).len(), 0, "it may be older than the write");
        assert_eq!(seen(6, 50).too_old(&[call]).len(), 1);
    }
}
