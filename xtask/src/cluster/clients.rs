//! Clients who trade two stocks and set their prices through every node, and note what they asked and were told.
//!
//! Most have one node. Some rove: they ask another node each time, and read behind a fence alone, so they see one order of
//! everything as if there were one node. Each take has a number of shares, and each price is one, that no other call
//! has; so each is found in the log.
//!
//! Invariant: a client has one call at a time, and notes it before the next one.

use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use stockd_witness::{Ask, Call, History, Random, Shown, State, Told};

use super::node::Node;
use crate::resp::{Dialogue, Reply};

/// The stocks that are traded, and their shares: of the one there are always enough, the other one is sold out soon.
pub(super) const STOCKS: [(&str, u64); 2] = [("HOT", 1_000_000_000_000), ("SCARCE", 100_000)];

/// Clients of one node.
const CLIENTS: usize = 3;

/// Clients of all nodes.
const ROVERS: usize = 3;

/// How long a client waits for an answer, longer than a node does for the log.
const PATIENCE: Duration = Duration::from_secs(25);

/// Between two attempts to reach a node.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Clients at work.
#[derive(Debug)]
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Notes>>>,
}

/// What they share.
#[derive(Debug)]
struct Shared {
    began: Instant,
    over: AtomicBool,
    /// The next number of shares, or price.
    mark: AtomicU64,
    /// Whether nodes have `FENCE`.
    has_fence: bool,
}

/// What a client notes: the stock and the call.
type Notes = Vec<(usize, Call)>;

struct Client {
    number: usize,
    /// The nodes that it asks, by their numbers, and how each is reached.
    nodes: Vec<(usize, PathBuf)>,
    /// Which one of them is asked now.
    at: usize,
    dialogue: Option<Dialogue>,
    random: Random,
    shared: Arc<Shared>,
    notes: Notes,
}

impl Clients {
    /// Clients of all nodes. `before` is what the stocks are.
    pub(super) fn start(nodes: &[Node], has_fence: bool, random: &mut Random) -> Clients {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            over: AtomicBool::new(false),
            mark: AtomicU64::new(2),
            has_fence,
        });
        let all: Vec<(usize, PathBuf)> =
            nodes.iter().enumerate().map(|(at, node)| (at, node.socket.clone())).collect();
        let of_one = all.iter().flat_map(|node| iter::repeat_n(vec![node.clone()], CLIENTS));
        // Without a fence there is nothing to read.
        let rovers = iter::repeat_n(all.clone(), if has_fence { ROVERS } else { 0 });
        let client = |(number, nodes): (usize, Vec<(usize, PathBuf)>)| Client {
            number,
            nodes,
            at: 0,
            dialogue: None,
            random: random.fork(),
            shared: Arc::clone(&shared),
            notes: Vec::new(),
        };
        let clients: Vec<Client> = of_one.chain(rovers).enumerate().map(client).collect();
        let threads = clients.into_iter().map(|it| thread::spawn(move || it.run())).collect();
        Clients { shared, threads }
    }

    /// The time of the notes.
    pub(super) fn now(&self) -> u64 {
        self.shared.now()
    }

    /// Ends them all: what they noted, stock by stock.
    pub(super) fn end(mut self) -> Result<Vec<History>> {
        self.shared.over.store(true, Ordering::Relaxed);
        let history = |(_, volume)| History {
            before: State { version: 1, price: 1, volume },
            calls: Vec::new(),
        };
        let mut histories: Vec<History> = STOCKS.map(history).into();
        for thread in self.threads.drain(..) {
            for (stock, call) in thread.join().ok().context("a client panicked")?? {
                histories[stock].calls.push(call);
            }
        }
        Ok(histories)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl Client {
    fn run(mut self) -> Result<Notes> {
        while !self.shared.is_over() {
            if self.is_rover() {
                self.at = self.random.below(self.nodes.len());
                self.dialogue = None;
            }
            if self.dialogue.is_none() {
                self.dialogue = Dialogue::connect_unix(&self.nodes[self.at].1).ok();
            }
            if self.dialogue.is_none() {
                thread::sleep(RECONNECT_PAUSE);
                continue;
            }
            let stock = usize::from(self.random.below(5) == 0);
            let mark = self.shared.mark.fetch_add(1, Ordering::Relaxed);
            let read = if self.is_rover() { Ask::FencedRead } else { Ask::Read };
            let ask = match self.random.below(10) {
                0..=2 => read,
                3 if self.shared.has_fence => Ask::FencedRead,
                3..=6 => Ask::Take(mark),
                // Of which version, it sees when it is told.
                7 => Ask::SetPriceIf { price: mark, version: 0 },
                _ => Ask::SetPrice(mark),
            };
            self.call(stock, ask)?;
            thread::sleep(Duration::from_millis(self.random.between(1, 12) as u64));
        }
        Ok(self.notes)
    }

    fn is_rover(&self) -> bool {
        self.nodes.len() > 1
    }

    /// Asks, and notes what it is told.
    fn call(&mut self, stock: usize, ask: Ask) -> Result<()> {
        let (commands, replies) = commands(STOCKS[stock].0, ask);
        let invoked = self.shared.now();
        let mut answers = Vec::new();
        let asked = self.ask(&commands, replies, &mut answers);
        let returned = self.shared.now();
        let told = match asked {
            Ok(()) => {
                told(ask, &answers).with_context(|| format!("{ask:?} was answered {answers:?}"))?
            }
            Err(_) => {
                self.dialogue = None;
                Told::Unknown
            }
        };
        let ask = as_watched(ask, &answers);
        let (client, node) = (self.number, self.nodes[self.at].0);
        // Where the connection ended, so did the client's knowledge.
        let returned = (told != Told::Unknown).then_some(returned);
        let call = Call { client, node, invoked, returned, ask, told };
        self.notes.push((stock, call));
        Ok(())
    }

    fn ask(&mut self, commands: &str, replies: usize, answers: &mut Vec<Reply>) -> Result<()> {
        let dialogue = self.dialogue.as_mut().context("not connected")?;
        dialogue.send(commands)?;
        while answers.len() < replies {
            match dialogue.next(PATIENCE)? {
                Some(reply) => answers.push(reply),
                None => bail!("no answer in {PATIENCE:?}"),
            }
        }
        Ok(())
    }
}

/// What is sent, and how many replies it has.
fn commands(symbol: &str, ask: Ask) -> (String, usize) {
    let show = format!("HMGET {symbol} version price volume\r\n");
    match ask {
        Ask::Read => (show, 1),
        Ask::FencedRead => (format!("FENCE\r\n{show}"), 2),
        Ask::Take(shares) => (format!("HINCRBY {symbol} volume -{shares}\r\n"), 1),
        Ask::SetPrice(price) => {
            (format!("MULTI\r\nHSET {symbol} price {price}\r\n{show}EXEC\r\n"), 4)
        }
        // What is watched is read in the same breath, so that the version is known.
        Ask::SetPriceIf { price, .. } => (
            format!(
                "WATCH {symbol}\r\n{show}MULTI\r\nHSET {symbol} price {price}\r\n{show}EXEC\r\n"
            ),
            6,
        ),
    }
}

/// The call, with the version that was watched. Where that is not known, any may have been.
fn as_watched(ask: Ask, answers: &[Reply]) -> Ask {
    let Ask::SetPriceIf { price, .. } = ask else { return ask };
    match answers.get(1).and_then(shown).and_then(|shown| shown.version) {
        Some(version) => Ask::SetPriceIf { price, version },
        None => Ask::SetPrice(price),
    }
}

/// What the replies to a call mean.
fn told(ask: Ask, answers: &[Reply]) -> Option<Told> {
    let last = answers.last()?;
    if let Reply::Error(error) = last {
        return match error.split(' ').next()? {
            "CLUSTERDOWN" => Some(Told::NoEffect),
            "UNCERTAIN" => Some(Told::Unknown),
            _ if error.contains("cannot take") => Some(Told::Refused),
            _ => None,
        };
    }
    match (ask, answers) {
        // Behind a fence that was refused a read says nothing.
        (Ask::FencedRead, [Reply::Error(_), _]) => Some(Told::NoEffect),
        (Ask::Read | Ask::FencedRead, [.., stock]) => Some(Told::Done(shown(stock)?)),
        (Ask::Take(_), [Reply::Number(left)]) => {
            let volume = Some(u64::try_from(*left).ok()?);
            Some(Told::Done(Shown { volume, ..Shown::default() }))
        }
        (Ask::SetPriceIf { .. }, [.., Reply::Nil]) => Some(Told::Refused),
        (Ask::SetPrice(_) | Ask::SetPriceIf { .. }, [.., Reply::Array(parts)]) => {
            Some(Told::Done(shown(parts.last()?)?))
        }
        _ => None,
    }
}

fn shown(reply: &Reply) -> Option<Shown> {
    let Reply::Array(parts) = reply else { return None };
    let number = |part: &Reply| match part {
        Reply::Bulk(text) => text.parse::<u64>().ok(),
        Reply::Number(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let [version, price, volume] = parts.as_slice() else { return None };
    Some(Shown {
        version: Some(number(version)?),
        price: Some(number(price)?),
        volume: Some(number(volume)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_say_what_became_of_a_call() {
        let error = |text: &str| vec![Reply::Error(text.to_owned())];
        let take = Ask::Take(7);
        assert_eq!(told(take, &error("CLUSTERDOWN nothing")), Some(Told::NoEffect));
        assert_eq!(told(take, &error("UNCERTAIN it may")), Some(Told::Unknown));
        assert_eq!(told(take, &error("ERR cannot take 7")), Some(Told::Refused));
        assert_eq!(told(take, &error("ERR what")), None);
        let stock = |version: u64| {
            let text = |it: &str| Reply::Bulk(it.to_owned());
            Reply::Array(vec![Reply::Bulk(version.to_string()), text("5"), text("90")])
        };
        let whole = |version| Shown::whole(State { version, price: 5, volume: 90 });
        assert_eq!(told(Ask::Read, &[stock(3)]), Some(Told::Done(whole(3))));
        let ok = || Reply::Simple("OK".to_owned());
        let set = Ask::SetPriceIf { price: 5, version: 0 };
        let done =
            [ok(), stock(3), ok(), ok(), ok(), Reply::Array(vec![Reply::Number(0), stock(4)])];
        assert_eq!(told(set, &done), Some(Told::Done(whole(4))));
        assert_eq!(as_watched(set, &done), Ask::SetPriceIf { price: 5, version: 3 });
        assert_eq!(as_watched(set, &[]), Ask::SetPrice(5));
        let conflict = [ok(), stock(3), ok(), ok(), ok(), Reply::Nil];
        assert_eq!(told(set, &conflict), Some(Told::Refused));
    }
}
