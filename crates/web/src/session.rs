//! Sessions of browsers: a token becomes a cookie that pages cannot read, and other sites cannot use.
//!
//! The server keeps nothing: the cookie is the token, and ends with it. Invariant: it is sent back over the
//! connection alone that it came by (`HttpOnly`, `SameSite=Strict`, and `Secure` over TLS).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use crate::caller::{self, COOKIE_NAME};
use crate::connection::ConnectionInfo;
use crate::plane::Plane;
use crate::refused::Refused;
use crate::schema;

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
