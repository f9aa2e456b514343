//! Which pages of other sites may use the server and read its answers (CORS).
//!
//! It knows origins and no routes: what is let in is let in to every route. Invariant: unless origins are set no response
//! has a header of CORS.

use http::{HeaderName, HeaderValue};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

/// Headers of responses that pages may read, beside those that they always may.
const EXPOSED: [HeaderName; 7] = [
    http::header::ETAG,
    http::header::RETRY_AFTER,
    http::header::ALLOW,
    http::header::WWW_AUTHENTICATE,
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// Any origin.
const ANY: &str = "*";

/// Whether pages of this origin are let in.
pub(crate) fn allows(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|it| it == ANY || it.eq_ignore_ascii_case(origin))
}

/// What adds the headers; none unless origins are set. Cookies of a session are never sent across sites, so no
/// credentials are allowed: a page shows a token.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = origins.to_vec();
    let is_allowed = move |origin: &HeaderValue, _: &http::request::Parts| {
        origin.to_str().is_ok_and(|origin| allows(&allowed, origin))
    };
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED);
    Some(layer)
}
