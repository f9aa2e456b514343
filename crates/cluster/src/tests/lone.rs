//! One node, its log and its clock in the hands of a test.

use std::time::{Duration, Instant};

use stockd_engine::{Access, Catalog, Engine, Replicated, ReplyTo, WriteHandle};
use stockd_model::batch::{self, Body, Head, Kind, Seen};
use stockd_model::limits::{REFOLLOW_AFTER, TICK_INTERVAL};
use stockd_model::{Fields, Request};
use xxhash_rust::xxh3::xxh3_64;

use crate::options::ClusterName;
use crate::{Closed, Effect, Event, Node, NodeOptions, Now};

struct Lone {
    node: Node,
    _engine: Engine,
    client: WriteHandle,
    /// Messages of the log so far.
    log: u64,
    began: Instant,
    elapsed: Duration,
    /// How often the log was followed, and how often elsewhere.
    followed: (usize, usize),
}

impl Lone {
    /// A node that has joined, and whose first question was answered by itself alone.
    fn new() -> Lone {
        let catalog = Catalog::new();
        let (engine, replica) = Engine::replicated(Replicated {
            catalog,
            version_floor: 0,
            stocks_max: 100,
            epoch: 1,
            hash: xxh3_64,
        });
        let options = NodeOptions {
            name: ClusterName::new("main").unwrap(),
            epoch: 1,
            write_timeout: Duration::from_secs(3),
            writes: true,
            joins_at: 0,
            draw_session: Box::new(|| 7),
        };
        let began = Instant::now();
        let node = Node::new(replica, options, Now { instant: began, unix_ns: 1 });
        let client = engine.write_handle(|| {}).unwrap();
        let mut lone = Lone {
            node,
            _engine: engine,
            client,
            log: 0,
            began,
            elapsed: Duration::ZERO,
            followed: (0, 0),
        };
        lone.node.handle(Event::Connected, lone.now());
        // A hello, and the question for what others hold.
        for kind in [Kind::Hello, Kind::Compare] {
            let said = lone.says();
            assert_eq!(said.iter().map(|(head, _)| head.kind).collect::<Vec<_>>(), [kind]);
            said.iter().for_each(|(head, body)| lone.comes(head, body));
        }
        lone
    }

    fn now(&self) -> Now {
        let unix_ns = 1_790_000_000_000_000_000 + self.elapsed.as_nanos() as u64;
        Now { instant: self.began + self.elapsed, unix_ns }
    }

    fn closed(&self) -> Option<Closed> {
        self.node.status(self.now().instant).closed
    }

    /// A message comes through the log.
    fn comes(&mut self, head: &Head, body: &Body) {
        self.log += 1;
        let message = batch::plain(head, body);
        self.node.handle(Event::Message { sequence: self.log, message: &message }, self.now());
    }

    /// One of another session.
    fn another_says(&mut self, session: u64, number: u64, kind: Kind, body: &Body) {
        let time_ns = self.now().unix_ns;
        let head = Head { kind, count: 0, session, number, time_ns, seen: Seen::default() };
        self.comes(&head, body);
    }

    /// What the node says.
    fn says(&mut self) -> Vec<(Head, Body)> {
        self.node.poll(self.now());
        let mut said = Vec::new();
        for effect in self.node.effects() {
            match effect {
                Effect::Send(outgoing) => said.push(batch::decode(&outgoing.bytes).unwrap()),
                Effect::Follow { elsewhere, .. } => {
                    self.followed.0 += 1;
                    self.followed.1 += usize::from(elsewhere);
                }
                Effect::Keep(_) | Effect::Tidy => {}
            }
        }
        said
    }
}

/// Another node holds something else, and both have said so before a third one speaks. The dispute goes on until most hold
/// the same, and in it the node says what it holds: else each might wait for the others for ever.
#[test]
fn nodes_that_dispute_say_what_they_hold_and_the_most_go_on() {
    let mut lone = Lone::new();
    let (asked, digest) = (lone.log, lone.node.digest());
    let holds = |digest: u64| Body::Digest { sequence: asked, digest };
    lone.another_says(8, 0, Kind::Hello, &Body::Nothing);
    lone.another_says(8, 1, Kind::Digest, &holds(digest ^ 1));
    assert_eq!(lone.closed(), Some(Closed::Disputed));
    let said = lone.says();
    let [(head, body)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((head.kind, body), (Kind::Digest, &holds(digest)));

    let fields =
        Fields { price: stockd_model::Edit::Set("1".parse().unwrap()), ..Fields::default() };
    lone.client.submit(&Access::All, ReplyTo(1), Request::Set("A".parse().unwrap(), fields));
    lone.client.flush();
    lone.node.replica().wait(Instant::now());
    assert!(lone.says().iter().all(|(head, _)| head.kind != Kind::Batch), "writes have stopped");
    assert_eq!(lone.client.take(Vec::new()).len(), 1, "and are refused at once");

    lone.another_says(9, 0, Kind::Hello, &Body::Nothing);
    let unknown = Body::Digest { sequence: asked + 1000, digest };
    lone.another_says(9, 1, Kind::Digest, &unknown);
    assert_eq!(lone.closed(), Some(Closed::Disputed), "of another message, which says nothing");
    lone.another_says(9, 2, Kind::Digest, &holds(digest));
    assert_eq!(lone.closed(), None);
}

/// Messages of others come, so the log reaches the node; but what it says does not reach the log, as when its server is cut
/// off in one direction.
#[test]
fn a_node_whose_messages_do_not_arrive_goes_to_another_server() {
    let mut lone = Lone::new();
    lone.another_says(8, 0, Kind::Hello, &Body::Nothing);
    lone.followed = (0, 0);
    let mut number = 0;
    while lone.elapsed < 4 * REFOLLOW_AFTER {
        lone.elapsed += TICK_INTERVAL;
        number += 1;
        lone.another_says(8, number, Kind::Tick, &Body::Nothing);
        // It is lost.
        lone.says();
    }
    let (followed, elsewhere) = lone.followed;
    assert!(
        (2..=4).contains(&followed) && elsewhere > 0,
        "{followed}, {elsewhere} of them elsewhere"
    );
}

#[test]
fn a_node_that_can_do_nothing_sleeps() {
    let mut lone = Lone::new();
    let moment = Duration::from_millis(100);
    let wakes_in = |lone: &Lone| lone.node.next_wake(lone.now()) - lone.now().instant;
    lone.says().iter().for_each(|(head, body)| lone.comes(head, body));
    lone.node.handle(Event::Disconnected, lone.now());
    for _ in 0..20 {
        lone.elapsed += Duration::from_secs(1);
        lone.says();
        assert!(wakes_in(&lone) >= moment, "there is no connection to say anything on");
    }
    lone.node.fail("it cannot be followed".to_owned());
    lone.elapsed += Duration::from_secs(1);
    lone.says();
    assert!(wakes_in(&lone) >= moment, "it has stopped");
}
