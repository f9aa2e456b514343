//! What stands in the path of a request where its route has a name for it, decoded.
//!
//! It knows no routes. Invariant: a path that cannot be decoded is refused as everything else is, as a problem or in the
//! shape of a facade.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;
use stockd_model::Problem;

use crate::refused::Refused;

/// The segments that a route names: a text, or a tuple of texts.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segments<T>, Refused> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Segments(segments)),
            Err(_) => {
                let detail = "the path is no UTF-8 where its bytes are written with %; encode names as UTF-8";
                Err(Refused::new(Problem::InvalidRequest, detail))
            }
        }
    }
}
