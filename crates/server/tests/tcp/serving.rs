//! What is asked is answered: in order, to everybody, fairly.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use stockd_model::{Edit, Fields, Price, Volume};

use crate::market::{Client, Market, connect, long_conversation, set};

#[test]
fn each_kind_of_stock_has_its_reply() {
    let market = Market::open(1);
    let mut client = market.client();
    for (name, reply) in [
        ("AAPL", "172.5"),
        ("IBM", "159"),
        ("BRK/A", "743500"),
        ("牛来USDT", "0.0005"),
        ("  AAPL ", "172.5"),
        ("AAPL\r", "172.5"),
        ("SOLDOUT", "0"),
        ("HALTED", "0"),
        ("XYZ", "-1"),
        ("aapl", "-1"),
        ("", "-1"),
        ("A NAME THAT IS LONGER THAN A SYMBOL CAN BE", "-1"),
    ] {
        assert_eq!(client.ask(name), reply, "{name:?}");
    }
}

#[test]
fn a_pipelined_batch_is_answered_in_order() {
    let market = Market::open(2);
    let mut client = market.client();
    // More than one read, with lines across the edges of the reads.
    let (requests, replies) = long_conversation(10_000);
    let mut writer = client.socket().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&requests).unwrap());
        client.expect(replies);
    });
    let metrics = market.server.metrics();
    assert_eq!(market.engine.totals().lookups(), 10_000);
    assert_eq!(metrics.open, 1);
}

#[test]
fn a_batch_cut_at_odd_places_is_answered_the_same() {
    let market = Market::open(1);
    let (requests, replies) = long_conversation(50);
    for piece_bytes in [1, 2, 3, 7, 64] {
        let mut client = market.client();
        // The first line comes whole: a connection that begins with silence is another thing.
        client.send("AAPL\n");
        client.expect("172.5\n");
        for piece in requests.chunks(piece_bytes) {
            client.send(piece);
        }
        client.expect(&replies);
    }
}

#[test]
fn lines_may_end_with_crlf() {
    let market = Market::open(1);
    let mut client = market.client();
    client.send("AAPL\r\nXYZ\r\nIBM\n");
    client.expect("172.5\n-1\n159\n");
}

#[test]
fn a_client_without_newlines_is_answered_without_newlines() {
    let market = Market::open(1);
    let mut neighbour = market.client();
    assert_eq!(neighbour.ask("IBM"), "159");
    let mut client = market.client();
    for (name, reply) in [("AAPL", "172.5"), ("XYZ", "-1"), ("SOLDOUT", "0"), ("IBM", "159")] {
        assert_eq!(client.ask_unterminated(name), reply);
        assert_eq!(neighbour.ask(name), reply);
    }
    assert_eq!(market.server.metrics().unterminated, 1);
}

#[test]
fn two_hundred_clients_at_once_are_served_and_balanced_over_two_workers() {
    let market = Market::open(2);
    let mut clients: Vec<Client> = (0..200).map(|_| market.client()).collect();
    for client in &mut clients {
        client.send("AAPL\nXYZ\nIBM\n");
    }
    for client in &mut clients {
        client.expect("172.5\n-1\n159\n");
    }
    let metrics = market.server.metrics();
    assert_eq!((metrics.accepted, metrics.open), (200, 200));
    let [first, second] = metrics.open_per_worker[..] else {
        panic!("not two workers: {metrics:?}");
    };
    assert_eq!(first + second, 200);
    assert!(first.abs_diff(second) <= 1, "{metrics:?}");
    drop(clients);
    market.wait_until(|metrics| metrics.open == 0 && metrics.open_per_worker == [0, 0]);
}

#[test]
fn one_worker_serves_many_clients() {
    let market = Market::open(1);
    let mut clients: Vec<Client> = (0..100).map(|_| market.client()).collect();
    for round in 0..5 {
        for client in &mut clients {
            client.send(if round % 2 == 0 { "AAPL\n" } else { "IBM\n" });
        }
        for client in &mut clients {
            client.expect(if round % 2 == 0 { "172.5\n" } else { "159\n" });
        }
    }
}

/// Clients come and go on many threads; none may be left waiting in the queue.
#[test]
fn no_client_is_stranded_while_others_come_and_go() {
    let market = Market::open(3);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(market.client().ask("AAPL"), "172.5");
                }
            });
        }
    });
    let metrics = market.wait_until(|metrics| metrics.open == 0);
    assert_eq!((metrics.accepted, metrics.queued), (1600, 0));
    assert_eq!(metrics.open_per_worker, [0, 0, 0]);
}

#[test]
fn a_client_that_ends_its_stream_gets_every_answer_and_then_the_end() {
    let market = Market::open(1);
    for (requests, replies) in
        [("AAPL\nXYZ\n", "172.5\n-1\n"), ("AAPL\nXYZ", "172.5\n-1\n"), ("AAPL", "172.5"), ("", "")]
    {
        let mut client = market.client();
        client.send(requests);
        client.end();
        assert_eq!(client.rest(), replies, "{requests:?}");
    }
    let (requests, replies) = long_conversation(20_000);
    let mut client = market.client();
    let mut writer = client.socket().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(&requests).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        assert_eq!(client.rest().into_bytes(), replies);
    });
    market.wait_until(|metrics| metrics.open == 0);
}

#[test]
fn an_endless_pipeliner_does_not_starve_its_neighbour() {
    let market = Market::open(1);
    let mut greedy = connect(&market.address()).unwrap();
    let mut greedy_reader = greedy.try_clone().unwrap();
    let done = AtomicBool::new(false);
    let (requests, _) = long_conversation(5000);
    let mut neighbour = market.client();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                greedy.write_all(&requests).unwrap();
            }
            greedy.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let drained =
            scope.spawn(move || std::io::copy(&mut greedy_reader, &mut std::io::sink()).unwrap());
        market.wait_until(|metrics| metrics.bytes_in > 1_000_000);
        for _ in 0..200 {
            assert_eq!(neighbour.ask("AAPL"), "172.5");
        }
        done.store(true, Ordering::Relaxed);
        assert!(drained.join().unwrap() > 0);
    });
}

#[test]
fn rubbish_is_answered_and_hurts_nobody() {
    let market = Market::open(1);
    let mut neighbour = market.client();
    let mut rubbish = market.client();
    let bytes: Vec<u8> = (0..=255).cycle().take(4096).chain([b'\n']).collect();
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    rubbish.send(&bytes);
    for _ in 0..lines {
        assert_eq!(rubbish.line(), "-1");
    }
    assert_eq!(rubbish.ask("AAPL"), "172.5");
    assert_eq!(neighbour.ask("AAPL"), "172.5");
}

#[test]
fn a_client_that_resets_in_the_middle_of_its_replies_hurts_nobody() {
    let market = Market::open(1);
    let mut neighbour = market.client();
    let (requests, _) = long_conversation(2000);
    for _ in 0..20 {
        let mut client = market.client();
        client.send(&requests);
        client.line();
        // Closing with replies unread sends a reset.
        drop(client);
        assert_eq!(neighbour.ask("AAPL"), "172.5");
    }
    market.wait_until(|metrics| metrics.open == 1);
}

/// While a writer sets the prices 1, 2, 3 … in turn, no reader sees one that goes back or that
/// was never set.
#[test]
fn a_client_sees_only_prices_that_were_set_and_in_that_order() {
    let market = Market::open(2);
    let latest = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut executor = market.engine.executor();
            while !done.load(Ordering::Relaxed) {
                let next = latest.load(Ordering::Relaxed) + 1;
                // Known before it is set, so that a reader can never be ahead of it.
                latest.store(next, Ordering::SeqCst);
                let fields = Fields {
                    price: Price::new(next as i64, 0).into(),
                    volume: Edit::Set(Volume::new(1)),
                    ..Fields::default()
                };
                set(&mut executor, "TICK", fields);
            }
        });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = market.client();
                    let mut seen = 0;
                    for _ in 0..300 {
                        let price: i64 = client.ask("TICK").parse().unwrap();
                        let bound = latest.load(Ordering::SeqCst) as i64;
                        assert!(price == -1 || price <= bound, "{price} was never set");
                        assert!(price >= seen || seen == 0, "{price} after {seen}");
                        seen = price.max(0);
                    }
                    seen
                })
            })
            .collect();
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}
