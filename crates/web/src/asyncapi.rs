//! The description of the streams, AsyncAPI 3.0: what is said over WebSocket and in Server-Sent Events.
//!
//! It is written by hand; tests compare it with what streams say. Invariant: every action and every message that there is
//! stands there.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::plane::Plane;

/// The document, but for the version of the server.
const DOCUMENT: &str = include_str!("asyncapi.json");

/// The route that answers with it.
pub(crate) fn routes() -> Router<Arc<Plane>> {
    let json = DOCUMENT.replace("\"0.0.0\"", concat!("\"", env!("CARGO_PKG_VERSION"), "\""));
    let answer = move || async move {
        ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], json)
    };
    Router::new().route("/asyncapi.json", get(answer))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::stream::hub::Counters;
    use crate::stream::teller::Notice;
    use crate::stream::text::encode_notice;

    #[test]
    fn every_notice_is_described_with_its_members() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let symbol = "AAPL".parse().ok();
        for notice in [
            Notice::Hello { epoch: 1, resumed: false },
            Notice::Synced,
            Notice::Heartbeat {
                counters: Counters::default(),
                staleness: Some(Duration::from_millis(120)),
            },
            Notice::Forbidden(symbol),
            Notice::Unauthenticated,
            Notice::Goodbye { retry: Duration::ZERO },
        ] {
            let mut json = Vec::new();
            let name = encode_notice(notice, true, &mut json);
            let said: Value = serde_json::from_slice(&json).unwrap();
            let schema = &document["components"]["messages"][name]["payload"]["properties"];
            for member in said.as_object().unwrap().keys() {
                assert!(schema.get(member).is_some(), "{name} has {member}");
            }
            assert_eq!(schema["type"]["const"], name);
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let at = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(at).is_some(), "{to}");
                    }
                    members.values().for_each(|it| check(document, it));
                }
                Value::Array(values) => values.iter().for_each(|it| check(document, it)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        check(&document, &document);
    }
}
