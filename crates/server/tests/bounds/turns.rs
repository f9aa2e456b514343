//! A command that takes long takes many turns, and neighbours have theirs in between.

use stockd_model::limits::READ_BYTES_MAX;

use crate::stage::Stage;

/// One packet of these once kept a worker to itself for a minute and a half. Replies of one turn leave
/// together, so a neighbour that is answered before the last of them had its turn in between.
#[test]
fn a_neighbour_is_answered_before_a_packet_of_long_commands_is() {
    let stage = Stage::new(20_000);
    let mut neighbour = stage.client();
    neighbour.is_served();
    for (command, reply) in
        [("KEYS a\n", "*0\r\n"), ("SCAN 0 COUNT 4096 MATCH a\n", "*2\r\n$1\r\n0\r\n*0\r\n")]
    {
        let mut greedy = stage.client();
        greedy.is_served();
        let before = stage.server.metrics();
        let count = READ_BYTES_MAX / command.len();
        greedy.send(command.repeat(count));
        let packet_bytes = (count * command.len()) as u64;
        stage.wait_until(|metrics| metrics.bytes_in - before.bytes_in >= packet_bytes);
        neighbour.is_served();
        let answered = stage.server.metrics().bytes_out - before.bytes_out;
        assert!((answered as usize) < count * reply.len(), "{command}: {answered} bytes");
        drop(greedy);
        stage.wait_until(|metrics| metrics.open == 1);
        neighbour.is_served();
    }
}

#[test]
fn replies_of_many_turns_are_whole_and_in_order() {
    let stage = Stage::new(20_000);
    let mut client = stage.client();
    client.send(
        "CLIENT SETNAME me\r\nKEYS *\r\nECHO between\r\nCLIENT LIST\r\nKEYS S1999?\r\nGET S7\r\n",
    );
    assert_eq!(client.line(), "+OK");
    assert_eq!(client.line(), "*20000");
    let mut keys: Vec<String> = (0..20_000)
        .map(|_| {
            client.line();
            client.line()
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 20_000);
    assert_eq!((client.line(), client.line()), ("$7".into(), "between".into()));
    let bytes: usize = client.line()[1..].parse().unwrap();
    let list = client.line();
    assert_eq!(list.len() + 1, bytes);
    assert!(list.contains(" name=me ") && list.contains(" tot-mem="), "{list}");
    assert_eq!(client.line(), "");
    assert_eq!(client.line(), "*10");
    for _ in 0..20 {
        client.line();
    }
    assert_eq!((client.line(), client.line()), ("$1".into(), "1".into()));
}
