//! Who makes a request, and what it may do: the one place where that is decided.
//!
//! A client shows a token, in the header `Authorization` (`Bearer TOKEN`, or `Basic` with the user and the token
//! as its password), in the headers that clients of Alpaca send, or in the cookie of a [session](crate::session); or
//! its certificate; or nothing. It knows no routes but those that anybody may ask.
//!
//! Invariant: every request of every protocol has a [`Caller`] before a handler sees it, and the engine is used
//! with its access alone. No token is written anywhere.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::FromRequestParts;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use stockd_access::Identity;
use stockd_engine::Access;
use stockd_model::limits::FAILED_ATTEMPT_WAIT;
use stockd_model::{Problem, Right};

use crate::connection::ConnectionInfo;
use crate::facade::{Facade, Facades};
use crate::plane::Plane;
use crate::refused::Refused;

/// The cookie of a session.
pub(crate) const COOKIE_NAME: &str = "stockd_session";

/// What anybody may ask: whether the server is there, and how it is used.
const OPEN_PATHS: &[&str] =
    &["/", "/docs", "/openapi.json", "/asyncapi.json", "/problems", SESSION_PATH];
const OPEN_PREFIXES: &[&str] =
    &["/dashboard/", "/health/", "/problems/", "/grpc.health.v1.Health/"];

/// Where a browser finds out that its cookie is none any more, and gets rid of it.
const SESSION_PATH: &str = "/v1/session";

/// Who makes a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
}

/// A token as it was shown, and the user that it is said to belong to.
pub(crate) struct Shown {
    user: Option<String>,
    pub(crate) token: String,
    /// Browsers show it with every request, whether it is right still or not.
    is_cookie: bool,
}

impl Caller {
    /// The one that was noted with a request.
    pub(crate) fn of(extensions: &Extensions) -> Caller {
        extensions.get().cloned().unwrap_or_default()
    }

    /// What it may do.
    pub(crate) fn access(&self) -> &Access {
        self.identity.access()
    }

    /// Checks a right that concerns no stock.
    pub(crate) fn check(&self, right: Right) -> Result<(), Refused> {
        if self.access().has(right) {
            return Ok(());
        }
        let detail = format!("the access file does not give the right {right}");
        Err(Refused::new(Problem::NotPermitted, detail).with("right", right.as_str()))
    }
}

/// Who makes this request.
///
/// # Errors
///
/// [`Problem::Unauthenticated`] when a token is shown that is none, after a while where too many came from
/// there; or when nothing is shown and the path is not for everybody.
pub(crate) async fn caller_of(plane: &Plane, parts: &Parts) -> Result<Caller, Refused> {
    let info = parts.extensions.get::<Arc<ConnectionInfo>>();
    match look(plane, info.map(Arc::as_ref), parts.uri.path(), &parts.headers)? {
        Seen::Caller(caller) => Ok(caller),
        Seen::Nothing => {
            plane.counts.unauthenticated.fetch_add(1, Ordering::Relaxed);
            Err(token_missing())
        }
        Seen::WrongToken { without } => {
            let refused = refuse_token(plane, info).await;
            without.ok_or(refused)
        }
    }
}

/// Who makes a request of this connection; `None` where it is to be refused.
pub(crate) fn accepted(
    plane: &Plane,
    info: &ConnectionInfo,
    path: &str,
    headers: &HeaderMap,
) -> Option<Caller> {
    match look(plane, Some(info), path, headers) {
        Ok(Seen::Caller(caller)) => Some(caller),
        _ => None,
    }
}

/// What a request shows of who makes it.
enum Seen {
    Caller(Caller),
    /// Nothing, where something has to be shown.
    Nothing,
    /// A token that does not count, and the caller without it, where such a token does no harm.
    WrongToken {
        without: Option<Caller>,
    },
}

fn look(
    plane: &Plane,
    info: Option<&ConnectionInfo>,
    path: &str,
    headers: &HeaderMap,
) -> Result<Seen, Refused> {
    let authority = plane.observer.authority();
    if authority.is_open() {
        return Ok(Seen::Caller(Caller::default()));
    }
    let before = info.map_or_else(|| authority.anonymous(), |info| info.identity(authority));
    let is_public =
        OPEN_PATHS.contains(&path) || OPEN_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    // With a cookie that is none any more the page that replaces it is to be had.
    let is_needless = |it: &Shown| it.is_cookie && is_public && path != SESSION_PATH;
    let identity = match shown(headers)?.filter(|it| !is_needless(it)) {
        None => before,
        Some(Shown { user, token, is_cookie }) => {
            match authority.show_token(&before, user.as_deref(), token.as_bytes()) {
                Some(identity) => identity,
                None => {
                    let is_harmless = is_cookie && path == SESSION_PATH;
                    let without = is_harmless.then_some(Caller { identity: before });
                    return Ok(Seen::WrongToken { without });
                }
            }
        }
    };
    if identity.is_known() || is_public || is_websocket(headers, path, plane.facades) {
        Ok(Seen::Caller(Caller { identity }))
    } else {
        Ok(Seen::Nothing)
    }
}

/// Nothing was shown where something has to be.
pub(crate) fn token_missing() -> Refused {
    Refused::new(Problem::Unauthenticated, "show a token: Authorization: Bearer stk_…")
}

/// A wrong token was shown. Where too many were from this address, that is said late.
pub(crate) async fn refuse_token(plane: &Plane, info: Option<&Arc<ConnectionInfo>>) -> Refused {
    plane.counts.wrong_tokens.fetch_add(1, Ordering::Relaxed);
    let address = info.and_then(|info| info.peer.tcp()).map(|peer| peer.ip());
    let waits = plane.observer.note_failed_attempt(address);
    tracing::info!(peer = ?info.map(|info| info.peer.to_string()), "a wrong token was shown");
    if waits {
        tokio::time::sleep(FAILED_ATTEMPT_WAIT).await;
    }
    Refused::new(
        Problem::Unauthenticated,
        "the token is none of the access file, or another user's",
    )
}

/// The token that a request shows.
pub(crate) fn shown(headers: &HeaderMap) -> Result<Option<Shown>, Refused> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        let cookie = || cookie(headers).map(|token| Shown { user: None, token, is_cookie: true });
        return Ok(alpaca_key(headers).or_else(cookie));
    };
    let unusable = || {
        let detail = "Authorization is Bearer and a token, or Basic with the token as its password";
        Refused::new(Problem::Unauthenticated, detail)
    };
    let value = value.to_str().map_err(|_| unusable())?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(unusable)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Shown { user: None, token: rest.trim().to_owned(), is_cookie: false }));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unusable());
    }
    let decoded = BASE64.decode(rest.trim().as_bytes()).map_err(|_| unusable())?;
    let decoded = String::from_utf8(decoded).map_err(|_| unusable())?;
    let (user, token) = decoded.split_once(':').ok_or_else(unusable)?;
    let user = (!user.is_empty()).then(|| user.to_owned());
    Ok(Some(Shown { user, token: token.to_owned(), is_cookie: false }))
}

/// What clients of Alpaca show: the key is the user, its secret the token.
fn alpaca_key(headers: &HeaderMap) -> Option<Shown> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim().to_owned());
    let token = text("apca-api-secret-key")?;
    let user = text("apca-api-key-id").filter(|user| !user.is_empty());
    Some(Shown { user, token, is_cookie: false })
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|it| it.split_once('='));
    let (_, token) = pairs.find(|(name, _)| name.trim() == COOKIE_NAME)?;
    Some(token.trim().to_owned())
}

/// Browsers cannot show a token with the request for a WebSocket, and clients of Alpaca do not: it is shown over it.
fn is_websocket(headers: &HeaderMap, path: &str, facades: Facades) -> bool {
    let upgrade = headers.get(http::header::UPGRADE);
    upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && (path == "/v1/stream" || facades.of(path) == Some(Facade::Alpaca))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Infallible> {
        Ok(Caller::of(&parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_in_four_ways() {
        let find = |name: http::HeaderName, value: &str| {
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            shown(&headers).map(|it| it.map(|it| (it.user, it.token))).map_err(|it| it.problem)
        };
        let token = |user: Option<&str>| Ok(Some((user.map(str::to_owned), "stk_x".to_owned())));
        assert_eq!(find(AUTHORIZATION, "Bearer stk_x"), token(None));
        assert_eq!(find(AUTHORIZATION, "bearer  stk_x"), token(None));
        // feed:stk_x and :stk_x
        assert_eq!(find(AUTHORIZATION, "Basic ZmVlZDpzdGtfeA=="), token(Some("feed")));
        assert_eq!(find(AUTHORIZATION, "Basic OnN0a194"), token(None));
        assert_eq!(find(COOKIE, "a=b; stockd_session=stk_x; c=d"), token(None));
        let secret = http::HeaderName::from_static("apca-api-secret-key");
        assert_eq!(find(secret, "stk_x"), token(None));
        assert_eq!(find(COOKIE, "xstockd_session=stk_x"), Ok(None));
        for wrong in ["stk_x", "Digest x", "Basic ===", "Basic ZmVlZA==", "Bearer"] {
            assert_eq!(find(AUTHORIZATION, wrong), Err(Problem::Unauthenticated), "{wrong}");
        }
    }
}
