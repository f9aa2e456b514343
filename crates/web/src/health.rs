//! Whether the server lives and is ready, for supervisors and load balancers.
//!
//! Invariant: what answers has no other part of the server wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use stockd_model::Problem;
use stockd_model::limits::LIVE_SILENCE_MAX;

use crate::plane::Plane;
use crate::query::Query;
use crate::refused::Refused;
use crate::schema;

type Text = ([(http::HeaderName, &'static str); 1], &'static str);

const NOT_KEPT: [(http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// Whether the threads of the server turn. Each call asks those that serve the other protocols, and says whether one of them
/// has left an earlier call unanswered for 30 seconds.
#[utoipa::path(get, path = "/health/live", tag = "operation",
    responses((status = 200, description = "they do", body = String, content_type = "text/plain"),
        (status = 503, description = "one of them does not", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn live(
    State(plane): State<Arc<Plane>>,
    query: Query,
) -> Result<(StatusCode, Text), Refused> {
    query.only(&[])?;
    let silence = plane.observer.longest_silence(Instant::now());
    // Threads end while the server stops.
    check_silence(if plane.is_stopping() { Duration::ZERO } else { silence })?;
    Ok((StatusCode::OK, (NOT_KEPT, "live\n")))
}

fn check_silence(silence: Duration) -> Result<(), Refused> {
    if silence <= LIVE_SILENCE_MAX {
        return Ok(());
    }
    let detail = format!("a worker has not turned for {} s", silence.as_secs());
    Err(Refused::new(Problem::NotLive, detail))
}

/// Whether it answers: everything is loaded, it does not stop, and as a node of a cluster it is not behind. With `writes=1` also whether it takes writes.
#[utoipa::path(get, path = "/health/ready", tag = "operation",
    params(("writes" = Option<String>, Query, pattern = "^[01]$", description = "1 asks whether writes are taken, too")),
    responses((status = 200, description = "it does", body = String, content_type = "text/plain"),
        (status = 400, description = "a parameter cannot be understood", body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "it stops, or takes no writes", body = schema::Problem, content_type = "application/problem+json")))]
pub(crate) async fn ready(
    State(plane): State<Arc<Plane>>,
    query: Query,
) -> Result<(StatusCode, Text), Refused> {
    let query = query.only(&["writes"])?;
    let asks_for_writes = match query.one("writes")? {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(Refused::new(Problem::InvalidRequest, "writes is 0 or 1")),
    };
    readiness(&plane, asks_for_writes)?;
    Ok((StatusCode::OK, (NOT_KEPT, "ready\n")))
}

/// Why it does not answer, or takes no writes where these are asked for, too.
pub(crate) fn readiness(plane: &Plane, asks_for_writes: bool) -> Result<(), Refused> {
    if plane.is_stopping() {
        return Err(Refused::new(Problem::Stopping, "the server is stopping"));
    }
    if let Some(cluster) = plane.engine().cluster_report()
        && (!cluster.is_ready || (asks_for_writes && cluster.state != "ok"))
    {
        let state = cluster.state;
        let why = match cluster.staleness {
            Some(age) => format!(
                "the node is {state}, and what it shows is up to {} ms old",
                age.as_millis()
            ),
            None => format!("the node is {state}"),
        };
        return Err(Refused::new(Problem::ClusterDown, why));
    }
    let failed = plane.engine().commit_report().and_then(|report| report.failed);
    match failed.filter(|_| asks_for_writes) {
        Some(cause) => Err(Refused::new(Problem::ReadOnly, cause)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_silent_for_long_is_said() {
        assert!(check_silence(LIVE_SILENCE_MAX).is_ok());
        let refused = check_silence(LIVE_SILENCE_MAX + Duration::from_secs(5)).unwrap_err();
        assert_eq!((refused.problem, refused.problem.status()), (Problem::NotLive, 503));
        assert_eq!(refused.detail, "a worker has not turned for 35 s");
    }
}
