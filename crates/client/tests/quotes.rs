//! The quote client and the subscription with the server together, over loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stockd_client::{
    Answer, Client, ClientError, Event, QuoteClient, Subscription, Write, Written,
};
use stockd_engine::{Access, Engine};
use stockd_model::limits::{SNAPSHOT_BYTES_MAX, SNAPSHOTS_MAX};
use stockd_model::{Edit, Fields, Price, Quote, Request, Status, Symbol, Volume};
use stockd_server::{Config, Endpoint, Protocol, Server};

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

fn serve() -> (Server, SocketAddr) {
    serve_engine(Arc::new(Engine::default()))
}

fn serve_engine(engine: Arc<Engine>) -> (Server, SocketAddr) {
    let listener = Endpoint::plain(Protocol::Resp, ([127, 0, 0, 1], 0));
    let config = Config { endpoints: vec![listener], workers: 2, ..Config::default() };
    let server = Server::start(config, engine).unwrap();
    let address = server.endpoints()[0].address.tcp().unwrap();
    (server, address)
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn fields(price: &str, volume: u64) -> Fields {
    let price = Some(price.parse().unwrap());
    Fields { price: price.into(), volume: Edit::Set(Volume::new(volume)), ..Fields::default() }
}

/// The next quote. Before it the server may say that the stock is not listed.
fn quote(subscription: &mut Subscription) -> Quote {
    loop {
        match subscription.next_timeout(PATIENCE) {
            Some(Event::Quote(quote)) => return quote,
            Some(Event::Unlisted(_)) => {}
            other => panic!("no quote but {other:?}"),
        }
    }
}

#[test]
fn any_price_and_volume_comes_back_as_it_was_set() {
    let both = [Protocol::Resp, Protocol::Line];
    let endpoints = both.map(|protocol| Endpoint::plain(protocol, ([127, 0, 0, 1], 0)));
    let config = Config { endpoints: endpoints.to_vec(), workers: 2, ..Config::default() };
    let server = Server::start(config, Arc::new(Engine::default())).unwrap();
    let [resp, lines] = [0, 1].map(|at| &server.endpoints()[at].address);
    let mut client = QuoteClient::connect(resp).unwrap();
    let mut lookups = Client::connect(lines).unwrap();
    let mut subscription = Subscription::open(resp, [symbol("AAPL")], [""; 0]).unwrap();
    for (number, price) in [
        "-37.63",
        "0",
        "-1",
        "0.000000000072377",
        "19000000000",
        "743500.000000001",
        "0.000000000000000001",
        "9223372036854775807",
        "0.30000000000000004",
    ]
    .into_iter()
    .enumerate()
    {
        let (apple, price) = (symbol("AAPL"), price.parse().unwrap());
        let volume = (number % 2 == 0).then(|| "92621.807321".parse().unwrap());
        let fields = Fields { price: Edit::Set(price), volume: volume.into(), ..Fields::default() };
        client.set(apple, fields).unwrap();
        let quote = client.quote("AAPL").unwrap().unwrap();
        assert_eq!((quote.price, quote.volume), (Some(price), volume));
        assert_eq!(client.snapshot().next().unwrap().unwrap(), quote);
        assert_eq!(lookups.lookup("AAPL").unwrap(), Answer::Price(price));
        client.set_price(apple, price).unwrap();
        assert_eq!(client.quote("AAPL").unwrap().unwrap().price, Some(price));
        let last = loop {
            let told = self::quote(&mut subscription);
            if told.version == quote.version + 1 {
                break told;
            }
        };
        assert_eq!((last.price, last.volume), (Some(price), volume));
    }
}

#[test]
fn a_stock_lives_from_listing_to_delisting() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let berkshire = symbol("BRK/A");
    assert_eq!(client.quote("BRK/A").unwrap(), None);
    assert_eq!(client.set(berkshire, fields("743500.00", 5)).unwrap(), Written::Listed);
    let quote = client.quote(" BRK/A ").unwrap().unwrap();
    assert_eq!((quote.symbol, quote.answer().to_string()), (berkshire, "743500".to_owned()));
    assert_eq!((quote.volume, quote.status), (Some(Volume::new(5)), Status::Trading));
    assert_eq!(quote.version, 1);
    assert!(quote.updated_ns > 1_700_000_000_000_000_000);

    client.set_price(berkshire, Price::MAX).unwrap();
    assert_eq!(client.trade(berkshire, -5).unwrap(), Volume::EXHAUSTED);
    let most = Fields { volume: Edit::Set(Volume::new(u64::MAX)), ..Fields::default() };
    assert_eq!(client.set(berkshire, most).unwrap(), Written::Updated);
    assert_eq!(client.trade(berkshire, -1).unwrap(), Volume::new(u64::MAX - 1));
    assert_eq!(client.count().unwrap(), 1);
    assert!(client.delist(berkshire).unwrap());
    assert!(!client.delist(berkshire).unwrap());
    assert_eq!(client.count().unwrap(), 0);
}

#[test]
fn a_refused_write_changes_nothing_and_the_client_is_usable() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let apple = symbol("AAPL");
    let refused = |error: ClientError| match error {
        ClientError::Refused(refused) => refused.text,
        other => panic!("not refused: {other:?}"),
    };
    let error = refused(client.set_price(apple, Price::MAX).unwrap_err());
    assert!(error.contains("'AAPL' is not listed"), "{error}");
    let error = refused(client.trade(apple, 1).unwrap_err());
    assert!(error.contains("'AAPL' is not listed"), "{error}");
    client.set(apple, fields("1", 5)).unwrap();
    let error = refused(client.trade(apple, -6).unwrap_err());
    assert_eq!(error, "volume of 'AAPL' is 5, cannot take 6");
    refused(client.set(apple, Fields::default()).unwrap_err());
    assert_eq!(client.quote("AAPL").unwrap().unwrap().version, 1);
}

#[test]
fn many_writes_are_done_in_order_and_each_has_its_outcome() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let mut writes = Vec::new();
    for i in 0..10_000 {
        let symbol = symbol(&format!("S{i}"));
        writes.push(Write::Set(symbol, fields("1", 5)));
        writes.push(Write::Trade(symbol, (-3).into()));
        writes.push(Write::Trade(symbol, (-3).into()));
        writes.push(if i % 2 == 0 {
            Write::Delist(symbol)
        } else {
            Write::Price(symbol, Price::MAX)
        });
    }
    let outcomes = client.write_all(writes).unwrap();
    assert_eq!(outcomes.len(), 40_000);
    for (i, outcomes) in outcomes.chunks(4).enumerate() {
        let last = if i % 2 == 0 { Written::Delisted } else { Written::Updated };
        assert_eq!(outcomes[0], Ok(Written::Listed));
        assert_eq!(outcomes[1], Ok(Written::Traded(Volume::new(2))));
        assert!(outcomes[2].as_ref().unwrap_err().text.ends_with("is 2, cannot take 3"));
        assert_eq!(outcomes[3], Ok(last));
    }
    let quotes_now: BTreeSet<Symbol> =
        client.snapshot().map(|quote| quote.unwrap().symbol).collect();
    assert_eq!(
        quotes_now,
        (0..10_000).filter(|i| i % 2 == 1).map(|i| symbol(&format!("S{i}"))).collect()
    );
    let quotes = client.quotes(["S1", "S2", &"A".repeat(31), "S3"]).unwrap();
    assert_eq!(quotes.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
}

/// The table grows several times over while it is read.
#[test]
fn a_snapshot_has_each_stock_once_while_others_are_listed() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let old: Vec<Symbol> = (0..5_000).map(|i| symbol(&format!("OLD{i}"))).collect();
    client.write_all(old.iter().map(|symbol| Write::Set(*symbol, fields("1", 1)))).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = QuoteClient::connect(address).unwrap();
            let new = (0..50_000).map(|i| Write::Set(symbol(&format!("NEW{i}")), fields("1", 1)));
            writer.write_all(new).unwrap();
        });
        let mut times = BTreeMap::<Symbol, u32>::new();
        for quote in client.snapshot() {
            *times.entry(quote.unwrap().symbol).or_default() += 1;
        }
        assert!(old.iter().all(|symbol| times.get(symbol) == Some(&1)));
        assert!(times.values().all(|times| *times == 1));
    });
}

#[test]
fn trades_of_many_clients_never_sell_what_is_not_there() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    client.set(symbol("AAPL"), fields("1", 1000)).unwrap();
    let sold: usize = std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut buyer = QuoteClient::connect(address).unwrap();
                    let outcomes =
                        buyer.write_all([Write::Trade(symbol("AAPL"), (-1).into()); 400]).unwrap();
                    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
                })
            })
            .collect();
        buyers.into_iter().map(|buyer| buyer.join().unwrap()).sum()
    });
    assert_eq!(sold, 1000);
    assert_eq!(client.quote("AAPL").unwrap().unwrap().volume, Some(Volume::EXHAUSTED));
}

#[test]
fn a_subscription_begins_with_the_quote_now_and_ends_with_the_latest() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    client.set(symbol("AAPL"), fields("1", 1)).unwrap();
    let topics = [symbol("AAPL"), symbol("NEW"), symbol("AAPL")];
    let mut subscription = Subscription::open(address, topics, ["A*", "BRK/*"]).unwrap();
    assert_eq!(quote(&mut subscription).version, 1);
    client
        .write_all(
            (2..=5_000).map(|whole| Write::Price(symbol("AAPL"), Price::new(whole, 9).unwrap())),
        )
        .unwrap();
    let mut version = 1;
    while version < 5_000 {
        // Two subscriptions match it, and each version comes once at most.
        let quote = quote(&mut subscription);
        assert!(quote.version > version, "{quote:?} after {version}");
        assert_eq!(quote.price, Price::new(quote.version as i64, 9));
        version = quote.version;
    }
    client.set(symbol("NEW"), fields("2", 2)).unwrap();
    assert_eq!(quote(&mut subscription).symbol, symbol("NEW"));
    client.delist(symbol("NEW")).unwrap();
    let event = subscription.next_timeout(PATIENCE);
    assert!(
        matches!(event, Some(Event::Delisted(delisted)) if delisted == symbol("NEW")),
        "{event:?}"
    );
    assert!(subscription.next_timeout(Duration::ZERO).is_none());
}

#[test]
fn without_patience_what_has_come_is_told() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    client.set(symbol("AAPL"), fields("1", 1)).unwrap();
    let mut subscription = Subscription::open(address, [symbol("AAPL")], [""; 0]).unwrap();
    assert_eq!(quote(&mut subscription).version, 1);
    client.set_price(symbol("AAPL"), Price::MAX).unwrap();
    let until = Instant::now() + PATIENCE;
    let event = loop {
        if let Some(event) = subscription.next_timeout(Duration::ZERO) {
            break event;
        }
        assert!(Instant::now() < until, "nothing is told");
    };
    assert!(matches!(&event, Event::Quote(quote) if quote.version == 2), "{event:?}");
}

/// What the server says of many connections is longer than any other text.
#[test]
fn many_connections_are_all_listed() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let name = "x".repeat(500);
    let others = (0..150).map(|_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("CLIENT SETNAME {name}\r\n").as_bytes()).unwrap();
        stream.read_exact(&mut [0; b"+OK\r\n".len()]).unwrap();
        stream
    });
    let others: Vec<TcpStream> = others.collect();
    let clients = client.clients().unwrap();
    let named = clients
        .iter()
        .filter(|fields| fields.iter().any(|(field, value)| field == "name" && *value == name));
    assert_eq!(named.count(), others.len());
    client.ping().unwrap();
}

#[test]
fn many_subscriptions_are_all_served() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let symbols: Vec<Symbol> = (0..20_000).map(|i| symbol(&format!("S{i}"))).collect();
    client.write_all(symbols.iter().map(|symbol| Write::Set(*symbol, fields("1", 1)))).unwrap();
    let mut subscription = Subscription::open(address, symbols.iter().copied(), [""; 0]).unwrap();
    let mut told = BTreeSet::new();
    while told.len() < symbols.len() {
        assert!(told.insert(quote(&mut subscription).symbol));
    }
}

#[test]
fn while_a_writer_races_every_told_version_is_later() {
    let (_server, address) = serve();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = QuoteClient::connect(address).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let writes =
                    (0..100).map(|i| Write::Set(symbol(&format!("S{}", i % 10)), fields("1", i)));
                writer.write_all(writes).unwrap();
            }
        });
        let mut subscription = Subscription::open(address, [], ["S?"]).unwrap();
        let mut versions = BTreeMap::new();
        for _ in 0..5_000 {
            let Some(Event::Quote(quote)) = subscription.next_timeout(PATIENCE) else { break };
            let last = versions.insert(quote.symbol, quote.version);
            if last.is_some_and(|last| last >= quote.version) {
                stop.store(true, Ordering::Relaxed);
                panic!("{quote:?} after {last:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(versions.len(), 10);
    });
}

#[test]
fn a_snapshot_is_of_one_moment_and_so_many_are_read_at_once() {
    let (_server, address) = serve();
    let mut client = QuoteClient::connect(address).unwrap();
    let list = |i: u64| Write::Set(symbol(&format!("S{i}")), fields("1", 0));
    client.write_all((0..10_000).map(list)).unwrap();
    let mut readers: Vec<QuoteClient> =
        (0..SNAPSHOTS_MAX).map(|_| QuoteClient::connect(address).unwrap()).collect();
    let mut snapshots: Vec<_> = readers.iter_mut().map(QuoteClient::snapshot).collect();
    let first: Vec<Quote> =
        snapshots.iter_mut().map(|snapshot| snapshot.next().unwrap().unwrap()).collect();

    let refused = client.snapshot().next().unwrap().unwrap_err();
    assert!(refused.to_string().contains("snapshots are being read, the limit"), "{refused}");
    let sell = |i: u64| Write::Trade(symbol(&format!("S{i}")), 1.into());
    client.write_all((0..10_000).map(sell)).unwrap();
    for (snapshot, first) in snapshots.into_iter().zip(first) {
        let quotes: Vec<Quote> =
            std::iter::once(Ok(first)).chain(snapshot).map(Result::unwrap).collect();
        assert_eq!(quotes.len(), 10_000);
        assert!(quotes.iter().all(|quote| quote.volume == Some(Volume::EXHAUSTED)));
    }
    // One that is not read to its end gives way to the next of its connection.
    assert_eq!(client.snapshot().take(10).count(), 10);
    assert_eq!(client.snapshot().filter(|quote| quote.is_ok()).count(), 10_000);
}

/// The writer makes every message for which there is room; then the reader goes on.
#[test]
fn a_subscription_that_was_not_read_for_a_while_has_few_events_before_the_latest() {
    const UPDATES_WITHOUT_ROOM: u32 = 20;
    const UPDATES_MAX: u64 = 200_000;
    const EVENTS_MAX: u64 = 2_000;
    let (server, address) = serve();
    let apple = symbol("AAPL");
    let mut writer = QuoteClient::connect(address).unwrap();
    writer.set(apple, fields("1", 1)).unwrap();
    let mut subscription = Subscription::open(address, [apple], [""; 0]).unwrap();
    assert_eq!(quote(&mut subscription).version, 1);

    let (mut version, mut without_room) = (1, 0);
    while without_room < UPDATES_WITHOUT_ROOM {
        let before = server.metrics().messages;
        version += 1;
        writer.set_price(apple, version.to_string().parse().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_millis(20);
        while server.metrics().messages == before && Instant::now() < until {
            std::thread::yield_now();
        }
        without_room = if server.metrics().messages == before { without_room + 1 } else { 0 };
        assert!(version < UPDATES_MAX, "there is always room");
    }
    let mut events = 1;
    while quote(&mut subscription).version < version {
        events += 1;
    }
    assert!(events <= EVENTS_MAX, "{events} events up to the latest");
}

/// Clients that begin snapshots and do not read them, while ever new stocks are listed.
#[test]
fn a_snapshot_for_which_too_much_would_be_kept_is_ended_and_says_so() {
    let engine = Arc::new(Engine::default());
    let (_server, address) = serve_engine(Arc::clone(&engine));
    let mut executor = engine.executor();
    let mut list = |i: u64| {
        let set = Request::Set(symbol(&format!("S{i}")), fields("1", 0));
        executor.batch(&Access::All).execute(&set);
    };
    (0..10_000).for_each(&mut list);
    let mut readers: Vec<QuoteClient> =
        (0..SNAPSHOTS_MAX).map(|_| QuoteClient::connect(address).unwrap()).collect();
    let mut snapshots: Vec<_> = readers.iter_mut().map(QuoteClient::snapshot).collect();
    snapshots.iter_mut().for_each(|snapshot| assert!(snapshot.next().unwrap().is_ok()));
    let mut highest = 0;
    for i in 10_000..1_000_000 {
        list(i);
        let bytes = engine.snapshot_bytes();
        assert!(bytes <= SNAPSHOT_BYTES_MAX, "{bytes} bytes");
        // One of the four was given up.
        if bytes < highest {
            break;
        }
        highest = bytes;
    }
    assert!(highest > SNAPSHOT_BYTES_MAX / 2, "they had what they may have: {highest} bytes");
    let mut ended = 0;
    for snapshot in &mut snapshots {
        match snapshot.find_map(Result::err) {
            None => {}
            Some(ClientError::SnapshotEnded(why)) => {
                assert!(why.text.contains("64 MiB") && why.text.contains("begin again"), "{why}");
                ended += 1;
            }
            Some(error) => panic!("{error}"),
        }
    }
    assert_eq!((ended, engine.snapshot_bytes()), (1, 0));
    let client = &mut readers[0];
    assert_eq!(client.snapshot().filter(Result::is_ok).count() as u64, client.count().unwrap());
}
