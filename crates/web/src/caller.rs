//! Who makes a request, and what it may do: the one place where that is decided.
//!
//! A client shows a certificate, or a token as `Authorization: Bearer`, or as the password of `Basic`; never in an address. Where there is no
//! access file everybody may do everything. It knows no routes.
//!
//! Invariant: every request of every protocol has a [`Caller`] before a handler sees it, and the engine is used with
//! its access alone.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Extensions;
use http::header::AUTHORIZATION;
use http::request::Parts;
use stockd_access::{Access, Identity};
use stockd_model::limits::FAILED_ATTEMPT_WAIT;
use stockd_model::{Problem, Right};

use crate::connection::ConnectionInfo;
use crate::plane::Plane;
use crate::refused::Refused;

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
}

/// Who makes this request. One with a wrong token is refused, after a time if its address has shown too many.
pub(crate) async fn caller_of(plane: &Plane, parts: &Parts) -> Result<Caller, Refused> {
    let authority = plane.observer.authority();
    if authority.is_open() {
        return Ok(Caller { identity: Identity::default() });
    }
    let info = parts.extensions.get::<Arc<ConnectionInfo>>();
    let names = info.map(|info| info.names.as_slice()).unwrap_or_default();
    let before = match names {
        [] => authority.anonymous(),
        names => authority.by_certificate(names.iter().cloned()),
    };
    let Some(shown) = parts.headers.get(AUTHORIZATION) else {
        return Ok(Caller { identity: before });
    };
    let credentials = credentials(&String::from_utf8_lossy(shown.as_bytes()));
    let identity = credentials
        .and_then(|(user, token)| authority.show_token(&before, user.as_deref(), token.as_bytes()));
    match identity {
        Some(identity) => Ok(Caller { identity }),
        None => Err(wrong_token(plane, parts).await),
    }
}

/// The user, if one is named, and the token.
fn credentials(header: &str) -> Option<(Option<String>, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, token) = text.split_once(':')?;
    Some((Some(user.to_owned()).filter(|user| !user.is_empty()), token.to_owned()))
}

async fn wrong_token(plane: &Plane, parts: &Parts) -> Refused {
    let info = parts.extensions.get::<Arc<ConnectionInfo>>();
    let address = info.and_then(|info| info.peer.tcp()).map(|peer| peer.ip());
    if let Some(info) = info {
        tracing::warn!("{} has shown a wrong token over HTTP", info.peer);
    }
    if plane.observer.note_failed_attempt(address, Instant::now()) {
        tokio::time::sleep(FAILED_ATTEMPT_WAIT).await;
    }
    Refused::new(Problem::WrongToken, "the token is none that the server knows")
}

impl Caller {
    /// What it may do.
    pub(crate) fn access(&self) -> &Access {
        self.identity.access()
    }

    /// That it may do something that concerns no stock.
    pub(crate) fn check(&self, right: Right) -> Result<(), Refused> {
        if self.access().has(right) {
            return Ok(());
        }
        self.check_known()?;
        let detail = format!("this takes the right '{right}'");
        Err(Refused::new(Problem::NotPermitted, detail).with("right", right.as_str()))
    }

    /// That there is a user for it.
    pub(crate) fn check_known(&self) -> Result<(), Refused> {
        if self.identity.is_known() {
            return Ok(());
        }
        let detail = "no token was shown, and the access file has no user 'anonymous'";
        Err(Refused::new(Problem::NotAuthenticated, detail))
    }

    /// The one that was noted with a request; one without any right where none was.
    pub(crate) fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or_else(|| {
            debug_assert!(false, "the guard notes who it is");
            Caller { identity: stockd_access::Authority::new(Default::default()).anonymous() }
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        Ok(Caller::of(&parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use super::credentials;

    #[test]
    fn a_token_comes_as_bearer_or_as_a_password() {
        let user = |user: &str, token: &str| Some((Some(user.to_owned()), token.to_owned()));
        assert_eq!(credentials("Bearer stk_x"), Some((None, "stk_x".to_owned())));
        assert_eq!(credentials("bearer  stk_x "), Some((None, "stk_x".to_owned())));
        assert_eq!(credentials("Basic ZmVlZDpzdGtfeA=="), user("feed", "stk_x"));
        assert_eq!(credentials("Basic OnN0a194"), Some((None, "stk_x".to_owned())));
        for wrong in ["", "Bearer", "stk_x", "Digest x", "Basic ???", "Basic ZmVlZA=="] {
            assert_eq!(credentials(wrong), None, "{wrong}");
        }
    }
}
