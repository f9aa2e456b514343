//! Sources under a clock that the tests turn.

use stockd_access::Access;
use stockd_model::{Answer, Fields, Quote, Reply, Status, Symbol};

use super::*;
use crate::Engine;
use crate::feed::{Budget, Feed, Progress, SubscriberId};

const TTL: Duration = Duration::from_secs(30);

/// An engine whose sources are looked after when the test says so.
struct Stage {
    engine: Arc<Engine>,
    now: Instant,
    feed: Feed,
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn price(units: u32) -> Fields {
    Fields { price: units.to_string().parse().unwrap(), ..Fields::default() }
}

impl Stage {
    fn new() -> Stage {
        let engine = Arc::new(Engine::without_threads(crate::Catalog::new()));
        let feed = engine.feed(|| {});
        // Not at the moment at which the engine began.
        let now = engine.market.sources.started + Duration::from_millis(1);
        Stage { engine, now, feed }
    }

    fn open(&self, name: &str, halts: bool) -> FeedHandle {
        self.try_open(name, halts, None, false).unwrap()
    }

    fn try_open(
        &self,
        name: &str,
        halts: bool,
        user: Option<&str>,
        is_admin: bool,
    ) -> Result<FeedHandle, NotOpened> {
        let opening = Opening { name, ttl: TTL, halts_when_stale: halts, halts_on_gap: halts };
        self.engine.market.open_source(&opening, user, is_admin, self.now)
    }

    fn write(&self, by: Option<&FeedHandle>, mut request: Request) -> Quote {
        if let Some(feed) = by {
            feed.tie(&mut request, self.now);
        }
        match self.engine.executor().batch(&Access::All).execute(&request) {
            Reply::Listed(quote) | Reply::Updated(quote) => quote,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    fn set(&self, by: &FeedHandle, name: &str, units: u32) -> Quote {
        self.write(Some(by), Request::Set(symbol(name), price(units)))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while self.engine.market.look_after_sources(self.now) == Look::Now {}
        while self.feed.pass_on(&mut Budget::new(1000)) == Progress::More {}
    }

    fn quote(&self, name: &str) -> Quote {
        self.engine.quote(&Access::All, &symbol(name)).unwrap()
    }

    fn state(&self, name: &str) -> FeedState {
        self.quote(name).feed.unwrap().state
    }

    fn answer(&self, name: &str) -> String {
        let mut executor = self.engine.executor();
        let mut batch = executor.batch(&Access::All);
        batch.begin_symbol(&symbol(name));
        let mut answers = Vec::new();
        batch.answer(|answer: Answer| answers.push(answer.to_string()));
        answers.concat()
    }

    /// What a subscriber is told, as `symbol state`.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while self.feed.has_messages(SubscriberId(1)) {
            let _ = self.feed.tell(SubscriberId(1), &mut Budget::new(1000), |message| {
                let state = message.quote.and_then(|quote| quote.feed).map(|feed| feed.state);
                let state = state.map_or("-", FeedState::as_str);
                let json = String::from_utf8(message.payload.to_vec()).unwrap();
                assert!(state == "-" || json.contains(&format!("\"feed_state\":\"{state}\"")));
                told.push(format!("{} {state}", message.symbol));
                true
            });
        }
        told.sort();
        told
    }
}

#[test]
fn a_feed_lives_grows_quiet_and_stale_and_comes_back() {
    let mut stage = Stage::new();
    let feed = stage.open("life", false);
    assert_eq!(stage.set(&feed, "AAPL", 1).version, 1);
    assert_eq!(stage.state("AAPL"), FeedState::Live);
    stage.pass(TTL - Duration::from_millis(1));
    assert_eq!(stage.state("AAPL"), FeedState::Live);
    feed.beat(stage.now);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.state("AAPL"), FeedState::Quiet, "beats alone keep it alive");
    stage.pass(TTL);
    assert_eq!(stage.state("AAPL"), FeedState::Stale);
    feed.beat(stage.now);
    assert_eq!(stage.state("AAPL"), FeedState::Quiet);
    assert_eq!(stage.quote("AAPL").version, 1, "no row has changed");
    assert_eq!(stage.set(&feed, "AAPL", 2).version, 2);
    assert_eq!(stage.state("AAPL"), FeedState::Live);
    feed.gap(stage.now);
    stage.set(&feed, "AAPL", 3);
    feed.beat(stage.now);
    assert_eq!(stage.state("AAPL"), FeedState::Gap, "what was missed is missed still");
    feed.end(stage.now);
    assert_eq!(stage.state("AAPL"), FeedState::Ended);
    stage.pass(10 * TTL);
    assert_eq!(stage.state("AAPL"), FeedState::Ended, "it needs no signs of life");
    drop(feed);
    let _feed = stage.open("life", false);
    assert_eq!(stage.state("AAPL"), FeedState::Quiet);
}

#[test]
fn a_change_of_state_is_told_once_to_the_subscribers_of_its_stocks() {
    let mut stage = Stage::new();
    let (a, b) = (stage.open("told-a", false), stage.open("told-b", false));
    stage.set(&a, "A1", 1);
    stage.set(&a, "A2", 1);
    stage.set(&b, "B1", 1);
    stage.write(None, Request::Set(symbol("N1"), price(1)));
    for name in ["A1", "A2", "B1", "N1"] {
        stage.feed.subscribe(SubscriberId(1), &Access::All, &symbol(name)).unwrap();
    }
    stage.pass(Duration::ZERO);
    assert_eq!(stage.told(), ["A1 live", "A2 live", "B1 live", "N1 -"]);
    b.beat(stage.now + TTL / 2);
    stage.pass(TTL);
    assert_eq!(stage.told(), ["A1 stale", "A2 stale", "B1 quiet"]);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.told(), [""; 0]);
    // Two changes that fall together are told as one.
    a.beat(stage.now);
    a.gap(stage.now);
    stage.pass(Duration::ZERO);
    assert_eq!(stage.told(), ["A1 gap", "A2 gap"]);
    stage.set(&b, "A1", 2);
    stage.pass(Duration::ZERO);
    assert_eq!(stage.told(), ["A1 live", "B1 live"]);
}

/// A pattern's walk, a symbol's first message and a change of state in between.
#[test]
fn a_pattern_is_told_every_state_of_every_stock_that_fits() {
    let mut stage = Stage::new();
    let feed = stage.open("pattern", false);
    let names: Vec<String> = (0..5000).map(|number| format!("P{number:04}")).collect();
    for name in &names {
        stage.set(&feed, name, 1);
    }
    let pattern = stockd_model::Pattern::new(b"P*");
    stage.feed.subscribe_pattern(SubscriberId(1), &Access::All, &pattern).unwrap();
    let told = |state: &str| -> Vec<String> {
        names.iter().map(|name| format!("{name} {state}")).collect()
    };
    stage.pass(Duration::ZERO);
    assert_eq!(stage.told(), told("live"));
    stage.pass(TTL);
    assert_eq!(stage.told(), told("stale"));
    feed.end(stage.now);
    stage.pass(Duration::ZERO);
    assert_eq!(stage.told(), told("ended"));
}

#[test]
fn stocks_are_halted_while_their_feed_is_stale_if_it_asked_for_that() {
    let mut stage = Stage::new();
    let (halting, marking) = (stage.open("halting", true), stage.open("marking", false));
    stage.set(&halting, "HALTS", 5);
    stage.set(&halting, "HALTS-WITH-A-NAME-OF-MORE-THAN-30-BYTES", 6);
    stage.set(&marking, "MARKS", 7);
    let trade = |stage: &Stage| {
        let mut executor = stage.engine.executor();
        executor.batch(&Access::All).execute(&Request::Trade(symbol("HALTS"), (-1).into()))
    };
    let volume = Fields { volume: "10".parse().unwrap(), ..Fields::default() };
    stage.write(None, Request::Update(symbol("HALTS"), volume));
    assert_eq!(stage.answer("HALTS"), "5");
    stage.pass(TTL);
    assert_eq!(stage.answer("HALTS"), "0");
    assert_eq!(stage.answer("HALTS-WITH-A-NAME-OF-MORE-THAN-30-BYTES"), "0");
    assert_eq!((stage.answer("MARKS"), stage.state("MARKS")), ("7".to_owned(), FeedState::Stale));
    let quote = stage.quote("HALTS");
    assert_eq!((quote.status, quote.status_now()), (Status::Trading, Status::Halted));
    assert!(matches!(trade(&stage), Reply::Refused(stockd_model::Refusal::Halted(_))));
    // A write of others that gives no price leaves it halted, and does not make that last.
    let volume = Fields { volume: "20".parse().unwrap(), ..Fields::default() };
    stage.write(None, Request::Update(symbol("HALTS"), volume));
    assert_eq!((stage.answer("HALTS"), stage.state("HALTS")), ("0".to_owned(), FeedState::Stale));
    stage.set(&halting, "OTHER", 1);
    assert_eq!(stage.answer("HALTS"), "5", "the feed is back");
    assert!(matches!(trade(&stage), Reply::Updated(_)));
    halting.gap(stage.now);
    assert_eq!(stage.answer("HALTS"), "0");
    let again = stage.open("halting", false);
    assert_eq!(stage.answer("HALTS"), "5");
    again.gap(stage.now);
    assert_eq!(stage.answer("HALTS"), "5", "it was opened otherwise");
}

#[test]
fn a_price_of_somebody_else_takes_the_feed_away() {
    let stage = Stage::new();
    let feed = stage.open("taken", false);
    let name = |quote: Quote| quote.feed.map(|feed| feed.name.as_str());
    assert_eq!(name(stage.set(&feed, "AAPL", 1)), Some("taken"));
    let status = Fields { status: Some(Status::Halted), ..Fields::default() };
    assert_eq!(name(stage.write(None, Request::Set(symbol("AAPL"), status))), Some("taken"));
    let bid = Fields { bid: "1".parse().unwrap(), ..Fields::default() };
    assert_eq!(name(stage.write(None, Request::Set(symbol("AAPL"), bid))), None);
    assert_eq!(name(stage.set(&feed, "AAPL", 1)), Some("taken"));
    let stocks = |stage: &Stage| {
        let reports = stage.engine.feed_reports(stage.now);
        reports.iter().find(|it| it.feed.name.as_str() == "taken").unwrap().stocks
    };
    stage.set(&feed, "IBM", 1);
    assert_eq!(stocks(&stage), 2);
    stage.engine.executor().batch(&Access::All).execute(&Request::Delist(symbol("IBM")));
    assert_eq!(stocks(&stage), 1);
    let other = stage.open("taker", false);
    stage.set(&other, "AAPL", 2);
    assert_eq!(stocks(&stage), 0);
}

#[test]
fn a_feed_belongs_to_the_user_that_opened_it_first() {
    let stage = Stage::new();
    let first = stage.try_open("owned", false, Some("first"), false).unwrap();
    let refused = stage.try_open("owned", false, Some("second"), false).unwrap_err();
    assert_eq!(refused, NotOpened::NotYours(first.name()));
    drop(first);
    assert!(stage.try_open("owned", false, Some("second"), false).is_err());
    stage.try_open("owned", false, Some("second"), true).unwrap();
    let both = [0, 1].map(|_| stage.try_open("owned", false, Some("first"), false).unwrap());
    let report = |stage: &Stage| {
        let reports = stage.engine.feed_reports(stage.now);
        *reports.iter().find(|it| it.feed.name.as_str() == "owned").unwrap()
    };
    assert_eq!(report(&stage).connections, 2);
    drop(both);
    assert_eq!((report(&stage).connections, report(&stage).ttl), (0, Some(TTL)));
}

/// The thread does what the tests above do by hand.
#[test]
fn a_feed_grows_stale_on_its_own() {
    let engine = Arc::new(Engine::default());
    let (told, wakes) = std::sync::mpsc::channel();
    let mut feed = engine.feed(move || {
        let _ = told.send(());
    });
    let ttl = stockd_model::limits::FEED_TTL_MIN;
    let opening = Opening { name: "own", ttl, halts_when_stale: false, halts_on_gap: false };
    let handle = engine.open_feed(&opening, None, &Access::All, Instant::now()).unwrap();
    feed.subscribe(SubscriberId(1), &Access::All, &symbol("AAPL")).unwrap();
    let mut request = Request::Set(symbol("AAPL"), price(1));
    handle.tie(&mut request, Instant::now());
    engine.executor().batch(&Access::All).execute(&request);
    let mut states = Vec::new();
    while states.last() != Some(&FeedState::Stale) {
        wakes.recv().unwrap();
        while feed.pass_on(&mut Budget::new(1000)) == Progress::More {}
        let _ = feed.tell(SubscriberId(1), &mut Budget::new(1000), |message| {
            states.extend(message.quote.and_then(|quote| quote.feed).map(|feed| feed.state));
            true
        });
    }
}
