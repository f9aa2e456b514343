//! The live table of `stockd watch`: what it holds, and how it is drawn within a number of columns
//! and rows. It knows no terminal, no clock and no connection.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use stockd_model::{Field, Quote, Status, Symbol, escaped};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The stocks that are watched, sorted by symbol.
#[derive(Debug, Default)]
pub(super) struct Board {
    stocks: BTreeMap<Symbol, Option<Stock>>,
}

#[derive(Debug)]
struct Stock {
    quote: Quote,
    /// How this price compares with the last different one.
    direction: Ordering,
}

const HEADING: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const UP: Style = AnsiColor::Green.on_default();
const DOWN: Style = AnsiColor::Red.on_default();
const HALTED: Style = AnsiColor::Yellow.on_default();

/// All columns of the table. Bid and ask are left out where no stock has one.
const HEADINGS: [&str; 8] = ["symbol", "price", "bid", "ask", "volume", "status", "version", "age"];
const PRICE: usize = 1;
const BID: usize = 2;
const ASK: usize = 3;
const STATUS: usize = 5;
const VERSION: usize = 6;
const AGE: usize = 7;

/// What stands where a stock has nothing.
const NOTHING: &str = "-";

/// Columns of the terminal between two columns of the table.
const GAP: usize = 2;

/// The texts of a row, and the styles of its price and its status.
struct Line {
    texts: [String; 8],
    price: Style,
    status: Style,
}

impl Board {
    /// Shows the stock as not listed until its quote comes.
    pub(super) fn expect(&mut self, symbol: Symbol) {
        self.stocks.entry(symbol).or_default();
    }

    pub(super) fn update(&mut self, quote: Quote) {
        let stock = self.stocks.entry(quote.symbol).or_default();
        let direction = match stock {
            Some(Stock { quote: Quote { price: last @ Some(_), .. }, direction })
                if quote.price.is_some() =>
            {
                quote.price.cmp(last).then(*direction)
            }
            Some(last) => last.direction,
            None => Ordering::Equal,
        };
        *stock = Some(Stock { quote, direction });
    }

    pub(super) fn delist(&mut self, symbol: Symbol) {
        self.stocks.insert(symbol, None);
    }

    /// The lines of the table: at most `rows`, none wider than `columns`. Where there is too little
    /// room, columns are left out on the right and stocks at the end.
    pub(super) fn draw(&self, columns: usize, rows: usize, now_ns: u64) -> Vec<String> {
        let stocks_max = rows.saturating_sub(1).max(1);
        let shown = match self.stocks.len() > stocks_max {
            // The last row says how many are not shown.
            true => stocks_max - 1,
            false => self.stocks.len(),
        };
        let lines: Vec<Line> = self
            .stocks
            .iter()
            .take(shown)
            .map(|(symbol, stock)| line(symbol, stock, now_ns))
            .collect();
        let mut widths = HEADINGS.map(UnicodeWidthStr::width);
        for line in &lines {
            for (width, text) in widths.iter_mut().zip(&line.texts) {
                *width = text.width().max(*width);
            }
        }
        // The first column is always there.
        widths[0] = widths[0].min(columns);
        let is_known = |at: usize| lines.iter().any(|line| line.texts[at] != NOTHING);
        let mut shown_columns: Vec<usize> = (0..HEADINGS.len()).collect();
        shown_columns.retain(|&at| !matches!(at, BID | ASK) || is_known(at));
        shown_columns.truncate(fitting(shown_columns.iter().map(|&at| widths[at]), columns));
        let heading = shown_columns.iter().map(|&at| cell(at, HEADINGS[at], widths[at], HEADING));
        let mut drawn = vec![heading.collect::<String>()];
        drawn.extend(lines.iter().map(|line| {
            let cells = shown_columns.iter().map(|&at| {
                let style = match at {
                    PRICE => line.price,
                    STATUS => line.status,
                    VERSION | AGE => DIM,
                    _ => Style::new(),
                };
                cell(at, &line.texts[at], widths[at], style)
            });
            cells.collect()
        }));
        if shown < self.stocks.len() {
            let more = format!("… and {} more", self.stocks.len() - shown);
            drawn.push(cell(0, &more, more.width().min(columns), DIM));
        }
        drawn
    }
}

/// How many columns of the table fit; at least one, which is cut if necessary.
fn fitting(widths: impl Iterator<Item = usize>, columns: usize) -> usize {
    let mut taken = 0;
    let fits = widths.enumerate().take_while(|(at, width)| {
        taken += *width + if *at == 0 { 0 } else { GAP };
        taken <= columns
    });
    fits.count().max(1)
}

/// The beginning of a text that is at most this wide.
pub(super) fn cut(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let beyond = text.char_indices().find(|(_, letter)| {
        taken += letter.width().unwrap_or(0);
        taken > width
    });
    beyond.map_or(text, |(at, _)| &text[..at])
}

/// One text of a row, cut to the width: the first column is aligned left, the others right.
fn cell(at: usize, text: &str, width: usize, style: Style) -> String {
    let text = cut(text, width);
    let spaces = " ".repeat(width.saturating_sub(text.width()));
    match at {
        0 => format!("{style}{text}{style:#}{spaces}"),
        _ => format!("{:GAP$}{spaces}{style}{text}{style:#}", ""),
    }
}

fn line(symbol: &Symbol, stock: &Option<Stock>, now_ns: u64) -> Line {
    let Some(Stock { quote, direction }) = stock else {
        let mut texts = [const { String::new() }; 8].map(|_| NOTHING.to_owned());
        texts[0] = escaped(symbol.as_str()).to_string();
        texts[STATUS] = "not listed".to_owned();
        return Line { texts, price: DIM, status: DIM };
    };
    let (arrow, price) = match direction {
        Ordering::Greater => ("▲ ", UP),
        Ordering::Less => ("▼ ", DOWN),
        Ordering::Equal => ("", Style::new()),
    };
    let status = if quote.status == Status::Halted { HALTED } else { Style::new() };
    let text = |field: Field| {
        quote.text_of(field).map_or(NOTHING.to_owned(), |text| text.as_str().to_owned())
    };
    Line {
        texts: [
            escaped(symbol.as_str()).to_string(),
            quote.price.map_or(NOTHING.to_owned(), |price| format!("{arrow}{price}")),
            text(Field::Bid),
            text(Field::Ask),
            text(Field::Volume),
            quote.status.to_string(),
            quote.version.to_string(),
            age(Duration::from_nanos(now_ns.saturating_sub(quote.updated_ns))),
        ],
        price,
        status,
    }
}

/// A time span in its largest unit.
fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3_600 => format!("{}m", seconds / 60),
        seconds @ ..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use stockd_model::Volume;

    use super::*;

    fn quote(symbol: &str, price: &str, version: u64) -> Quote {
        Quote {
            price: price.parse().ok(),
            volume: Some(Volume::new(1000)),
            version,
            updated_ns: 0,
            ..Quote::new(symbol.parse().unwrap())
        }
    }

    fn drawn(board: &Board, columns: usize, rows: usize) -> Vec<String> {
        let lines = board.draw(columns, rows, 90_000_000_000);
        let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
        lines.into_iter().map(plain).collect()
    }

    fn sample() -> Board {
        let mut board = Board::default();
        board.expect("XYZ".parse().unwrap());
        board.update(quote("牛来USDT", "0.0005", 1));
        board.update(quote("AAPL", "172.5", 1));
        board.update(quote("AAPL", "173", 2));
        board.update(quote("AAPL", "173", 3));
        board
    }

    #[test]
    fn the_table_is_sorted_and_shows_directions() {
        let expected = [
            "symbol     price  volume      status  version  age",
            "AAPL       ▲ 173    1000     trading        3   1m",
            "XYZ            -       -  not listed        -    -",
            "牛来USDT  0.0005    1000     trading        1   1m",
        ];
        assert_eq!(drawn(&sample(), 80, 24), expected);
        let mut board = sample();
        board.update(quote("AAPL", "1", 4));
        board.delist("牛来USDT".parse().unwrap());
        let lines = drawn(&board, 80, 24);
        assert!(lines[1].contains("▼ 1 "), "{lines:?}");
        assert!(lines[3].contains("not listed"), "{lines:?}");
    }

    #[test]
    fn bids_and_asks_are_shown_where_any_are_known() {
        let mut board = sample();
        let (bid, price) = ("172.99".parse().ok(), None);
        board.update(Quote { bid, price, ..quote("AAPL", "1", 4) });
        board.update(Quote { ask: "0.00051".parse().ok(), ..quote("牛来USDT", "0.0006", 2) });
        let expected = [
            "symbol       price     bid      ask  volume      status  version  age",
            "AAPL             -  172.99        -    1000     trading        4   1m",
            "XYZ              -       -        -       -  not listed        -    -",
            "牛来USDT  ▲ 0.0006       -  0.00051    1000     trading        2   1m",
        ];
        assert_eq!(drawn(&board, 80, 24), expected);
        assert_eq!(drawn(&board, 35, 24)[0], "symbol       price     bid      ask");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_table_longer() {
        let board = sample();
        for columns in 0..60 {
            for line in board.draw(columns, 24, 0) {
                let line = anstream::adapter::strip_str(&line).to_string();
                assert!(line.width() <= columns, "{columns}: {line:?}");
            }
        }
        assert_eq!(drawn(&board, 20, 24)[0], "symbol     price");
        assert_eq!(
            drawn(&board, 80, 3)[1..],
            ["AAPL    ▲ 173    1000  trading        3   1m", "… and 2 more"]
        );
        for rows in 2..9 {
            assert!(drawn(&board, 80, rows).len() <= rows, "{rows}");
        }
    }

    #[test]
    fn texts_are_cut_between_letters() {
        let cuts = [0, 1, 2, 3, 4, 9].map(|width| cut("牛a来", width));
        assert_eq!(cuts, ["", "", "牛", "牛a", "牛a", "牛a来"]);
    }

    #[test]
    fn ages_are_in_their_largest_unit() {
        let seconds = [0, 59, 60, 3599, 3600, 86_399, 86_400];
        let ages = seconds.map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
    }
}
