//! `grpc.health.v1.Health`: of the server as a whole, and of each service that it has.
//!
//! It is as `/health/ready` says without writes. Invariant: what watches is told when that changes, and when the server stops,
//! and its stream ends then.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use stockd_model::limits::HEALTH_LOOK_INTERVAL;
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use crate::health;
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
    Say(ServingStatus),
    /// What is not as this was told.
    Change(ServingStatus),
    End,
}

impl Health {
    pub(super) fn new(plane: &Arc<Plane>) -> Health {
        Health { plane: Arc::clone(plane) }
    }
}

fn status(plane: &Plane) -> ServingStatus {
    match health::readiness(plane, false) {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

/// Waits until a service is not as it was told, or the server stops. With whether it does, after which nothing is said.
async fn changed(plane: &Plane, told: ServingStatus) -> (ServingStatus, bool) {
    if told == ServingStatus::ServiceUnknown {
        plane.stopped().await;
        return (told, true);
    }
    loop {
        match plane.engine().is_replicated() {
            // What a node shows grows old while nothing happens.
            true => _ = timeout(HEALTH_LOOK_INTERVAL, plane.stopped()).await,
            false => plane.stopped().await,
        }
        if plane.is_stopping() {
            return (ServingStatus::NotServing, true);
        }
        let now = status(plane);
        if now != told {
            return (now, false);
        }
    }
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
        let plane = Arc::clone(&self.plane);
        let first = match SERVICES.contains(&request.get_ref().service.as_str()) {
            true => status(&plane),
            false => ServingStatus::ServiceUnknown,
        };
        let stream = unfold(Next::Say(first), move |next| {
            let plane = Arc::clone(&plane);
            async move {
                let (said, is_last) = match next {
                    Next::Say(first) => (first, false),
                    Next::Change(told) => changed(&plane, told).await,
                    Next::End => return None,
                };
                Some((Ok(response(said)), if is_last { Next::End } else { Next::Change(said) }))
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
