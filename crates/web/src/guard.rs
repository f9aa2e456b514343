//! What every request passes before a handler sees it: its host and origin, its length, how many there are,
//! and the time for its body.
//!
//! **Browsers.** A page of another site can send requests to a server on the same machine, also under a name of
//! its own that it has made point here (DNS rebinding). So a request is answered only for a host that this
//! server is known as, and one that names the page it comes from only if that page is of such a host, or of an
//! [origin](crate::cors) that is let in.
//!
//! Invariant: what is refused here has not reached the engine, and every request that is answered has passed here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Uri};
use stockd_model::Problem;
use stockd_model::limits::{HTTP_REQUESTS_MAX, HTTP_URI_BYTES_MAX};
use tokio::time::Instant;

use crate::arrival::answer_within;
use crate::caller::caller_of;
use crate::connection::ConnectionInfo;
use crate::cors;
use crate::facade::reshape;
use crate::plane::Plane;
use crate::refused::Refused;
use crate::trace::Trace;

/// Lets a request through, or answers it.
pub(crate) async fn guard(
    State(plane): State<Arc<Plane>>,
    request: Request,
    next: Next,
) -> Response {
    let passage = Passage::begin(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let facade = plane.facades.of(request.uri().path());
    let local = request.extensions().get::<Arc<ConnectionInfo>>().and_then(|it| it.local);
    let mut response = match check(&plane, local, &request) {
        Err(refused) => {
            if matches!(refused.problem, Problem::ForeignHost | Problem::ForeignOrigin) {
                plane.counts.foreign.fetch_add(1, Ordering::Relaxed);
            }
            refuse(request.headers(), refused)
        }
        Ok(()) => answer(&plane, request, next).await,
    };
    passage.end(&plane, route.as_ref().map_or("", MatchedPath::as_str), &mut response);
    if let Some(facade) = facade {
        reshape(facade, &mut response);
    }
    response
}

/// A request on its way to its response, which is counted and logged when that begins.
#[derive(Debug)]
pub(crate) struct Passage {
    began: Instant,
    pub(crate) is_grpc: bool,
    trace: Trace,
}

impl Passage {
    pub(crate) fn begin<B>(request: &http::Request<B>) -> Passage {
        let is_grpc = is_grpc(request.headers());
        Passage { began: Instant::now(), is_grpc, trace: Trace::begin(request) }
    }

    /// The response to a request of this route begins.
    pub(crate) fn end<B>(self, plane: &Plane, route: &str, response: &mut http::Response<B>) {
        // No browser guesses what a response is.
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let counts = &plane.counts;
        let class = usize::from(response.status().as_u16() / 100).saturating_sub(1);
        if let Some(count) = counts.by_class.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if self.is_grpc {
            counts.grpc.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(refused) = response.extensions().get::<Refused>() {
            counts.problems.note(refused.problem);
        }
        let took = self.began.elapsed();
        plane.latencies.note(self.is_grpc, route, took);
        self.trace.end(response.status(), took);
    }
}

async fn answer(plane: &Arc<Plane>, request: Request, next: Next) -> Response {
    let Ok(_permit) = plane.requests.try_acquire() else {
        plane.counts.busy.fetch_add(1, Ordering::Relaxed);
        let detail = format!("{HTTP_REQUESTS_MAX} requests are being answered, the limit");
        return refuse(request.headers(), Refused::new(Problem::Busy, detail));
    };
    let (mut parts, body) = request.into_parts();
    match caller_of(plane, &parts).await {
        Ok(caller) => _ = parts.extensions.insert(caller),
        Err(refused) => return refuse(&parts.headers, refused),
    }
    let is_grpc = is_grpc(&parts.headers);
    let time = plane.config.patience.body;
    let answered = answer_within(time, Request::from_parts(parts, body), next).await;
    answered.unwrap_or_else(|| {
        plane.counts.too_slow.fetch_add(1, Ordering::Relaxed);
        let detail = format!("the request has not come whole in {} s", time.as_secs());
        refuse_as(is_grpc, Refused::new(Problem::TooSlow, detail))
    })
}

/// The answer to a request that is refused, in its own protocol.
pub(crate) fn refuse(headers: &HeaderMap, refused: Refused) -> Response {
    refuse_as(is_grpc(headers), refused)
}

fn refuse_as(is_grpc: bool, refused: Refused) -> Response {
    match is_grpc {
        true => tonic::Status::from(refused).into_http(),
        false => refused.into_response(),
    }
}

/// That a request is not too long, and for a host that this server is known as, which the connection came to as `local`.
pub(crate) fn check<B>(
    plane: &Plane,
    local: Option<SocketAddr>,
    request: &http::Request<B>,
) -> Result<(), Refused> {
    let uri = request.uri();
    let bytes = uri.path_and_query().map_or(0, |it| it.as_str().len());
    if bytes > HTTP_URI_BYTES_MAX {
        let detail =
            format!("path and query have {bytes} bytes, the limit is {HTTP_URI_BYTES_MAX}");
        return Err(Refused::new(Problem::UriTooLong, detail));
    }
    let known = Known { plane, local: local.map(|local| local.ip()) };
    known.check_host(uri, request.headers())?;
    known.check_origin(request.headers())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// The hosts that this server is known as.
struct Known<'a> {
    plane: &'a Plane,
    /// The address that the connection came to.
    local: Option<IpAddr>,
}

impl Known<'_> {
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let named = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
        let named = match uri.authority() {
            Some(authority) => Some(authority.as_str().into()),
            None => named,
        };
        match named {
            // No browser leaves it out.
            None => Ok(()),
            Some(named) if self.is_known(host_of(&named)) => Ok(()),
            Some(named) => {
                let named = stockd_model::escaped(named.as_bytes()).to_string();
                let detail = format!(
                    "this server is not known as '{named}'; add the name to allowed_hosts if it is"
                );
                Err(Refused::new(Problem::ForeignHost, detail).with("host", named))
            }
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        for origin in headers.get_all(ORIGIN) {
            let origin = String::from_utf8_lossy(origin.as_bytes());
            let host = origin.split_once("://").map(|(_, host)| host_of(host));
            if cors::allows(&self.plane.config.cors_origins, &origin) {
                continue;
            }
            if !host.is_some_and(|host| self.is_known(host)) {
                let origin = stockd_model::escaped(origin.as_bytes()).to_string();
                let detail = format!(
                    "a page of '{origin}' has made the request; add its host to allowed_hosts if it is yours"
                );
                return Err(Refused::new(Problem::ForeignOrigin, detail).with("origin", origin));
            }
        }
        Ok(())
    }

    fn is_known(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        let is_own = |ip: IpAddr| {
            let ip = ip.to_canonical();
            ip.is_loopback() || self.local.is_some_and(|local| local.to_canonical() == ip)
        };
        let mut allowed = self.plane.config.allowed_hosts.iter();
        host.eq_ignore_ascii_case("localhost")
            || literal.parse().is_ok_and(is_own)
            || allowed.any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host))
    }
}

/// A host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_host_is_what_stands_before_its_port() {
        for (authority, host) in [
            ("localhost:7880", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:7880", "[::1]"),
            ("[::1]", "[::1]"),
            ("evil.example:7880", "evil.example"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }
}
