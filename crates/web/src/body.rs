//! The bodies of requests: read whole, bounded one by one and together.
//!
//! It knows no forms but their media types. Invariant: all bodies that are held take no more than
//! [`HTTP_BODIES_BYTES_MAX`].

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use stockd_model::Problem;
use stockd_model::limits::HTTP_BODIES_BYTES_MAX;
use tokio::sync::OwnedSemaphorePermit;

use crate::plane::Plane;
use crate::refused::Refused;
use std::sync::atomic::Ordering;

/// A body, and the room that it takes.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) bytes: Bytes,
    pub(crate) room: OwnedSemaphorePermit,
}

/// Reads a body of one of these media types.
pub(crate) async fn read(
    plane: &Arc<Plane>,
    headers: &HeaderMap,
    types: &[&str],
    body: Body,
    bytes_max: usize,
) -> Result<Read, Refused> {
    check_type(headers, types)?;
    let too_large = || {
        plane.counts.too_large.fetch_add(1, Ordering::Relaxed);
        let detail = format!("the body has more than {bytes_max} bytes, the limit");
        Refused::new(Problem::BodyTooLarge, detail).with("bytes_max", bytes_max)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: usize| bytes > bytes_max) {
        return Err(too_large());
    }
    let mut room = reserve(plane, 0)?;
    let mut bytes = Vec::new();
    let mut body = body;
    let over = plane.goodbyes_over();
    tokio::pin!(over);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = over.as_mut() => {
                let detail = "the server is stopping, and the body has not come whole";
                return Err(Refused::new(Problem::Stopping, detail));
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame
            .map_err(|_| Refused::new(Problem::InvalidRequest, "the body ends before its end"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        room.merge(reserve(plane, data.len())?);
        bytes.extend_from_slice(&data);
    }
    Ok(Read { bytes: bytes.into(), room })
}

/// Reads a body of JSON, of at most this number of bytes, that is a thing of this name. The room that it takes is given back
/// with the permit.
pub(crate) async fn json<T: DeserializeOwned>(
    plane: &Arc<Plane>,
    headers: &HeaderMap,
    types: &[&str],
    body: Body,
    (bytes_max, name): (usize, &str),
) -> Result<(T, OwnedSemaphorePermit), Refused> {
    let Read { bytes, room } = read(plane, headers, types, body, bytes_max).await?;
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        Refused::new(Problem::InvalidRequest, format!("the body is no {name}: {error}"))
    })?;
    Ok((value, room))
}

fn reserve(plane: &Plane, bytes: usize) -> Result<OwnedSemaphorePermit, Refused> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Arc::clone(&plane.bodies).try_acquire_many_owned(bytes).map_err(|_| {
        let detail =
            format!("the bodies of all requests hold {HTTP_BODIES_BYTES_MAX} bytes, the limit");
        Refused::new(Problem::Busy, detail)
    })
}

/// A body that says what it is. A page of another site can send none of these without being asked for by the
/// browser first.
fn check_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).map(|it| String::from_utf8_lossy(it.as_bytes()));
    let given = given.unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if types.iter().any(|it| essence.eq_ignore_ascii_case(it)) {
        return Ok(());
    }
    let shown = stockd_model::escaped(essence.as_bytes()).at_most(100);
    let detail = format!("Content-Type is '{shown}'; it must be {}", types.join(" or "));
    Err(Refused::new(Problem::WrongMediaType, detail))
}
