//! Who makes a request, and what it may see: the one place where that is decided.
//!
//! It knows no routes. Invariant: every request of every protocol has a [`Caller`] before a handler sees it,
//! and the engine is used with its access alone.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use stockd_engine::Access;

/// Who makes a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) access: Arc<Access>,
}

/// The access of this request. Today everybody may do everything.
pub(crate) fn access_of(_request: &Parts) -> Caller {
    Caller { access: Arc::new(Access::All) }
}

impl Caller {
    /// The one that was noted with a request.
    pub(crate) fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        Ok(Caller::of(&parts.extensions))
    }
}
