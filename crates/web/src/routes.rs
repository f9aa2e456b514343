//! What is answered where: the routes of HTTP, what all of them pass, and those of gRPC beside them.
//!
//! Invariant: a route that the description has is here, and the other way round, since both are one declaration.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{Extensions, HeaderMap, StatusCode, Version};
use stockd_model::Problem;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, NotForContentType, Predicate, SizeAbove};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::guard::{guard, refuse};
use crate::openapi::{self, Description};
use crate::plane::Plane;
use crate::refused::Refused;
use crate::streams::Streams;
use crate::{alpaca, asyncapi, cors, cs677, grpc};
use crate::{
    dashboard, health, metrics, quotes, responses, session, snapshot, state, streams, writes,
};

/// Bytes from which a response is compressed for a client that takes it so.
const COMPRESSED_BYTES_MIN: u16 = 1024;

/// HTTP, with gRPC beside it.
pub(crate) fn http(plane: &Arc<Plane>) -> Router {
    let (router, api) = described();
    let router = router
        .merge(openapi::routes(&api))
        .merge(dashboard::routes())
        .merge(asyncapi::routes())
        .merge(facades(plane));
    #[cfg(test)]
    let router = router.merge(crate::echo::routes());
    let router = router
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(plane))
        .merge(grpc::routes(plane))
        .layer(CompressionLayer::new().gzip(true).compress_when(is_compressed()));
    guarded(router, plane)
}

/// gRPC alone.
pub(crate) fn grpc_alone(plane: &Arc<Plane>) -> Router {
    guarded(grpc::routes(plane).fallback(no_route), plane)
}

/// The routes that are described, and their description.
pub(crate) fn described() -> (Router<Arc<Plane>>, utoipa::openapi::OpenApi) {
    let (router, mut api) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(quotes::one, writes::put, writes::patch, writes::delete))
        .routes(routes!(writes::trade))
        .routes(routes!(quotes::one_by_query))
        .routes(routes!(quotes::several))
        .routes(routes!(quotes::many))
        .routes(routes!(snapshot::snapshot))
        .routes(routes!(writes::updates))
        .routes(routes!(streams::stream, streams::stream_of_many))
        .routes(routes!(session::state, session::begin, session::end))
        .routes(routes!(state::server))
        .routes(routes!(state::clients))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .split_for_parts();
    responses::complete(&mut api);
    (router, api)
}

/// The routes of other services, those that are on.
fn facades(plane: &Plane) -> Router<Arc<Plane>> {
    let router = Router::new();
    let router = if plane.facades.alpaca { router.merge(alpaca::routes()) } else { router };
    if plane.facades.cs677 { router.merge(cs677::routes()) } else { router }
}

fn guarded(router: Router, plane: &Arc<Plane>) -> Router {
    // One layer for all that every request passes: each costs two allocations.
    let router = router.layer(from_fn_with_state(Arc::clone(plane), guard));
    match cors::layer(&plane.config.cors_origins) {
        // Outside of all: refusals are to be read, too, and what a browser asks first shows no token.
        Some(layer) => router.layer(layer),
        None => router,
    }
}

/// Never a stream: it is to be sent as it comes.
fn is_compressed() -> impl Predicate {
    fn streams_not(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
        extensions.get::<Streams>().is_none()
    }
    let is_large = SizeAbove::new(COMPRESSED_BYTES_MIN.into());
    let predicate: And<_, _> = is_large.and(NotForContentType::GRPC);
    predicate.and(streams_not)
}

async fn no_route(request: Request) -> Response {
    let path = stockd_model::escaped(request.uri().path().as_bytes()).at_most(100).to_string();
    let detail = format!("there is nothing at '{path}'; /docs lists what there is");
    refuse(request.headers(), Refused::new(Problem::NoRoute, detail))
}

async fn wrong_method(request: Request) -> Response {
    // The header of the methods that there are is added beneath.
    let allow = request.headers().get(ALLOW).cloned();
    Refused::method(request.method(), allow).into_response()
}
