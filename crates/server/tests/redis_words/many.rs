//! Whole quotes of many stocks, and rows of many stocks, in one command.

use crate::client::Stage;

#[test]
fn quotes_of_many_stocks_come_in_one_reply() {
    let stage = Stage::new();
    for (mut client, empty) in [(stage.client(), "[]"), (stage.client3(), "{}")] {
        client.ask("HSET A price 1 volume 2");
        let one = client.ask("HGETALL A");
        assert_eq!(client.ask("HMGETALL A NO A"), format!("[{one} {empty} {one}]"));
        assert_eq!(client.ask("HMGETALL"), "-ERR wrong number of arguments for 'hmgetall' command");
        // In order with what comes before and after.
        let replies = client.ask_all("GET A; HMGETALL NO; MGET A NO; HMGETALL NO NO; PING");
        let nil = "nil";
        assert_eq!(
            replies,
            [
                "1",
                &format!("[{empty}]"),
                &format!("[1 {nil}]"),
                &format!("[{empty} {empty}]"),
                "PONG"
            ]
        );
        assert_eq!(client.ask_all("MULTI; HMGETALL NO; EXEC")[2], format!("[[{empty}]]"));
    }
}

#[test]
fn rows_of_many_stocks_have_the_fields_that_were_asked_for_in_their_order() {
    for stage in [Stage::new(), Stage::durable()] {
        for mut client in [stage.client(), stage.client3()] {
            client.ask("HSET A price 1 volume 2 bid 0.5 time 7");
            client.ask("HSET B status halted");
            for (command, reply) in [
                ("HGETROWS 3 price bid symbol A NO B", "[[1 0.5 A] [nil nil nil] [nil nil B]]"),
                ("HGETROWS 2 status status B A", "[[halted halted] [trading trading]]"),
                ("HGETROWS 4 time feed ask_size volume A", "[[7 nil nil 2]]"),
                ("HGETROWS 1 price", "-ERR wrong number of arguments for 'hgetrows' command"),
                (
                    "HGETROWS 2 price A",
                    "-ERR HGETROWS has 0 parts of rows, and a row of 2 fields has 1",
                ),
            ] {
                assert_eq!(client.ask(command), reply, "{command}");
            }
            // Whole quotes are what HGETALL and HMGET say.
            let fields = "symbol price volume bid ask bid_size ask_size status time version updated feed feed_state";
            let one = client.ask(&format!("HMGET A {fields}"));
            assert_eq!(client.ask(&format!("HGETROWS 13 {fields} A A")), format!("[{one} {one}]"));
            // In order with what comes before and after, and queued.
            let replies = client.ask_all("GET A; HGETROWS 1 volume A NO; MGET A NO; PING");
            assert_eq!(replies, ["1", "[[2] [nil]]", "[1 nil]", "PONG"]);
            assert_eq!(client.ask_all("MULTI; HGETROWS 1 volume A; EXEC")[2], "[[[2]]]");
            let names: String = (0..5000).map(|_| " A NO").collect();
            let rows = client.ask(&format!("HGETROWS 1 price{names}"));
            assert_eq!(rows, format!("[{}]", vec!["[1] [nil]"; 5000].join(" ")));
        }
    }
}

#[test]
fn rows_of_many_stocks_are_written_and_those_that_are_wrong_are_named() {
    for stage in [Stage::new(), Stage::durable()] {
        let mut client = stage.client();
        for (command, reply) in [
            ("HSETROWS 2 price volume A 1 2 B 3 none", ":2"),
            ("HMGET A price volume", "[1 2]"),
            ("HMGET B price volume", "[3 nil]"),
            (
                "HSETROWS 1 volume A 5 NO 5 B 6",
                "-ERR 1 of 3 rows were refused, the first: stock 'NO' is not listed, and listing it needs a price, a bid, an ask or a status",
            ),
            (
                "HSETROWS 1 price A x B 4 C y",
                "-ERR 2 of 3 rows were refused, the first: 'x' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators",
            ),
            ("MGET A B C", "[1 4 nil]"),
            ("HSETROWS 2 price time A 2 100", ":1"),
            (
                "HSETROWS 2 price time A 3 99 B 5 99",
                "-LATE 1 of 2 rows were refused, the first: the write of 'A' is late: its time is 99, and the stock is at 100",
            ),
            ("MGET A B", "[2 5]"),
            (
                "HSETROWS 0 price A 1",
                "-ERR the first argument of HSETROWS is the number of fields of a row: 1 to 8",
            ),
            (
                "HSETROWS 9 price A 1",
                "-ERR the first argument of HSETROWS is the number of fields of a row: 1 to 8",
            ),
            (
                "HSETROWS 2 price volume A 1 B 2",
                "-ERR HSETROWS has 4 parts of rows, and a row of 2 fields has 3",
            ),
            (
                "HSETROWS 1 colour A 1",
                "-ERR unknown field 'colour': the fields to set are price, volume, bid, ask, bid_size, ask_size, status and time",
            ),
            ("GET A", "2"),
        ] {
            assert_eq!(client.ask(command), reply, "{command}");
        }
        let rows: String = (0..5000).map(|row| format!(" S{row} {row}")).collect();
        assert_eq!(client.ask(&format!("HSETROWS 1 price{rows}")), ":5000");
        assert_eq!(client.ask("GET S4999"), "4999");
        let replies = client.ask_all("MULTI; HSETROWS 1 price A 8 B x; GET A; EXEC");
        assert_eq!(
            replies[3],
            "[-ERR 1 of 2 rows were refused, the first: 'x' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without $ and thousands separators 8]"
        );
    }
}
