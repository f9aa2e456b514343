//! `grpc.health.v1.Health`: of the server as a whole, and of each service that it has.
//!
//! Invariant: what watches is told when the server stops, and its stream ends then.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use crate::plane::Plane;

/// The services that it knows.
const SERVICES: [&str; 3] = ["", "stockd.v1.Stocks", "grpc.health.v1.Health"];

/// The service.
#[derive(Debug)]
pub(super) struct Health {
    plane: Arc<Plane>,
}

/// What a watch says next.
enum Next {
    /// How it is now, whether the service is known or not.
    Now(bool),
    Stop(bool),
    End,
}

impl Health {
    pub(super) fn new(plane: &Arc<Plane>) -> Health {
        Health { plane: Arc::clone(plane) }
    }
}

fn status(plane: &Plane) -> ServingStatus {
    if plane.is_stopping() { ServingStatus::NotServing } else { ServingStatus::Serving }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match SERVICES.contains(&request.get_ref().service.as_str()) {
            true => Ok(Response::new(response(status(&self.plane)))),
            false => Err(Status::not_found("there is no such service")),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = SERVICES.contains(&request.get_ref().service.as_str());
        let plane = Arc::clone(&self.plane);
        let stream = unfold(Next::Now(is_known), move |next| {
            let plane = Arc::clone(&plane);
            async move {
                match next {
                    Next::Now(true) => Some((Ok(response(status(&plane))), Next::Stop(true))),
                    Next::Now(false) => {
                        Some((Ok(response(ServingStatus::ServiceUnknown)), Next::Stop(false)))
                    }
                    Next::Stop(is_known) => {
                        plane.stopped().await;
                        let status = match is_known {
                            true => ServingStatus::NotServing,
                            false => ServingStatus::ServiceUnknown,
                        };
                        Some((Ok(response(status)), Next::End))
                    }
                    Next::End => None,
                }
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
