//! gRPC: the service `stockd.v1.Stocks`, health, reflection, and gRPC-Web for pages.
//!
//! It owns which services there are. Invariant: a refusal has the code and the reason of the table of problems.

mod convert;
mod health;
mod proto;
mod stocks;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use stockd_model::limits::HTTP_BODY_BYTES_MAX;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_types::{ErrorDetails, StatusExt};
use tonic_web::GrpcWebLayer;

use crate::plane::Plane;
use crate::refused::Refused;
use crate::unsent;
use stocks::Stocks;

/// The descriptors of all services, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stockd.bin"));

/// The domain of the reasons of refusals.
const DOMAIN: &str = "stockd";

/// All services.
pub(crate) fn routes(plane: &Arc<Plane>) -> Router {
    let stocks = proto::stocks_server::StocksServer::new(Stocks::new(plane))
        .max_decoding_message_size(HTTP_BODY_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let health = HealthServer::new(health::Health::new(plane));
    let mut routes = Routes::new(stocks).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors are made at build time; a test asks for them.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!("no reflection: {error}"),
    }
    let router = routes.into_axum_router().reset_fallback().layer(GrpcWebLayer::new());
    router.layer(map_response(unsent::count))
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        let Refused { problem, detail, members, .. } = refused;
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let metadata = members.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
        let details = ErrorDetails::with_error_info(
            problem.reason(),
            DOMAIN,
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        let code = tonic::Code::from_i32(problem.grpc_code() as i32);
        Status::with_error_details(code, detail, details)
    }
}
