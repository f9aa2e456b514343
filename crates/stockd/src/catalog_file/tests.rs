use std::io::Write;

use proptest::prelude::*;

use stockd_model::{Field, Quote};

use super::*;

/// The contents of a file with this ending and text.
fn load(ending: &str, text: &[u8]) -> Result<Loaded, String> {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text).unwrap();
    let name = file.path().to_str().unwrap();
    let shortened = |text: &str| text.replace(name, "us");
    let mut loaded =
        Source::parse(name).unwrap().read().map_err(|error| shortened(&format!("{error:#}")))?;
    loaded.bad_rows.first.iter_mut().for_each(|row| *row = shortened(row));
    Ok(loaded)
}

/// Symbol, price, volume and status of every stock, sorted.
fn stocks(loaded: &Loaded) -> Vec<String> {
    let text = |Row { symbol, fields }: &Row| {
        let quote = fields.outcome(&Quote::new(*symbol));
        let rest = &Field::WRITABLE[2..];
        let text = |field: &Field| quote.text_of(*field).map(|text| text.as_str().to_owned());
        let [price, volume] = [Field::Price, Field::Volume].map(|field| text(&field));
        let words = [price, volume].map(|text| text.unwrap_or("none".to_owned()));
        let words = words.into_iter().chain(rest.iter().filter_map(text));
        format!("{symbol} {}", words.collect::<Vec<_>>().join(" "))
    };
    let mut stocks: Vec<String> = loaded.rows.iter().map(text).collect();
    stocks.sort();
    stocks
}

fn bad_rows(ending: &str, text: &[u8]) -> Vec<String> {
    load(ending, text).unwrap().bad_rows.first
}

#[test]
fn columns_may_stand_in_any_order_beside_others() {
    let text = "\u{feff} volume ,name,symbol,status,price\r\n\
             5,\"Berkshire, \"\"A\"\"\",BRK/A,,743500.00\r\n\
             \r\n\
             0, x , NA  , halted , 0.0005 \n\
             ,,EURUSD,,1.0834\n\
             none,,GBPUSD,,-1e-5\n\
             7,,\"TRUE\",trading,\"1\"";
    let loaded = load(".csv", text.as_bytes());
    let loaded = loaded.unwrap();
    assert_eq!((loaded.rows.len(), loaded.bad_rows.first.clone()), (5, vec![]));
    assert_eq!(
        stocks(&loaded),
        [
            "BRK/A 743500 5 trading",
            "EURUSD 1.0834 none trading",
            "GBPUSD -0.00001 none trading",
            "NA 0.0005 0 halted",
            "TRUE 1 7 trading"
        ]
    );
}

#[test]
fn every_field_has_a_column_and_a_key() {
    let csv = "symbol,price,volume,bid,ask,bid_size,ask_size,status,time\n\
         A,1,2,0.99,1.01,300,200.5,halted,2026-09-21T14:13:20.123456789Z\n\
         B,,,-37.63,,,,,1790000000123456789\n\
         C,,,,,,,halted,\n\
         D,,7,,,,,,5\n";
    let json = r#"{"symbol":"A","price":"1","volume":"2","bid":"0.99","ask":1.01,"bid_size":"300","ask_size":"200.5","status":"halted","time":"2026-09-21T14:13:20.123456789Z"}
{"symbol":"B","bid":"-37.63","time":1790000000123456789}
{"symbol":"C","status":"halted"}
{"symbol":"D","volume":7,"time":5}"#;
    for (ending, text, line) in [(".csv", csv, 5), (".jsonl", json, 4)] {
        let loaded = load(ending, text.as_bytes()).unwrap();
        assert_eq!(
            stocks(&loaded),
            [
                "A 1 2 0.99 1.01 300 200.5 halted 1790000000123456789",
                "B none none -37.63 trading 1790000000123456789",
                "C none none halted"
            ]
        );
        let why = "price: missing; a row needs a price, a bid, an ask or a status";
        assert_eq!(loaded.bad_rows.first, [format!("us:{line}:{why}")]);
    }
}

#[test]
fn json_lines_keep_prices_exact() {
    let text = r#"{"symbol":"AAPL","price":"172.5","volume":1000,"status":"trading"}
{"volume":0.5,"price":-9.223372036854775807e18,"name":{"a":[1]},"symbol":"牛来USDT"}
{"symbol":"EURUSD","price":1.0834,"volume":null}
{"symbol":"GBPUSD","price":"1.25"}

 {"symbol":"\u004eA ","price":0.1,"volume":"7","status":"halted"}
"#;
    let loaded = load(".jsonl", text.as_bytes()).unwrap();
    assert_eq!(loaded.bad_rows.first, Vec::<String>::new());
    assert_eq!(
        stocks(&loaded),
        [
            "AAPL 172.5 1000 trading",
            "EURUSD 1.0834 none trading",
            "GBPUSD 1.25 none trading",
            "NA 0.1 7 halted",
            "牛来USDT -9223372036854775807 0.5 trading"
        ]
    );
}

#[test]
fn a_bad_row_is_named_by_line_and_column_and_the_others_are_listed() {
    let text = b"symbol,price,volume\nA,1,1\nB,$3,1\nC,1,x\n,1,1\nD,1\nE,1,1,1\nA,2,2\n\
            F,\"1,1\nG\x07,1,1\nH,1,18446744073709551616\nI,1e-19,1\nJ,1,1";
    let loaded = load(".csv", text);
    let loaded = loaded.unwrap();
    assert_eq!((loaded.rows.len(), loaded.bad_rows.count), (2, 10));
    assert_eq!(stocks(&loaded), ["A 1 1 trading", "J 1 1 trading"]);
    assert_eq!(
        loaded.bad_rows.first,
        [
            "us:3:price: '$3' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without \
                 $ and thousands separators",
            "us:4:volume: 'x' is not a volume: write a decimal of 0 or more like 1000 or 0.25, or \
                 none where shares are not counted",
            "us:5:symbol: '': the symbol is empty",
            "us:6: the row has 2 fields, the header 3",
            "us:7: the row has 4 fields, the header 3",
            "us:8:symbol: 'A' was listed on line 2 already",
            "us:9: a quoted field is not closed on its line",
            "us:10:symbol: 'G\\u{7}': the symbol has a control character, U+0007",
            "us:11:volume: '18446744073709551616' has too many digits: without its point a volume \
                 is at most 18446744073709551615; round it first",
            "us:12:price: '1e-19' has more than 18 decimal places, the limit; round it first",
        ]
    );
}

#[test]
fn a_bad_json_line_says_what_is_wrong_with_it() {
    let why = |line: &str| bad_rows(".ndjson", line.as_bytes()).concat();
    let full = r#"{"symbol":"A","price":"1","volume":1}"#;
    assert_eq!(why(full), "");
    assert_eq!(
        why(r#"{"symbol":"A","volume":"1"}"#),
        "us:1:price: missing; a row needs a price, a bid, an ask or a status"
    );

    assert!(why(&full.replace("\"1\"", "null")).starts_with("us:1:price: missing"));
    assert!(why(&full.replace("\"1\"", "true")).starts_with("us:1:price: 'true' is not"));
    assert!(why(&full.replace("\"A\"", "7")).starts_with("us:1:symbol: 7 is not a text"));
    assert!(why(&full.replace(":1}", ":-1}")).starts_with("us:1:volume: '-1' is not"));
    for line in ["x", "[]", "[\"A\",\"1\",1]", "7", "{\"symbol\":", &full[1..], "{} {}"] {
        let error = why(line);
        assert!(error.starts_with("us:1: not a JSON object"), "{line}: {error}");
    }
    assert!(why(&full.replace("price", "symbol")).contains("duplicate field"));
}

#[test]
fn a_header_without_its_columns_is_refused() {
    let why = |text: &str| load(".csv", text.as_bytes()).unwrap_err();
    assert_eq!(
        why("symbol,price,Volume\nA,1,1\n"),
        "us:1: column 'volume' is missing; the header must name symbol, price and volume, and \
             names symbol,price,Volume"
    );
    assert_eq!(why("\nsymbol,price,volume,price\n"), "us:2: the header names 'price' twice");
    assert!(why("").starts_with("us:1: the file is empty"), "{}", why(""));
}

#[test]
fn an_over_long_line_is_a_bad_row_and_the_next_is_read() {
    let long = "x".repeat(200_000);
    let text = format!("symbol,price,volume\nA,1,1\n{long}\nB,2,2\n{long}");
    let loaded = load(".csv", text.as_bytes());
    let loaded = loaded.unwrap();
    assert_eq!(stocks(&loaded).len(), 2);
    assert_eq!(
        loaded.bad_rows.first,
        [3, 5].map(|line| format!("us:{line}: the line is longer than 65536 bytes, the limit"))
    );
    assert!(load(".csv", long.as_bytes()).is_err());
}

#[test]
fn compressed_files_are_read_and_cut_ones_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"symbol,price,volume\nA,1,1\nB,2,2\n").unwrap();
    let bytes = gzip.finish().unwrap();
    assert_eq!(load(".csv.gz", &bytes).unwrap().rows.len(), 2);
    let error = load(".csv.gz", &bytes[..bytes.len() - 9]).unwrap_err();
    assert!(error.starts_with("cannot read catalog us: "), "{error}");
    assert!(load(".csv.gz", b"symbol,price,volume\n").is_err());
}

#[test]
fn the_ending_says_the_format() {
    let format = |name: &str| Source::parse(name).map(|source| (source.format, source.gzip));
    assert_eq!(format("us.csv"), Some((Format::Csv, false)));
    assert_eq!(format("a/us.2026.csv.gz"), Some((Format::Csv, true)));
    assert_eq!(format("us.jsonl"), Some((Format::JsonLines, false)));
    assert_eq!(format("us.ndjson.gz"), Some((Format::JsonLines, true)));
    assert_eq!(format("-"), Some((Format::Csv, false)));
    for name in ["us", "us.txt", "us.gz", "us.CSV", "csv"] {
        assert_eq!(format(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn rubbish_never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = load(".jsonl", &text);
        let _ = load(".csv", &[b"symbol,price,volume\n", &text[..]].concat());
    }

    /// What a spreadsheet's quoting can write comes back as it was.
    #[test]
    fn quoted_fields_come_back(symbol in "[ -~牛]{1,10}", other in "[ -~牛]{0,9}") {
        prop_assume!(!symbol.trim().is_empty());
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let text = format!("x,symbol,price,volume\n{},{},1,2\n", quoted(&other), quoted(&symbol));
        let loaded = load(".csv", text.as_bytes()).unwrap();
        let quote = &loaded.rows[0];
            prop_assert_eq!(quote.symbol.as_str(), symbol.trim());
    }
}

#[test]
fn a_file_of_another_kind_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    for (begin, why) in [
        (&b"\x1f\x8b\x08"[..], "it is compressed with gzip: add .gz to its name"),
        (b"PK\x03\x04...", "it is a spreadsheet or a zip archive: save it as CSV"),
        (b"\xff\xfes\0", "it is UTF-16: convert it with iconv"),
    ] {
        let path = home.path().join("stocks.csv");
        std::fs::write(&path, [begin, &[b'x'; 100_000][..]].concat()).unwrap();
        let source = Source::parse(path.to_str().unwrap()).unwrap();
        let error = format!("{:#}", source.read().unwrap_err());
        assert!(error.contains(why) && error.contains("stocks.csv"), "{error}");
    }
}
