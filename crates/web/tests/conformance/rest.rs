//! HTTP, by hand. What it cannot express, transactions, goes to the engine.

use serde_json::{Value, json};
use stockd_model::{Field, Shares, rfc3339};

use crate::http::Http;
use crate::plane::Plane;
use crate::ways::{Given, Home, Outcome, WayIn};

const JSON: (&str, &str) = ("Content-Type", "application/json");

pub(crate) struct Rest {
    http: Http,
    plane: Plane,
}

impl Rest {
    pub(crate) fn new(home: Home) -> Rest {
        let plane = Plane::new(home);
        Rest { http: Http::connect(&plane.address()), plane }
    }
}

fn encoded(name: &[u8]) -> String {
    let one = |byte: &u8| match byte.is_ascii_alphanumeric() {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.iter().map(one).collect()
}

/// What the problem of a response says.
fn detail(problem: &Value) -> String {
    problem["detail"].as_str().unwrap().to_owned()
}

/// The fields of a quote that a writer gives.
pub(crate) fn fields_of(quote: &Value) -> Given {
    let text = |field: Field| {
        let text = quote.get(field.name())?.as_str().unwrap();
        let time = || rfc3339::parse(text.as_bytes()).unwrap().to_string();
        Some(if field == Field::Time { time() } else { text.to_owned() })
    };
    let fields = Field::WRITABLE.into_iter();
    fields.filter_map(|field| Some((field.name().to_owned(), text(field)?))).collect()
}

impl WayIn for Rest {
    fn lookup(&mut self, name: &[u8]) -> String {
        let path = format!("/v1/stock?symbol={}", encoded(name));
        let response = self.http.ask("GET", &path, &[("Accept", "text/plain")], "");
        let answer = response.text().trim_end().to_owned();
        assert_eq!(response.status == 404, answer == "-1", "{answer}");
        answer
    }

    fn fields(&mut self, name: &str) -> Given {
        let quote = self.http.get(&format!("/v1/stocks/{}", encoded(name.as_bytes()))).json();
        fields_of(&quote)
    }

    fn set(&mut self, symbol: &str, fields: &[(&str, &str)]) -> Outcome {
        let mut update = json!({ "symbol": symbol });
        for (name, value) in fields {
            update[name] = if *value == "none" { Value::Null } else { (*value).into() };
        }
        let lines = format!("{update}\n");
        let answer = self.http.ask("POST", "/v1/updates", &[JSON], &lines).json();
        match answer["refused"].get(0) {
            Some(line) => Err(detail(&line["problem"])),
            None => Ok(()),
        }
    }

    fn trade(&mut self, symbol: &str, shares: Shares) -> Outcome {
        let (side, quantity) = match shares {
            Shares::Add(volume) => ("sell", volume),
            Shares::Take(volume) => ("buy", volume),
        };
        let path = format!("/v1/stocks/{}/trades", encoded(symbol.as_bytes()));
        let trade = json!({"side": side, "quantity": quantity.to_string()}).to_string();
        let response = self.http.ask("POST", &path, &[JSON], &trade);
        if response.status == 200 { Ok(()) } else { Err(detail(&response.json())) }
    }

    fn trade_both(&mut self, trades: [(&str, i64); 2]) -> Outcome {
        self.plane.engine.trade_both(trades)
    }

    fn delist(&mut self, symbol: &str) -> Outcome {
        let path = format!("/v1/stocks/{}", encoded(symbol.as_bytes()));
        let response = self.http.ask("DELETE", &path, &[], "");
        if matches!(response.status, 204 | 404) { Ok(()) } else { Err(detail(&response.json())) }
    }
}
