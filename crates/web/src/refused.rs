//! A request that is refused: a problem of the table, with what is wrong in this case.
//!
//! HTTP answers it as RFC 9457 has it, gRPC with its code and a detail of `google.rpc.ErrorInfo`. This module
//! owns those forms. It knows no requests.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use stockd_model::{FieldError, Problem, Refusal, SymbolError};

/// Where problems are described.
pub(crate) const PROBLEMS_PATH: &str = "/problems/";

/// Why a request is refused. Nothing has changed.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    /// This case, as one sentence.
    pub(crate) detail: String,
    /// What the sentence says, for programs.
    pub(crate) members: Vec<(&'static str, Value)>,
    /// The methods that the path has, where it was the method.
    allow: Option<HeaderValue>,
}

impl Refused {
    pub(crate) fn new(problem: Problem, detail: impl Into<String>) -> Refused {
        Refused { problem, detail: detail.into(), members: Vec::new(), allow: None }
    }

    /// With a value for programs.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Refused {
        self.members.push((name, value.into()));
        self
    }

    /// A method that the path does not have; it has these.
    pub(crate) fn method(method: &http::Method, allow: Option<HeaderValue>) -> Refused {
        let detail = format!("{method} is not a method of this path");
        Refused { allow, ..Refused::new(Problem::WrongMethod, detail) }
    }

    /// Nothing is listed under this name.
    pub(crate) fn not_listed(name: &str) -> Refused {
        let detail = format!("stock '{}' is not listed", stockd_model::escaped(name.as_bytes()));
        Refused::new(Problem::NotListed, detail).with("symbol", name)
    }

    /// The problem as text, its members in the order of RFC 9457.
    fn text(&self) -> String {
        let Refused { problem, detail, members, .. } = self;
        let kind = format!("{PROBLEMS_PATH}{}", problem.name());
        let first: [(&str, Value); 4] = [
            ("type", kind.into()),
            ("title", problem.title().into()),
            ("status", problem.status().into()),
            ("detail", detail.as_str().into()),
        ];
        let member = |(name, value): &(&str, Value)| format!("{}:{value}", Value::from(*name));
        let all: Vec<String> = first.iter().chain(members).map(member).collect();
        format!("{{{}}}", all.join(","))
    }

    /// The members of the problem.
    pub(crate) fn document(&self) -> Value {
        let Refused { problem, detail, members, .. } = self;
        let mut document = Map::new();
        document.insert("type".to_owned(), format!("{PROBLEMS_PATH}{}", problem.name()).into());
        document.insert("title".to_owned(), problem.title().into());
        document.insert("status".to_owned(), problem.status().into());
        document.insert("detail".to_owned(), detail.as_str().into());
        for (name, value) in members {
            document.insert((*name).to_owned(), value.clone());
        }
        Value::Object(document)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.text()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"stockd\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

impl From<SymbolError> for Refused {
    fn from(error: SymbolError) -> Refused {
        Refused::new(Problem::InvalidSymbol, error.to_string())
    }
}

impl From<FieldError> for Refused {
    fn from(error: FieldError) -> Refused {
        Refused::new(Problem::InvalidValue, error.to_string())
    }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Refused {
        let refused = Refused::new(refusal.problem(), refusal.to_string());
        match refusal {
            Refusal::NotListed(symbol)
            | Refusal::PriceMissing(symbol)
            | Refusal::Halted(symbol)
            | Refusal::VolumeAbsent(symbol)
            | Refusal::NotPermitted { symbol, .. } => refused.with("symbol", symbol.as_str()),
            Refusal::Late { symbol, time_ns, latest_ns } => refused
                .with("symbol", symbol.as_str())
                .with("time", time(*time_ns))
                .with("latest", time(*latest_ns)),
            Refusal::VolumeTooLow { symbol, volume, take } => refused
                .with("symbol", symbol.as_str())
                .with("volume", volume.to_string())
                .with("take", take.to_string()),
            Refusal::VolumeTooHigh { symbol, volume, add } => refused
                .with("symbol", symbol.as_str())
                .with("volume", volume.to_string())
                .with("add", add.to_string()),
            Refusal::VersionDiffers { symbol, version, expected } => refused
                .with("symbol", symbol.as_str())
                .with("version", *version)
                .with("expected", *expected),
            Refusal::AlreadyListed { symbol, version } => {
                refused.with("symbol", symbol.as_str()).with("version", *version)
            }
            Refusal::CatalogFull { stocks_max } => refused.with("stocks_max", json!(stocks_max)),
            Refusal::NoMemory { stocks } => refused.with("stocks", json!(stocks)),
            Refusal::ReadOnly { cause }
            | Refusal::NotKept { cause }
            | Refusal::ClusterDown { cause } => refused.with("cause", *cause),
            Refusal::Uncertain => refused,
        }
    }
}

fn time(unix_ns: u64) -> String {
    String::from_utf8_lossy(&stockd_model::rfc3339::encode(unix_ns)).into_owned()
}
