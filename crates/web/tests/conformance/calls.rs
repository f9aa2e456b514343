//! gRPC, with the client that is made of the .proto file. Transactions, which it has not, go to the engine.

use prost_types::Timestamp;
use stockd_model::{Answer, Field, Price, Quote, Shares, Volume};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::plane::Plane;
use crate::rpc::{self, Link, StocksClient, proto};
use crate::ways::{Given, Home, Outcome, WayIn};

pub(crate) struct Calls {
    client: StocksClient<Link>,
    runtime: Runtime,
    plane: Plane,
}

impl Calls {
    pub(crate) fn new(home: Home) -> Calls {
        let plane = Plane::new(home);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let socket = runtime.block_on(TcpStream::connect(plane.address())).unwrap();
        let client = rpc::client(&runtime, socket);
        Calls { client, runtime, plane }
    }

    /// The quote of a name, if it is listed.
    fn quote(&mut self, name: &str) -> Option<proto::Quote> {
        let request = proto::LookupRequest { symbol: name.to_owned() };
        let found = self.runtime.block_on(self.client.lookup(request));
        let one = match found {
            Ok(quote) => Some(quote.into_inner()),
            Err(status) => {
                assert!(matches!(status.code(), Code::NotFound), "{status}");
                None
            }
        };
        let request = proto::BatchLookupRequest { symbols: vec![name.to_owned()] };
        let many = self.runtime.block_on(self.client.batch_lookup(request)).unwrap().into_inner();
        assert_eq!(many.quotes.first(), one.as_ref(), "BatchLookup as Lookup");
        one
    }
}

/// What a message says in its text, which is what coefficient and scale say.
fn price(price: &proto::Price) -> String {
    let exact = Price::new(price.coefficient, price.scale as u8).unwrap();
    assert_eq!(exact.to_string(), price.text);
    price.text.clone()
}

fn quantity(quantity: &proto::Quantity) -> String {
    let exact = Volume::with_places(quantity.coefficient, quantity.scale as u8).unwrap();
    assert_eq!(exact.to_string(), quantity.text);
    quantity.text.clone()
}

fn status(quote: &proto::Quote) -> &'static str {
    if quote.status() == proto::Status::Halted { "halted" } else { "trading" }
}

fn time(time: &Timestamp) -> String {
    (i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)).to_string()
}

fn given(quote: &proto::Quote) -> Given {
    let text = |field: Field| match field {
        Field::Price => quote.price.as_ref().map(price),
        Field::Volume => quote.volume.as_ref().map(quantity),
        Field::Bid => quote.bid.as_ref().map(price),
        Field::Ask => quote.ask.as_ref().map(price),
        Field::BidSize => quote.bid_size.as_ref().map(quantity),
        Field::AskSize => quote.ask_size.as_ref().map(quantity),
        Field::Status => Some(status(quote).to_owned()),
        Field::Time => quote.time.as_ref().map(time),
        Field::Symbol | Field::Version | Field::Updated | Field::Feed | Field::FeedState => None,
    };
    let fields = Field::WRITABLE.into_iter();
    fields.filter_map(|field| Some((field.name().to_owned(), text(field)?))).collect()
}

/// What lookups answer for this quote.
fn answer(message: &proto::Quote) -> Answer {
    let quote = Quote {
        price: message.price.as_ref().map(|it| price(it).parse().unwrap()),
        volume: message.volume.as_ref().map(|it| quantity(it).parse().unwrap()),
        status: status(message).parse().unwrap(),
        ..Quote::new(message.symbol.parse().unwrap())
    };
    quote.answer()
}

fn outcome<T>(answered: Result<T, Status>) -> Outcome {
    match answered {
        Ok(_) => Ok(()),
        Err(status) => Err(status.message().to_owned()),
    }
}

impl WayIn for Calls {
    fn lookup(&mut self, name: &[u8]) -> String {
        // Strings are UTF-8, so what is not cannot be asked for.
        let Ok(name) = std::str::from_utf8(name) else { return "-1".to_owned() };
        self.quote(name).map_or_else(|| "-1".to_owned(), |quote| answer(&quote).to_string())
    }

    fn fields(&mut self, name: &str) -> Given {
        given(&self.quote(name).expect("it is listed"))
    }

    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome {
        let is_time = |(name, value): &(&str, &str)| {
            *name != "time" || *value == "none" || value.parse::<i64>().is_ok()
        };
        if !fields.iter().all(is_time) {
            // A message cannot have a time that is none.
            return self.plane.engine.set(symbol, fields);
        }
        let mut quote = proto::Quote::default();
        let mut clear = Vec::new();
        for (name, value) in fields {
            let text = (*value).to_owned();
            let price = || Some(proto::Price { text: text.clone(), ..Default::default() });
            let quantity = || Some(proto::Quantity { text: text.clone(), ..Default::default() });
            match *name {
                _ if *value == "none" => clear.push((*name).to_owned()),
                "price" => quote.price = price(),
                "bid" => quote.bid = price(),
                "ask" => quote.ask = price(),
                "volume" => quote.volume = quantity(),
                "bid_size" => quote.bid_size = quantity(),
                "ask_size" => quote.ask_size = quantity(),
                "status" if *value == "halted" => quote.set_status(proto::Status::Halted),
                "status" => quote.set_status(proto::Status::Trading),
                "time" => {
                    let ns: i64 = value.parse().unwrap();
                    let (seconds, nanos) = (ns / 1_000_000_000, (ns % 1_000_000_000) as i32);
                    quote.time = Some(Timestamp { seconds, nanos });
                }
                name => panic!("{name}"),
            }
        }
        let request = proto::UpdateRequest {
            symbol: symbol.to_owned(),
            fields: Some(quote),
            clear,
            ..Default::default()
        };
        outcome(self.runtime.block_on(self.client.update(request)))
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        let (side, volume) = match shares {
            Shares::Add(volume) => (proto::Side::Sell, volume),
            Shares::Take(volume) => (proto::Side::Buy, volume),
        };
        let quantity = proto::Quantity { text: volume.to_string(), ..Default::default() };
        let request = proto::TradeRequest {
            symbol: symbol.to_owned(),
            side: side.into(),
            quantity: Some(quantity),
            ..Default::default()
        };
        outcome(self.runtime.block_on(self.client.trade(request)))
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        self.plane.engine.trade_both(trades)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        let request = proto::DelistRequest { symbol: symbol.to_owned(), expected_version: None };
        match self.runtime.block_on(self.client.delist(request)) {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            answered => outcome(answered),
        }
    }
}
