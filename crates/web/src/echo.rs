//! A WebSocket that sends back what it hears, for the cases of [`autobahn`](crate::autobahn): a dialect over the same
//! conversation, bounds and close codes as the streams, at a path that no server has but in tests.
//!
//! Invariant: it says nothing of its own.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::Message as Frame;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use stockd_engine::Message;

use crate::caller::Caller;
use crate::plane::Plane;
use crate::refused::Refused;
use crate::stream::conversation::{Dialect, Said, Talk};
use crate::stream::subscription::{EventId, Subscription};
use crate::stream::teller::{Notice, Sink};
use crate::streams;

/// Says what it hears, and nothing of its own.
struct Echo;

impl Dialect for Echo {
    async fn answer(&mut self, _: &mut Talk, said: Said<'_>) -> Result<Frame, (u16, &'static str)> {
        Ok(match said {
            Said::Text(text) => Frame::text(text),
            Said::Binary(bytes) => Frame::binary(bytes.to_vec()),
        })
    }

    fn next_frame(&mut self) -> Option<Frame> {
        None
    }
}

impl Sink for Echo {
    fn quote(&mut self, _: &Message<'_>, _: Option<EventId>) {}

    fn notice(&mut self, _: Notice, _: Option<EventId>) {}

    fn has_room(&self) -> bool {
        true
    }

    fn is_empty(&self) -> bool {
        true
    }
}

/// The path at which it echoes.
pub(crate) fn routes() -> Router<Arc<Plane>> {
    Router::new().route("/echo", any(echo))
}

async fn echo(
    State(plane): State<Arc<Plane>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Refused> {
    let info = streams::connection_of(&request)?;
    let upgrade = streams::upgrade(request).await?;
    let teller = streams::begin(&plane, &caller, &info, "websocket", &Subscription::default())?;
    let talk = Talk { plane: Arc::clone(&plane), teller, info };
    Ok(upgrade.on_upgrade(|socket| talk.run(socket, Echo)))
}
