//! The names that the demo looks up, and the correct answers to each.
//!
//! The correct answers come from the history and the table of invented stocks, independently of the
//! server, so that every reply is checked.

use stockd_client::Answer;
use stockd_engine::{Access, Executor};
use stockd_model::{Edit, Fields, Price, Reply, Request, Status, Symbol, Volume};

use super::history::History;

/// The names, in the order in which they are looked up. Some are edge cases: white space around a
/// symbol is ignored, case matters, and a symbol may be any UTF-8.
pub(crate) const NAMES: &[&str] = &[
    "AAPL",
    "FB",
    "GOOG",
    "IBM",
    "MSFT",
    "  IBM  ",
    "DEMO.牛来USDT",
    "DEMO.SOLDOUT",
    "DEMO.HALTED",
    "DEMO.UNKNOWN",
    "aapl",
];

/// Stocks that no exchange lists. Their symbols begin with `DEMO.`, so that they are not mistaken
/// for real ones.
pub(crate) const INVENTED: &[Invented] = &[
    Invented {
        symbol: "DEMO.牛来USDT",
        price: price(5, 4),
        volume: Volume::new(1_000_000),
        status: Status::Trading,
    },
    Invented {
        symbol: "DEMO.SOLDOUT",
        price: price(125, 1),
        volume: Volume::EXHAUSTED,
        status: Status::Trading,
    },
    Invented {
        symbol: "DEMO.HALTED",
        price: price(9995, 2),
        volume: Volume::new(500),
        status: Status::Halted,
    },
];

/// A stock made up for the demo. It never changes.
#[derive(Debug)]
pub(crate) struct Invented {
    symbol: &'static str,
    price: Price,
    volume: Volume,
    status: Status,
}

const fn price(coefficient: i64, places: u8) -> Price {
    match Price::new(coefficient, places) {
        Some(price) => price,
        None => panic!("a price"),
    }
}

/// Lists the invented stocks.
///
/// # Errors
///
/// When the engine refuses one, which a test rules out.
pub(crate) fn list_invented(executor: &mut Executor) -> anyhow::Result<()> {
    let mut batch = executor.batch(&Access::All);
    for stock in INVENTED {
        let fields = Fields {
            price: Edit::Set(stock.price),
            volume: Edit::Set(stock.volume),
            status: Some(stock.status),
            ..Fields::default()
        };
        if let Reply::Refused(refusal) = batch.execute(&Request::Set(stock.symbol.parse()?, fields))
        {
            return Err(refusal.into());
        }
    }
    Ok(())
}

/// The meaning of a correct reply, in a word or two. The error of a wrong one is the correct reply.
///
/// `applied` and `begun` are bars of the history, as
/// [`possible_prices`](History::possible_prices) takes them, read before and after the lookup.
pub(crate) fn meaning(
    name: &str,
    answer: Answer,
    history: &History,
    applied: usize,
    begun: usize,
) -> Result<&'static str, String> {
    let possible = possible_answers(name, history, applied, begun);
    match possible.iter().find(|(right, _)| *right == answer) {
        Some((_, meaning)) => Ok(meaning),
        None => {
            let right: Vec<String> = possible.iter().map(|(right, _)| right.to_string()).collect();
            Err(right.join(" or "))
        }
    }
}

/// Every correct answer to a lookup, with its meaning.
fn possible_answers(
    name: &str,
    history: &History,
    applied: usize,
    begun: usize,
) -> Vec<(Answer, &'static str)> {
    let Ok(symbol) = name.parse::<Symbol>() else {
        return vec![(Answer::NotFound, "not listed")];
    };
    if let Some(stock) = INVENTED.iter().find(|stock| stock.symbol == symbol.as_str()) {
        return vec![match stock.status {
            Status::Halted => (Answer::NotTradable, "halted"),
            Status::Trading if stock.volume.is_exhausted() => (Answer::NotTradable, "exhausted"),
            Status::Trading => (Answer::Price(stock.price), "trading"),
        }];
    }
    let prices = history.possible_prices(&symbol, applied, begun);
    let answer = |price| match price {
        Some(price) => (Answer::Price(price), "trading"),
        None => (Answer::NotFound, "not listed"),
    };
    prices.into_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stockd_engine::Engine;

    use super::*;

    #[test]
    fn replies_are_right_and_others_are_not() {
        let history = History::load().unwrap();
        let bars = history.bars().len();
        let of = |name, answer| meaning(name, answer, &history, bars, bars);
        let price = |text: &str| Answer::Price(text.parse().unwrap());
        assert_eq!(of("IBM", price("202.91")), Ok("trading"));
        assert_eq!(of("  IBM  ", price("202.91")), Ok("trading"));
        assert_eq!(of("IBM", price("202.92")), Err("202.91".to_owned()));
        assert_eq!(of("DEMO.牛来USDT", price("0.0005")), Ok("trading"));
        assert_eq!(of("DEMO.SOLDOUT", Answer::NotTradable), Ok("exhausted"));
        assert_eq!(of("DEMO.SOLDOUT", price("12.5")), Err("0".to_owned()));
        assert_eq!(of("DEMO.HALTED", Answer::NotTradable), Ok("halted"));
        assert_eq!(of("DEMO.UNKNOWN", Answer::NotFound), Ok("not listed"));
        assert_eq!(of("aapl", Answer::NotFound), Ok("not listed"));
        assert_eq!(of("AAPL", Answer::NotFound), Err("430.47".to_owned()));
        assert_eq!(meaning("GOOG", Answer::NotFound, &history, 3, 3), Ok("not listed"));
    }

    #[test]
    fn invented_stocks_can_be_listed_and_are_visibly_invented() {
        let engine = Arc::new(Engine::default());
        list_invented(&mut engine.executor()).unwrap();
        assert_eq!(engine.totals().listings, INVENTED.len() as u64);
        let history = History::load().unwrap();
        for stock in INVENTED {
            assert!(stock.symbol.starts_with("DEMO."), "{}", stock.symbol);
        }
        for symbol in history.symbols() {
            assert!(!symbol.as_str().starts_with("DEMO."), "{symbol}");
        }
    }
}
