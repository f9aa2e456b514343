//! `CLIENT KILL` and `CLIENT REPLY`.

use stockd_model::limits::CLOSES_PER_PASS;

use crate::client::{Client, Stage};

fn field(line: &str, name: &str) -> String {
    let mut fields = line.split([' ', '\n']).filter_map(|field| field.split_once('='));
    fields.find(|(own, _)| *own == name).unwrap().1.to_owned()
}

/// A client's own field of `CLIENT INFO`.
fn own(client: &mut Client, name: &str) -> String {
    let line = client.ask("CLIENT INFO");
    field(&line, name)
}

#[test]
fn a_killed_connection_ends_wherever_it_is_served() {
    let stage = Stage::new();
    let mut killer = stage.client();
    let address = |client: &mut Client| own(client, "addr");
    let id = |client: &mut Client| own(client, "id");
    let by = [
        |client: &mut Client| format!("CLIENT KILL {}", own(client, "addr")),
        |client: &mut Client| format!("CLIENT KILL ADDR {}", own(client, "addr")),
        |client: &mut Client| format!("CLIENT KILL ID {} USER default", own(client, "id")),
        |client: &mut Client| format!("CLIENT KILL TYPE normal ID {}", own(client, "id")),
    ];
    // Twice, so that both workers have some.
    for (number, command) in by.iter().chain(&by).enumerate() {
        let (mut victim, mut other) = (stage.client(), stage.client());
        assert_ne!((id(&mut victim), address(&mut victim)), (id(&mut other), address(&mut other)));
        let command = command(&mut victim);
        let killed = if number % 4 == 0 { "OK" } else { ":1" };
        assert_eq!(killer.ask(&command), killed, "{command}");
        assert!(victim.is_at_end(), "{command}");
        assert_eq!(other.ask("PING"), "PONG");
    }
    assert_eq!(killer.ask("CLIENT KILL 127.0.0.1:1"), "-ERR No such client");
    assert_eq!(killer.ask("CLIENT KILL ID 999999"), ":0");
    assert_eq!(killer.ask("CLIENT KILL USER nobody"), "-ERR No such user 'nobody'");
    assert_eq!(killer.ask("CLIENT KILL MAXAGE 0"), "-ERR maxage is not an integer or out of range");
    assert_eq!(killer.ask("CLIENT KILL MAXAGE 3600"), ":0");
    assert!(killer.ask("INFO stats").contains("closed_killed_clients:8\r\n"));
}

#[test]
fn all_connections_of_a_kind_are_killed_but_the_own() {
    let stage = Stage::new();
    let count = 2 * CLOSES_PER_PASS + 3;
    let mut victims: Vec<_> = (0..count).map(|_| stage.client()).collect();
    let mut subscriber = stage.client();
    victims.iter_mut().for_each(|victim| assert_eq!(victim.ask("PING"), "PONG"));
    assert!(subscriber.ask("SUBSCRIBE A").contains("subscribe"));
    assert!(subscriber.next().contains("unlisted"));
    // Others know of a subscription when the turn that began it is over.
    assert!(subscriber.ask("PING").contains("pong"));
    let mut killer = stage.client();
    assert_eq!(killer.ask("CLIENT KILL TYPE normal"), format!(":{count}"));
    assert!(victims.iter_mut().all(Client::is_at_end));
    let local = own(&mut killer, "laddr");
    assert_eq!(killer.ask(&format!("CLIENT KILL LADDR {local} TYPE pubsub")), ":1");
    assert!(subscriber.is_at_end());
    // Itself, when it has its answer.
    let commands = "PING; CLIENT KILL TYPE normal SKIPME no; PING";
    commands.split("; ").for_each(|command| killer.give(command));
    assert_eq!([killer.next(), killer.next()], ["PONG", ":1"]);
    assert!(killer.is_at_end());
    let mut last = stage.client();
    let address = own(&mut last, "addr");
    assert_eq!(last.ask(&format!("CLIENT KILL {address}")), "OK");
    assert!(last.is_at_end());
}

#[test]
fn replies_that_a_client_does_not_want_are_not_sent() {
    for stage in [Stage::new(), Stage::durable()] {
        let (mut client, mut other) = (stage.client3(), stage.client());
        client.ask("HSET A price 1 volume 10");
        let commands = "CLIENT REPLY SKIP; HINCRBY A volume -1; HGET A volume; CLIENT REPLY OFF; \
                        HINCRBY A volume -1; DEL A B; MSET A 2; MULTI; HSET A price 2 volume 5; GET A; \
                        EXEC; HINCRBY A volume -1; SUBSCRIBE A; FOO; KEYS *; CLIENT REPLY ON; HGET A volume";
        commands.split("; ").for_each(|command| client.give(command));
        let mut told: Vec<_> = std::iter::from_fn(|| Some(client.next()))
            .filter(|text| !text.contains("message"))
            .take(4)
            .collect();
        let confirmation = told.remove(1);
        assert!(confirmation.contains("subscribe"), "{confirmation}");
        assert_eq!(told, ["9", "OK", "4"]);
        // Messages come in any mode.
        client.give("CLIENT REPLY OFF");
        assert_eq!(other.ask("HSET A price 77"), ":0");
        while !client.next().contains(r#""price":"77""#) {}
    }
}

#[test]
fn a_subscriber_is_told_at_the_interval_that_it_asks_for() {
    let stage = Stage::new();
    let (mut client, mut other) = (stage.client3(), stage.client());
    other.ask("HSET A price 1");
    for refused in ["-1", "x", "3600001", "1.5"] {
        let expected =
            format!("-ERR interval '{refused}' is no number of milliseconds from 0 to 3600000");
        assert_eq!(client.ask(&format!("CLIENT INTERVAL {refused}")), expected);
    }
    assert_eq!(client.ask("CLIENT INTERVAL 3600000"), "OK");
    client.give("SUBSCRIBE A B");
    // Two confirmations and what the two are now, in any order.
    let told: Vec<_> = (0..4).map(|_| client.next()).collect();
    assert!(told.iter().any(|text| text.contains(r#""price":"1""#)), "{told:?}");
    let is_of = |text: &str, price: i32| text.contains(&format!(r#""price":"{price}""#));
    for price in 2..20 {
        other.ask(&format!("HSET A price {price}"));
    }
    client.give("PING");
    let told: Vec<_> =
        std::iter::from_fn(|| Some(client.next()).filter(|it| it != "PONG")).collect();
    assert!(told.len() <= 1, "{told:?}");
    client.give("CLIENT INTERVAL 0");
    let told = [client.next(), client.next()];
    assert!(told.iter().any(|text| text == "OK"), "{told:?}");
    assert!(told.iter().any(|text| is_of(text, 19)), "{told:?}");
    // The last one comes by itself, with nothing else going on.
    assert_eq!(client.ask("CLIENT INTERVAL 1"), "OK");
    for price in 20..50 {
        other.ask(&format!("HSET A price {price}"));
    }
    while !is_of(&client.next(), 49) {}
    // A connection made new has none; RESP2 takes it before the subscription.
    let mut client = stage.client();
    assert_eq!(client.ask_all("CLIENT INTERVAL 3600000; RESET"), ["OK", "RESET"]);
    client.give("SUBSCRIBE A");
    let _ = [client.next(), client.next()];
    for price in 50..53 {
        other.ask(&format!("HSET A price {price}"));
        while !is_of(&client.next(), price) {}
    }
}
