//! Lookups of one stock by its path, answered without the routes. Most requests of most clients are such lookups, and
//! the layers and boxes that a request passes on its way to a handler cost several times what its answer does.
//!
//! It owns which requests these are: those whose answer depends on nothing but their stock, their caller, `Accept` and
//! `If-None-Match`. What they pass is the guard's, and the answer is that of the route.
//!
//! Invariant: what is answered here is what the routes would have answered; a request that is not plain is left to them.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{Either, Full};
use stockd_model::limits::SYMBOL_BYTES_MAX;

use crate::caller;
use crate::connection::ConnectionInfo;
use crate::guard::{Passage, check};
use crate::plane::Plane;
use crate::quotes;

/// The body of a response: bytes that are there already, or what a route makes.
pub(crate) type Content = Either<Full<Bytes>, Body>;

/// The route that would answer otherwise.
const ROUTE: &str = "/v1/stocks/{symbol}";
const PREFIX: &str = "/v1/stocks/";

/// Answers a plain lookup; `None` where the routes are to answer.
pub(crate) fn answer<B>(
    plane: &Plane,
    info: &ConnectionInfo,
    request: &Request<B>,
) -> Option<Response<Content>> {
    let (name, headers) = (name_of(request)?, request.headers());
    let passage = Passage::begin(request);
    if passage.is_grpc || !passes_no_layer(plane, headers) {
        return None;
    }
    check(plane, info.local, request).ok()?;
    let caller = caller::accepted(plane, info, request.uri().path(), headers)?;
    let mut response = match quotes::answer_one(plane, &caller, name, headers) {
        Ok(response) => response.map(|bytes| Either::Left(Full::new(bytes))),
        Err(refused) => refused.into_response().map(Either::Right),
    };
    passage.end(plane, ROUTE, &mut response);
    Some(response)
}

/// The name in the path of a lookup, where it is written as it is.
fn name_of<B>(request: &Request<B>) -> Option<&str> {
    let uri = request.uri();
    if request.method() != Method::GET || uri.query().is_some() {
        return None;
    }
    let name = uri.path().strip_prefix(PREFIX)?;
    let is_plain = (1..=SYMBOL_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'%');
    is_plain.then_some(name)
}

/// Whether the layers around the routes would leave the request and its response, which is short, as they are.
fn passes_no_layer(plane: &Plane, headers: &HeaderMap) -> bool {
    // A client that weighs encodings may accept none.
    let is_weighed = |value: &http::HeaderValue| value.as_bytes().contains(&b';');
    plane.config.cors_origins.is_empty()
        && plane.requests.available_permits() > 0
        && !headers.get_all(ACCEPT_ENCODING).iter().any(is_weighed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use http_body_util::BodyExt;
    use stockd_access::{AccessFile, Authority, Identity, Token};
    use stockd_engine::{Access, Engine};
    use stockd_model::Fields;
    use tokio::runtime::Runtime;
    use tokio::sync::Semaphore;
    use tower::ServiceExt;

    use super::*;
    use crate::config::Config;
    use crate::routes;

    /// A plane, and both ways to its answers.
    struct Ways {
        plane: Arc<Plane>,
        router: Router,
        info: Arc<ConnectionInfo>,
        runtime: Runtime,
        _data_plane: stockd_server::Server,
    }

    /// What a client is told: status, headers, body.
    type Told = (u16, Vec<(String, String)>, String);

    impl Ways {
        fn new(config: Config, authority: Authority) -> Ways {
            let engine = Arc::<Engine>::default();
            for (symbol, price) in [("AAPL", "172.50"), ("BRK.A", "1")] {
                let fields = Fields { price: price.parse().unwrap(), ..Fields::default() };
                let set = stockd_model::Request::Set(symbol.parse().unwrap(), fields);
                engine.executor().batch(&Access::All).execute(&set);
            }
            let authority = Arc::new(authority);
            let server = stockd_server::Config { authority, ..Default::default() };
            let data_plane = stockd_server::Server::start(server, Arc::clone(&engine)).unwrap();
            let plane = Plane::new(config, engine, data_plane.observer());
            let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let peer = "127.0.0.1:1".parse().unwrap();
            let identity: Identity = plane.observer.authority().anonymous();
            let info = ConnectionInfo::new(peer, None, identity, false, permit);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            Ways { router: routes::http(&plane), plane, info, runtime, _data_plane: data_plane }
        }

        fn direct(&self, request: &Request<()>) -> Option<Told> {
            let response = answer(&self.plane, &self.info, request)?;
            Some(self.runtime.block_on(told(response)))
        }

        fn routed(&self, request: &Request<()>) -> Told {
            let mut request = request.clone().map(|()| Body::empty());
            request.extensions_mut().insert(Arc::clone(&self.info));
            self.runtime
                .block_on(async { told(self.router.clone().oneshot(request).await.unwrap()).await })
        }

        fn lookups(&self) -> u64 {
            self.plane.engine().totals().lookups()
        }
    }

    async fn told<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> Told {
        let (head, body) = response.into_parts();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let mut headers: Vec<_> = head.headers.iter().map(header).collect();
        // Added beneath, from the length of the body, where it is not there already.
        headers.retain(|(name, _)| name != "content-length");
        headers.sort();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn get(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::get(path);
        let with = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        headers.iter().fold(request, with).body(()).unwrap()
    }

    #[test]
    fn a_plain_lookup_is_answered_as_its_route_does() {
        let ways = Ways::new(Config::default(), Authority::default());
        let tag = ways.routed(&get("/v1/stocks/AAPL", &[])).1;
        let (_, tag) = tag.into_iter().find(|(name, _)| name == "etag").unwrap();
        let headers: &[&[(&str, &str)]] = &[
            &[],
            &[("host", "localhost:7880"), ("user-agent", "test"), ("accept", "*/*")],
            &[("accept", "text/plain"), ("accept-encoding", "gzip, deflate, br")],
            &[("accept", "text/html, */*;q=0.1"), ("origin", "http://localhost")],
            &[("accept", "image/png")],
            &[("if-none-match", &tag)],
            &[("if-none-match", "*"), ("accept", "text/plain")],
            &[("if-none-match", "\"other\", W/\"0.1\"")],
            &[("if-none-match", "not an etag")],
        ];
        for path in ["/v1/stocks/AAPL", "/v1/stocks/BRK.A", "/v1/stocks/NOPE", "/v1/stocks/:"] {
            for headers in headers {
                let request = get(path, headers);
                let before = ways.lookups();
                let direct = ways.direct(&request);
                let looked_up = ways.lookups() - before;
                assert_eq!(direct, Some(ways.routed(&request)), "{path} {headers:?}");
                assert_eq!(ways.lookups() - before, 2 * looked_up, "{path} {headers:?}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_routes() {
        let ways = Ways::new(Config::default(), Authority::default());
        for path in [
            "/v1/stocks",
            "/v1/stocks/",
            "/v1/stocks/BRK%2FA",
            "/v1/stocks/AAPL?",
            "/v1/stocks/AAPL?x=1",
            "/v1/stocks/AAPL/",
            "/v1/stocks/AAPL/trades",
            "/v1/stock?symbol=AAPL",
            "/stocks/AAPL",
            "/v1/stocks/0123456789012345678901234567890123456789012345678",
        ] {
            assert_eq!(ways.direct(&get(path, &[])), None, "{path}");
        }
        let headers = [
            ("host", "evil.example"),
            ("origin", "http://evil.example"),
            ("accept-encoding", "gzip;q=1, identity;q=0"),
            ("content-type", "application/grpc"),
        ];
        for header in headers {
            assert_eq!(ways.direct(&get("/v1/stocks/AAPL", &[header])), None, "{header:?}");
        }
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS"] {
            let request = Request::builder().method(method).uri("/v1/stocks/AAPL").body(());
            assert_eq!(ways.direct(&request.unwrap()), None, "{method}");
        }
        let busy = ways.plane.requests.available_permits() as u32;
        let _all = ways.plane.requests.try_acquire_many(busy).unwrap();
        assert_eq!(ways.direct(&get("/v1/stocks/AAPL", &[])), None);
        let (status, headers, said) = ways.routed(&get("/v1/stocks/AAPL", &[]));
        assert!(status == 503 && said.contains("/problems/busy"), "{said}");
        assert!(headers.contains(&("retry-after".to_owned(), "1".to_owned())), "{headers:?}");
        let cors_origins = vec!["https://app.example".to_owned()];
        let ways = Ways::new(Config { cors_origins, ..Config::default() }, Authority::default());
        assert_eq!(ways.direct(&get("/v1/stocks/AAPL", &[])), None);
    }

    #[test]
    fn rights_are_those_of_the_route() {
        let token = Token::new([7; 32]);
        let file = format!(
            "[[user]]\nname = \"desk\"\ntokens = [\"{}\"]\nread = [\"AAPL\"]\n",
            token.hash()
        );
        let authority = Authority::new(AccessFile::parse(&file).unwrap());
        let ways = Ways::new(Config::default(), authority);
        let bearer = format!("Bearer {}", token.as_str());
        let cookie = format!("stockd_session={}", token.as_str());
        for (path, status) in [("AAPL", 200), ("BRK.A", 403), ("NOPE", 403)] {
            for shown in [("authorization", &*bearer), ("cookie", &*cookie)] {
                let request = get(&format!("/v1/stocks/{path}"), &[shown]);
                let direct = ways.direct(&request).unwrap();
                assert_eq!((direct.0, &direct), (status, &ways.routed(&request)), "{path}");
            }
        }
        for shown in [&[("authorization", "Bearer stk_wrong")][..], &[]] {
            let request = get("/v1/stocks/AAPL", shown);
            assert_eq!((ways.direct(&request), ways.routed(&request).0), (None, 401));
        }
    }
}
