use std::io::Write;

use proptest::prelude::*;

use stockd_model::{Field, Quote};

use super::*;

/// The contents of a file with this ending and text.
fn load(ending: &str, text: &[u8]) -> Result<Loaded, String> {
    load_as(ending, text, &[])
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    form: Form,
}

/// The same, with what these flags say of it.
fn load_as(ending: &str, text: &[u8], flags: &[&str]) -> Result<Loaded, String> {
    let flags = [&["import"], flags].concat();
    let Flags { form } = clap::Parser::try_parse_from(flags).unwrap();
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(text).unwrap();
    let name = file.path().to_str().unwrap();
    let shortened = |text: &str| text.replace(name, "us");
    let mut loaded =
        Source::new(name, form).read().map_err(|error| shortened(&format!("{error:#}")))?;
    loaded.bad_rows.first.iter_mut().for_each(|row| *row = shortened(row));
    Ok(loaded)
}

/// Symbol, price, volume and status of every stock, sorted.
fn stocks(loaded: &Loaded) -> Vec<String> {
    let text = |Row { symbol, fields, .. }: Row| {
        let quote = fields.outcome(&Quote::new(symbol));
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
    let text = b"symbol,price,volume\nA,1,1\nB,3%,1\nC,1,x\n,1,1\nD,1\nE,1,1,1\nA,2,2\n\
            F,\"1,1\nG\x07,1,1\nH,1,18446744073709551616\nI,1e-19,1\nJ,1,1";
    let loaded = load(".csv", text);
    let loaded = loaded.unwrap();
    assert_eq!((loaded.rows.len(), loaded.bad_rows.count), (2, 10));
    assert_eq!(stocks(&loaded), ["A 1 1 trading", "J 1 1 trading"]);
    assert_eq!(
        loaded.bad_rows.first,
        [
            "us:3:price: '3%' is not a price: write a decimal like 172.5, -37.63 or 1e-5, without \
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
    for line in ["x", "[\"A\",\"1\",1]", "7", "{\"symbol\":", &full[1..], "{} {}"] {
        let error = why(line);
        assert!(error.starts_with("us:1: not a JSON object"), "{line}: {error}");
    }
    assert!(why(&full.replace("price", "symbol")).contains("duplicate field"));
}

#[test]
fn a_file_whose_lines_end_with_carriage_returns_alone_says_so() {
    let why = load(".csv", b"symbol,price\rA,1\rB,2\r").unwrap_err();
    assert!(why.starts_with("us:1: the lines end with carriage returns alone"), "{why}");
    assert!(why.ends_with(r#"end them with line feeds, as "tr '\r' '\n'" does"#), "{why}");
}

#[test]
fn a_header_without_its_columns_is_refused() {
    let why = |text: &str| load(".csv", text.as_bytes()).unwrap_err();
    assert_eq!(
        why("Symbol,Preis,Volume\nA,1,1\n"),
        "us:1: column 'price' is missing; the header must name symbol and price, and names \
             Symbol,Preis,Volume; say which column it is with --columns price=NAME, or what stands between \
             them with --delimiter"
    );
    assert!(why("name,price\n").starts_with("us:1: column 'symbol' is missing"));
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
    assert_eq!(Format::of("us.csv"), Some(Format::Csv));
    assert_eq!(Format::of("a/us.2026.CSV.gz"), Some(Format::Csv));
    assert_eq!(Format::of("us.jsonl"), Some(Format::JsonLines));
    assert_eq!(Format::of("us.NDJSON.GZ"), Some(Format::JsonLines));
    for name in ["us", "us.txt", "us.gz", "csv", "-"] {
        assert_eq!(Format::of(name), None, "{name}");
    }
}

/// Loads without a bad row, and gives the stocks.
fn loaded(ending: &str, text: &[u8], flags: &[&str]) -> Vec<String> {
    let loaded = load_as(ending, text, flags).unwrap();
    assert_eq!(loaded.bad_rows.first, Vec::<String>::new());
    stocks(&loaded)
}

#[test]
fn the_header_says_what_stands_between_the_fields() {
    let expected = ["A 1.5 7 trading", "B 1234.5 none trading"];
    for text in [
        "Symbol,Price,VOLUME\nA,1.5,7\nB,\"$1,234.50\",\n",
        "symbol;price;volume\r\nA;1,50;7\r\nB;1.234,50;\r\n",
        "sep=;\nsymbol;price;volume\nA;1.5;7\nB;1234.5;\n",
        "SYMBOL\tPRICE\tVOLUME\nA\t1.5\t7\nB\t1,234.5\tn/a\n",
        "symbol|price|volume\nA|1.5|7\nB|1234.5|-\n",
        "\"symbol\";\"price\";\"volume\"\n\"A\";\"1,5\";\"7\"\n\"B\";\"1.234,5\";\"\"\n",
    ] {
        assert_eq!(loaded(".txt", text.as_bytes(), &[]), expected, "{text}");
        let utf16: Vec<u16> = format!("\u{feff}{text}").encode_utf16().collect();
        let le: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let be: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [&le[..], &be, &le[2..], &be[2..]] {
            assert_eq!(loaded(".CSV", bytes, &[]), expected, "{text}");
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&le).unwrap();
        assert_eq!(loaded("", &gzip.finish().unwrap(), &[]), expected, "{text}");
    }
}

#[test]
fn what_the_file_does_not_say_can_be_said() {
    let text = b"Ticker#Last, Sale#Volume\nA#1.500#7\n";
    let why = load(".csv", text).unwrap_err();
    assert!(why.contains("--columns symbol=NAME") && why.contains("--delimiter"), "{why}");
    let columns = "symbol=ticker,price='last, sale'";
    let flags = ["--delimiter", "#", "--columns", columns];
    let load_with = |more: &[&str]| loaded(".csv", text, &[&flags[..], more].concat());
    assert_eq!(load_with(&["--decimal-comma=false"]), ["A 1.5 7 trading"]);
    assert_eq!(load_with(&["--decimal-comma"]), ["A 1500 7 trading"]);
    let bad = load_as(".csv", text, &flags).unwrap().bad_rows.first;
    assert_eq!(
        bad,
        [
            "us:2:price: '1.500' can be read in two ways; say whether the comma is the decimal one with \
          --decimal-comma=true or --decimal-comma=false"
        ]
    );
    let why = load_as(".csv", text, &["--delimiter", "#", "--columns", "price=Close"]).unwrap_err();
    assert_eq!(why, "us:1: the header has no column 'Close', which --columns names");

    let latin1 = b"symbol,price\nM\xdcV2.DE,1,5\n".to_vec();
    let bad = load(".csv", &latin1.replace_first(b"1,5", b"1")).unwrap().bad_rows.first;
    assert!(bad[0].contains("say the encoding of the file with --encoding"), "{bad:?}");
    let quoted = b"symbol;price\nM\xdcV2.DE;1,5\n";
    assert_eq!(loaded(".csv", quoted, &["--encoding", "latin1"]), ["MÜV2.DE 1.5 none trading"]);
    let comma = load(".csv", b"symbol,price\nA,\"12,50\"\n").unwrap().bad_rows.first;
    assert!(comma[0].ends_with("; if its comma is a decimal one say --decimal-comma"), "{comma:?}");
}

trait ReplaceFirst {
    fn replace_first(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceFirst for Vec<u8> {
    fn replace_first(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

#[test]
fn files_of_exchanges_are_known_by_their_headers() {
    let screener = "Symbol,Name,Last Sale,Net Change,% Change,Market Cap,Country,IPO Year,Volume,Sector,Industry\n\
        AAA,\"Alpha, Inc.\",$172.50,1.20,0.7%,1000000.00,United States,1990,0,Technology,Computers\n\
        BBB/A,Beta,\"$743,500.00\",-5.00,-0.1%,,United States,,12,Finance,Insurance\n";
    // What was traded today is not what is left to trade.
    assert_eq!(
        loaded(".csv", screener.as_bytes(), &[]),
        ["AAA 172.5 none trading", "BBB/A 743500 none trading"]
    );
    let with_volume = loaded(".csv", screener.as_bytes(), &["--columns", "volume=Volume"]);
    assert_eq!(with_volume, ["AAA 172.5 0 trading", "BBB/A 743500 12 trading"]);

    let traded = "Nasdaq Traded|Symbol|Security Name|Listing Exchange|Market Category|ETF|Round Lot Size|Test Issue|Financial Status|CQS Symbol|NASDAQ Symbol|NextShares\n\
        Y|AAA|Alpha|Q|Q|N|100|N|N||AAA|N\n\
        Y|ZVZZT|Test stock|Q|G|N|100|Y|N||ZVZZT|N\n\
        File Creation Time: 0921202621:32|||||||||||\n";
    let other = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol\n\
        BRK.A|Berkshire|N|BRK.A|N|1|N|BRK.A\n\
        File Creation Time: 0921202621:32|||||||\n";
    assert_eq!(loaded(".txt", traded.as_bytes(), &[]), ["AAA none none trading"]);
    assert_eq!(loaded(".txt", other.as_bytes(), &[]), ["BRK.A none none trading"]);
    assert!(load(".txt", other.as_bytes()).unwrap().rows.iter().all(|row| row.is_name_alone));

    let bhavcopy = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n\
        M&M,EQ,1,2,1,1250.5,1251,1240,9,9,21-SEP-2026,3,INE101A01026,\n\
        M&M,N1,1,2,1,1050,1050,1040,9,9,21-SEP-2026,3,INE101A07XYZ,\n";
    assert_eq!(loaded(".csv", bhavcopy.as_bytes(), &[]), ["M&M 1251 none trading"]);
    let full = "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE, TTL_TRD_QNTY, DELIV_QTY\n\
        M&M, EQ, 21-Sep-2026, 1240.00, 1, 2, 1, 1251.00, 1250.50, 1, 9, -\n";
    assert_eq!(loaded(".csv", full.as_bytes(), &[]), ["M&M 1251 none trading"]);
    let udiff = "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,OpnPric,ClsPric,LastPric,TtlTradgVol\n\
        2026-09-21,2026-09-21,CM,NSE,STK,1,INE101A01026,M&M,EQ,1,1250.50,1251.00,9\n";
    assert_eq!(loaded(".csv", udiff.as_bytes(), &[]), ["M&M 1251 none trading"]);

    let pandas = ",Ticker,Close,Volume\n0,AAPL,172.5,1000.0\n1,MSFT,400.25,\n";
    assert_eq!(
        loaded(".csv", pandas.as_bytes(), &[]),
        ["AAPL 172.5 none trading", "MSFT 400.25 none trading"]
    );
    let ours = ",symbol,price,volume\n0,AAPL,172.5,1000.0\n1,MSFT,NaN,5\n2,IBM,1e2,\n";
    let loaded = load(".csv", ours.as_bytes()).unwrap();
    assert_eq!(stocks(&loaded), ["AAPL 172.5 1000 trading", "IBM 100 none trading"]);
    assert!(loaded.bad_rows.first[0].starts_with("us:3:price: missing"));
}

#[test]
fn a_wide_file_gives_the_last_close_of_each_stock() {
    let text = "Price,Close,Close,High,High\nTicker,AAPL,MSFT,AAPL,MSFT\nDate,,,,\n\
        2026-09-18,171.0,400.25,172.0,401.0\n2026-09-21,172.5,,173.0,\n2026-09-22,x,1,1,1\n2026\n";
    let loaded = load(".csv", text.as_bytes()).unwrap();
    assert_eq!(stocks(&loaded), ["AAPL 172.5 none trading", "MSFT 400.25 none trading"]);
    assert!(loaded.bad_rows.first[0].starts_with("us:6:price: 'x' is not a price"));
    assert_eq!(loaded.bad_rows.first[1], "us:7: the row has 1 fields, the header 5");
    let why = load(".csv", b"Price,Open\nTicker,AAPL\n").unwrap_err();
    assert!(why.starts_with("us:1: no column is a Close"), "{why}");
}

#[test]
fn json_is_read_in_any_shape() {
    let expected = ["A 1.5 7 trading", "B 2 none trading"];
    for text in [
        r#"[{"symbol":"A","price":"1.5","volume":7},{"symbol":"B","price":2}]"#,
        "{\"Symbol\":\"A\",\"Price\":1.5,\"volume\":7}\n{\"SYMBOL\":\"B\",\"last\":2,\"volume\":9}\n",
        "\u{feff}[\n {\n  \"symbol\": \"A\", \"x\": [{}, \"]}\\\"\"],\n  \"price\": 1.5, \"volume\": 7\n },\n {\"symbol\":\"B\",\"price\":2}\n]\n",
        "{\n \"symbol\": \"A\",\n \"price\": 1.5,\n \"volume\": 7\n}\n{\n \"symbol\": \"B\",\n \"price\": 2\n}",
        r#"{"data":[{"symbol":"A","price":"1.5","volume":7},{"symbol":"B","price":2}],"next":{"page":[1]}}"#,
        r#"{"A":{"price":"1.5","volume":7},"B":{"price":2}}"#,
    ] {
        for ending in [".json", "", ".jsonl"] {
            // Lines that are no objects are an error of a file that is said to have one a line.
            assert_eq!(loaded(ending, text.as_bytes(), &[]), expected, "{ending}: {text}");
        }
    }
    let keyed = r#"[{"Ticker":"A","c":1.5}]"#;
    assert_eq!(loaded("", keyed.as_bytes(), &["--columns", "price=c"]), ["A 1.5 none trading"]);
}

#[test]
fn answers_of_alpaca_are_stocks() {
    let trades = r#"{"trades":{"AAPL":{"c":["@"],"i":5,"p":172.5,"s":100,"t":"2026-09-21T14:13:20.123456789Z","x":"V","z":"C"},"BRK.A":{"p":743500,"s":1,"t":"2026-09-21T14:13:21Z"}},"currency":"USD"}"#;
    assert_eq!(
        loaded("", trades.as_bytes(), &[]),
        [
            "AAPL 172.5 none trading 1790000000123456789",
            "BRK.A 743500 none trading 1790000001000000000"
        ]
    );
    let snapshot = r#"{"AAPL":{"latestTrade":{"p":172.5,"s":100,"t":"2026-09-21T14:13:20Z"},"latestQuote":{"ap":0,"as":0,"ax":" ","bp":172.49,"bs":3,"bx":"V","t":"2026-09-21T14:13:21Z"},"dailyBar":{"c":170,"v":9}}}"#;
    assert_eq!(
        loaded(".json", snapshot.as_bytes(), &[]),
        ["AAPL 172.5 none 172.49 3 trading 1790000001000000000"]
    );
    let one = r#"{"symbol":"AAPL","quote":{"ap":172.51,"as":2,"bp":172.49,"bs":3,"t":"2026-09-21T14:13:21Z"}}"#;
    let expected = ["AAPL none none 172.49 172.51 3 2 trading 1790000001000000000"];
    assert_eq!(loaded("", one.as_bytes(), &[]), expected);
    let turned = r#"{"quote":{"ap":172.51,"as":2,"bp":172.49,"bs":3,"t":"2026-09-21T14:13:21Z"},"symbol":"AAPL"}"#;
    assert_eq!(loaded("", turned.as_bytes(), &[]), expected);
}

#[test]
fn json_that_is_cut_or_none_is_an_error_with_its_line() {
    let why = |text: &str| load(".json", text.as_bytes()).unwrap_err();
    assert!(
        why("[\n{\"symbol\":\"A\",\"price\":1},\n")
            .ends_with("the file ends within an array or object, on line 3")
    );
    assert!(why("[{\"symbol\":\"A\",").ends_with("the file ends within a value, on line 1"));
    assert!(why("{\"data\":[]x").contains("a key in quotes"));
    assert!(why(&"[".repeat(100)).contains("too many arrays"));
    let text =
        format!("[{{\"symbol\":\"{}\"}},\n7,{{\"symbol\":\"A\",\"price\":1}}]", "x".repeat(70_000));
    let loaded = load(".json", text.as_bytes()).unwrap();
    assert_eq!(stocks(&loaded), ["A 1 none trading"]);
    assert!(loaded.bad_rows.first[0].starts_with("us:1: the object is longer than 65536 bytes"));
    assert!(loaded.bad_rows.first[1].starts_with("us:2: not a JSON object"));
}

#[test]
fn a_file_that_is_no_text_says_what_to_do() {
    for (bytes, hint) in [
        (
            &b"PK\x03\x04rest of a workbook"[..],
            "it is a spreadsheet or a zip archive; save it as CSV",
        ),
        (b"\xd0\xcf\x11\xe0", "it is a spreadsheet; save it as CSV"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"PAR1....", "it is Parquet"),
        (b"\x7fELF\x02\x01", "it is no text; a catalog is CSV, JSON lines or a JSON array"),
        (&[0x28, 0xb5, 0x2f, 0xfd, 0], "zstd -dc"),
        (&[0xff, 0xfe, b'a', 0, 0, 0xdc], "it is not UTF-16LE; say its encoding with --encoding"),
    ] {
        let why = load(".csv", bytes).unwrap_err();
        assert!(why.contains(hint), "{why}");
    }
}

proptest! {
    #[test]
    fn rubbish_never_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = load(".jsonl", &text);
        let _ = load("", &text);
        let _ = load("", &[b"[{", &text[..]].concat());
        let _ = load("", &[b"\xff\xfe", &text[..]].concat());
        let _ = load(".csv", &[b"symbol,price,volume\n", &text[..]].concat());
    }

    /// What a spreadsheet's quoting can write comes back as it was.
    #[test]
    fn quoted_fields_come_back(symbol in "[ -~牛]{1,10}", other in "[ -~牛]{0,9}") {
        prop_assume!(!symbol.trim().is_empty());
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let text = format!("x,symbol,price,volume\n{},{},1,2\n", quoted(&other), quoted(&symbol));
        let loaded = load(".csv", text.as_bytes()).unwrap();
        let row = loaded.rows.iter().next().unwrap();
        prop_assert_eq!(row.symbol.as_str(), symbol.trim());
    }
}
