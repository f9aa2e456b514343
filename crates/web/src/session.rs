//! Sessions of browsers: a token becomes a cookie that pages cannot read, and other sites cannot use; and what a page
//! asks of it: which user it serves, and what that user may do.
//!
//! The server keeps nothing: the cookie is the token, and ends with it. Invariant: it is sent back over the
//! connection alone that it came by (`HttpOnly`, `SameSite=Strict`, and `Secure` over TLS).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use stockd_model::{Right, Symbol};

use crate::caller::{self, COOKIE_NAME, Caller};
use crate::connection::ConnectionInfo;
use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::schema;

/// Who the client is, and what it may do.
///
/// With `symbol` the rights are those with that stock.
#[utoipa::path(get, path = "/v1/session", tag = "operation",
    params(("symbol" = Option<String>, Query, nullable = false, min_length = 1, max_length = 48, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$", description = "the name of a stock")),
    responses((status = 200, description = "`open`: everybody may do everything; `known`: the client is served; `user`; `rights`", body = Object),
        (status = 400, description = "the name cannot be a symbol", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "the token is none", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    query: Query,
) -> Result<Response, Refused> {
    let query = query.only(&["symbol"])?;
    let symbol = query.one("symbol")?.map(|name| Symbol::parse(name.as_bytes())).transpose()?;
    let may = |right: &Right| match &symbol {
        Some(symbol) => caller.access().may(*right, symbol),
        None => caller.access().has(*right),
    };
    let is_known = caller.identity.is_known();
    let rights = Right::ALL.into_iter().filter(|right| is_known && may(right));
    let mut session = json!({
        "open": plane.observer.authority().is_open(),
        "known": is_known,
        "rights": rights.map(Right::as_str).collect::<Vec<_>>(),
    });
    if let Some(user) = caller.identity.user() {
        session["user"] = user.into();
    }
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((headers, session.to_string()).into_response())
}

/// Begins a session: the token of `Authorization` becomes a cookie.
#[utoipa::path(post, path = "/v1/session", tag = "operation",
    responses((status = 204, description = "the cookie is set"),
        (status = 401, description = "no token is shown, or it is none", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(plane): State<Arc<Plane>>,
    info: Option<Extension<Arc<ConnectionInfo>>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let info = info.map(|Extension(info)| info);
    // A wrong token was refused before.
    let shown = caller::shown(&headers)?.filter(|_| !plane.observer.authority().is_open());
    let shown = shown.ok_or_else(caller::token_missing)?;
    let is_tls = info.is_some_and(|info| info.is_encrypted);
    Ok(answer(&shown.token, "", is_tls))
}

/// Ends a session: the cookie is taken away.
#[utoipa::path(delete, path = "/v1/session", tag = "operation",
    responses((status = 204, description = "there is no cookie any more")))]
pub(crate) async fn end() -> Response {
    answer("", "; Max-Age=0", false)
}

fn answer(token: &str, more: &str, is_tls: bool) -> Response {
    let secure = if is_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}
