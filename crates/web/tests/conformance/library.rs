//! The asynchronous client library. Transactions, which HTTP has not, go to the engine.

use stockd_client::http::{Client, Condition, Error, Tagged};
use stockd_client::{Field, Fields, Symbol};
use stockd_model::Shares;
use tokio::runtime::Runtime;

use crate::plane::Plane;
use crate::ways::{Given, Home, Outcome, WayIn};

pub(crate) struct Library {
    client: Client,
    runtime: Runtime,
    plane: Plane,
}

impl Library {
    pub(crate) fn new(home: Home) -> Library {
        let plane = Plane::new(home);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        Library { client: Client::new(plane.address()), runtime, plane }
    }
}

fn outcome(written: Result<Tagged, Error>) -> Outcome {
    match written {
        Ok(_) => Ok(()),
        Err(Error::Refused(refused)) => Err(refused.detail),
        Err(error) => panic!("{error}"),
    }
}

impl WayIn for Library {
    fn lookup(&mut self, name: &[u8]) -> String {
        // Names are UTF-8, so what is not cannot be asked for.
        let Ok(name) = std::str::from_utf8(name) else { return "-1".to_owned() };
        let answer = self.runtime.block_on(self.client.lookup(name)).unwrap();
        let many = self.runtime.block_on(self.client.lookup_all([name, name])).unwrap();
        assert_eq!(many, [answer; 2], "lookup_all as lookup");
        answer.to_string()
    }

    fn fields(&mut self, name: &str) -> Given {
        let read = self.runtime.block_on(self.client.quote(name)).unwrap().expect("it is listed");
        let found = self.runtime.block_on(self.client.quotes([name])).unwrap();
        assert_eq!(found.quotes[name], read.quote, "quotes as quote");
        let text = |field| Some((field, read.quote.text_of(field)?));
        let texts = Field::WRITABLE.into_iter().filter_map(text);
        texts.map(|(field, text)| (field.name().into(), text.as_str().into())).collect()
    }

    fn set(&mut self, symbol: &str, given: &[(&str, &str)]) -> Outcome {
        let symbol: Symbol = symbol.parse().map_err(|error| format!("{error}"))?;
        let mut fields = Fields::default();
        for (name, text) in given {
            let field = Field::find(name.as_bytes()).unwrap();
            fields.set(field, text.as_bytes()).map_err(|error| error.to_string())?;
        }
        let outcomes = self.runtime.block_on(self.client.set_all([(symbol, fields)])).unwrap();
        outcomes[0].clone().map_err(|refused| refused.detail)
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        let symbol = symbol.parse().unwrap();
        let traded = self.client.trade(symbol, shares, Condition::Always);
        outcome(self.runtime.block_on(traded))
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        self.plane.engine.trade_both(trades)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        let delisted = self.client.delist(symbol.parse().unwrap(), Condition::Always);
        self.runtime.block_on(delisted).unwrap();
        Ok(())
    }
}
