//! Facades: routes in the shapes of other services, for clients that were written for those. Each has a setting.
//!
//! It owns which paths are whose, and how a refusal is said there. Invariant: a refusal on a path of a facade has the
//! shape of that service, whatever part of the server refuses.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::json;

use crate::config::Config;
use crate::refused::Refused;

/// A service that others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facade {
    /// The market data of Alpaca, version 2.
    Alpaca,
    /// The stocks and orders of the course CS677.
    Cs677,
}

/// Which facades there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facades {
    pub(crate) alpaca: bool,
    pub(crate) cs677: bool,
}

impl From<&Config> for Facades {
    fn from(config: &Config) -> Facades {
        Facades { alpaca: config.alpaca, cs677: config.cs677 }
    }
}

impl Facades {
    /// The one that a path belongs to.
    pub(crate) fn of(self, path: &str) -> Option<Facade> {
        let is_cs677 =
            path == "/orders" || path.starts_with("/orders/") || path.starts_with("/stocks/");
        if self.alpaca && path.starts_with("/v2/") {
            Some(Facade::Alpaca)
        } else if self.cs677 && is_cs677 {
            Some(Facade::Cs677)
        } else {
            None
        }
    }
}

/// Says a refusal on a path of a facade as that service does.
pub(crate) fn reshape(facade: Facade, response: &mut Response) {
    let Some(refused) = response.extensions_mut().remove::<Refused>() else { return };
    let status = refused.problem.status();
    let document = match facade {
        // Their codes are the status and four digits more.
        Facade::Alpaca => {
            json!({"code": u32::from(status) * 100_000 + 10_000, "message": refused.detail})
        }
        Facade::Cs677 => json!({"error": {"code": status, "message": refused.detail}}),
    };
    *response.body_mut() = Body::from(document.to_string());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}
