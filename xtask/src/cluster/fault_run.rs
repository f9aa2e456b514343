//! One run of faults: a cluster under trade, what goes wrong, and what must be so all the same.
//!
//! Always true, whatever goes wrong:
//!
//! - what was acknowledged is in the log, once; what was refused has no effect; what is uncertain takes effect once or never;
//! - what was sold and what is left are what was issued, at every node;
//! - the answers of each node are linearizable, and so are the writes of all with the reads behind a fence of all;
//! - no node goes back, or is older than it says; at the same message all have the same digest;
//! - when all is healed, every node takes writes and shows those of the others before long: how long is told, and judged by who
//!   runs it, since it depends on what else the machine does.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use stockd_witness::{
    Ask, History, Message, Nats, Random, Told, Truth, across_nodes, audit, through_node,
};

use super::clients::{Clients, STOCKS};
use super::faults::{self, NODES, Planned};
use super::machine;
use super::node::{Node, info};
use super::programs::Programs;
use super::scene::{STREAM, Scene, becomes, within};
use super::watchers::{Seen, Watchers};
use crate::resp::{Dialogue, Reply};

/// How soon every node has to be level after all is healed, as docs/cluster.md promises.
pub(super) const LEVEL_PROMISE: Duration = Duration::from_secs(15);

/// How often links that come and go do so.
const MOMENT: Duration = Duration::from_millis(100);

/// What a node is told to wait for the log before it gives a write up.
const WRITE_TIMEOUTS: [&str; 2] = ["2s", "10s"];

/// What became of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seed: u64,
    pub(super) plan: Vec<Planned>,
    pub(super) slowness: &'static str,
    pub(super) calls: usize,
    pub(super) acknowledged: usize,
    pub(super) without_effect: usize,
    pub(super) unknown: usize,
    /// Reads behind a fence that were answered, through all nodes.
    pub(super) fenced: usize,
    pub(super) messages: usize,
    pub(super) passed_over: usize,
    pub(super) digests: usize,
    /// The last message that is in a snapshot; 0 where none was kept.
    pub(super) snapshot: u64,
    /// How long it took until every node was level, and the whole run.
    pub(super) level: Duration,
    pub(super) took: Duration,
    /// The load average of the machine.
    pub(super) load: String,
    pub(super) problems: Vec<String>,
}

impl Outcome {
    /// Whether it took longer than promised until all nodes were level. On a machine that has other work it may.
    pub(super) fn is_late(&self) -> bool {
        self.level > LEVEL_PROMISE
    }
}

/// Runs what the seed says, for this time.
///
/// # Errors
///
/// When the run itself cannot be made. What is wrong with the cluster is in the outcome.
pub(super) fn run(
    programs: &Programs,
    directory: &Path,
    seed: u64,
    time: Duration,
) -> Result<Outcome> {
    let began = Instant::now();
    let mut random = Random::new(seed);
    let plan = faults::plan(time, &mut random.fork());
    let write_timeout: &str = random.pick::<&str>(&WRITE_TIMEOUTS);
    let mut scene = Scene::start(programs, directory, write_timeout)?;
    let has_fence = list_stocks(&scene.nodes)?;
    let clients = Clients::start(&scene.nodes, has_fence, &mut random);
    let watchers = Watchers::start(&scene.nodes, clients.now());
    if seed.is_multiple_of(2) {
        // The first node keeps nothing, so it begins with this each time.
        scene.keep_snapshot()?;
    }
    let mut problems = play(&mut scene, &plan)?;
    let level = level(&scene.nodes)?;
    problems.extend(scene.ended());
    let histories = clients.end()?;
    let seen = watchers.end()?;
    let shown = settle(&scene.nodes)?;
    let said = info(&mut scene.nodes[0].connect()?)?;
    let number = |what| said(what).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    let (snapshot, applied) = (number("cluster_snapshot"), number("cluster_applied"));
    problems.extend(scene.stop_nodes());
    let server = scene.server();
    let log = within(&server.place, || {
        let read = || Nats::connect(server.place.address(server.port))?.messages(STREAM);
        // The servers may be busy with an election; and one that was cut off while it led the log answers with what it
        // had then, until it knows better. What a node has applied the log has.
        let reaches =
            |log: &Vec<_>| log.last().is_some_and(|last: &Message| last.sequence >= applied);
        becomes("the log has what a node has applied", || read().ok().filter(reaches))
    })?;
    let truth = Truth::of(&log);
    problems.extend(compare(&histories, &truth, &shown));
    problems.extend(seen.behind(&truth));
    problems.extend(orders(&histories, &seen));
    if has_fence && fenced(&histories) == 0 {
        problems
            .push("no read behind a fence was answered, so nothing is known of them".to_owned());
    }
    let calls = || histories.iter().flat_map(|history| &history.calls);
    let count = |is_it: fn(&Told) -> bool| {
        calls().filter(|call| !call.ask.is_read() && is_it(&call.told)).count()
    };
    Ok(Outcome {
        seed,
        plan,
        slowness: scene.slowness(),
        calls: calls().count(),
        acknowledged: count(|told| matches!(told, Told::Done(_))),
        without_effect: count(|told| matches!(told, Told::Refused | Told::NoEffect)),
        unknown: count(|told| matches!(told, Told::Unknown)),
        fenced: fenced(&histories),
        messages: log.len(),
        passed_over: truth.passed_over,
        digests: seen.digests(),
        snapshot,
        level,
        took: began.elapsed(),
        load: machine::load(),
        problems,
    })
}

/// Lists what is traded, at every node. Whether nodes have `FENCE`.
fn list_stocks(nodes: &[Node]) -> Result<bool> {
    let mut first = nodes[0].connect()?;
    for (symbol, volume) in STOCKS {
        first.ask(&format!("HSET {symbol} price 1 volume {volume}"))?;
    }
    for node in nodes {
        becomes("all show what is traded", || {
            let mut dialogue = node.connect().ok()?;
            let shows = |(symbol, _)| stock(&mut dialogue, symbol).is_some();
            STOCKS.into_iter().all(shows).then_some(())
        })?;
    }
    Ok(!matches!(first.ask("FENCE")?, Reply::Error(_)))
}

/// Version, price and volume.
fn stock(dialogue: &mut Dialogue, symbol: &str) -> Option<Vec<String>> {
    let shown = dialogue.texts(&format!("HMGET {symbol} version price volume")).ok()?;
    (!shown.contains(&"-".to_owned())).then_some(shown)
}

/// Has things go wrong and heal. What is wrong with the nodes meanwhile.
fn play(scene: &mut Scene, plan: &[Planned]) -> Result<Vec<String>> {
    let began = Instant::now();
    let mut moments: Vec<(Duration, bool, &Planned)> =
        plan.iter().flat_map(|it| [(it.from, true, it), (it.to, false, it)]).collect();
    moments.sort_by_key(|(when, begins, _)| (*when, *begins));
    let mut problems = Vec::new();
    for (when, begins, planned) in moments {
        while began.elapsed() < when {
            thread::sleep(MOMENT.min(when.saturating_sub(began.elapsed())));
            scene.pass()?;
        }
        if problems.is_empty() {
            problems = scene.ended();
        }
        match begins {
            true => scene.begin(&planned.fault)?,
            false => scene.end(&planned.fault)?,
        }
    }
    scene.heal()?;
    Ok(problems)
}

/// How long it takes from now on until each node has taken a write and shows those of all.
pub(super) fn level(nodes: &[Node]) -> Result<Duration> {
    let began = Instant::now();
    let mark = |node: usize| format!("LEVEL{node}");
    for node in nodes {
        becomes("each node takes writes", || {
            let mut dialogue = node.connect().ok()?;
            let set = dialogue.ask(&format!("HSET {} price 7", mark(node.number))).ok()?;
            matches!(set, Reply::Number(_)).then_some(())
        })?;
    }
    for node in nodes {
        becomes("each node shows the writes of all", || {
            let mut dialogue = node.connect().ok()?;
            let shows = |other: usize| {
                let price = dialogue.ask(&format!("HGET {} price", mark(other))).ok();
                price == Some(Reply::Bulk("7".to_owned()))
            };
            (0..NODES).all(shows).then_some(())
        })?;
    }
    Ok(began.elapsed())
}

/// Waits until nothing is on its way, and nothing uncertain: what each node shows of each stock.
fn settle(nodes: &[Node]) -> Result<Vec<Vec<Vec<String>>>> {
    let look = |node: &Node| {
        let mut dialogue = node.connect().ok()?;
        let said = info(&mut dialogue).ok()?;
        if said("cluster_uncertain")? != "0" || said("cluster_state")? != "ok" {
            return None;
        }
        STOCKS
            .into_iter()
            .map(|(symbol, _)| stock(&mut dialogue, symbol))
            .collect::<Option<Vec<_>>>()
    };
    let all = || nodes.iter().map(look).collect::<Option<Vec<_>>>();
    becomes("all nodes show the same", || {
        let shown = all()?;
        // As before, so that nothing was on its way.
        let is_same = shown.windows(2).all(|two| two[0] == two[1]);
        thread::sleep(MOMENT);
        (is_same && all()? == shown).then_some(shown)
    })
    // What they show then is compared with the log.
    .or_else(|_| all().context("a node does not answer, or does not know what became of a write"))
}

/// What clients were told, what nodes show and what the log has: every difference.
fn compare(histories: &[History], truth: &Truth, shown: &[Vec<Vec<String>>]) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, ((symbol, _), history)) in STOCKS.into_iter().zip(histories).enumerate() {
        problems.extend(audit(symbol, history, truth));
        let last = truth.stocks.get(symbol);
        let expected = last
            .map(|it| [it.version, it.price, it.volume].map(|number| number.to_string()).to_vec());
        for (node, stocks) in shown.iter().enumerate() {
            if Some(&stocks[at]) != expected.as_ref() {
                let found = &stocks[at];
                problems.push(format!(
                    "node {node} shows {symbol} as {found:?}, the log says {last:?}"
                ));
            }
        }
    }
    problems
}

/// Reads behind a fence that were answered.
fn fenced(histories: &[History]) -> usize {
    let calls = histories.iter().flat_map(|history| &history.calls);
    calls.filter(|it| it.ask == Ask::FencedRead && matches!(it.told, Told::Done(_))).count()
}

/// Whether there is an order of everything, and no node went back in it.
fn orders(histories: &[History], seen: &Seen) -> Vec<String> {
    let mut problems = seen.contradictions();
    for ((symbol, _), history) in STOCKS.into_iter().zip(histories) {
        for node in 0..NODES {
            if let Err(violation) = through_node(history, node) {
                problems.push(format!("{symbol} through node {node}: {violation}"));
            }
        }
        if let Err(violation) = across_nodes(history) {
            problems.push(format!("{symbol} across all nodes: {violation}"));
        }
    }
    if let Some(first) = histories.first() {
        problems.extend(seen.too_old(&first.calls));
    }
    problems
}
