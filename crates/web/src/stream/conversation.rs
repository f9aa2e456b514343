//! A conversation over a WebSocket, whatever is spoken in it: when it is listened, said, asked whether the client is
//! still there, and ended.
//!
//! It knows frames, and no messages in them: those are of a [`Dialect`]. Invariant: a client that is silent or takes
//! nothing for too long is closed, and nothing is made before what was made is sent.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use stockd_model::limits::LINGER_TIMEOUT;
use tokio::time::{Instant, MissedTickBehavior};

use crate::caller::refuse_token;
use crate::config::Patience;
use crate::connection::{Closed, ConnectionInfo};
use crate::plane::Plane;
use crate::refused::Refused;
use crate::stream::teller::{Sink, Teller};

/// What is spoken over a WebSocket. It is where its stream says things, as frames.
pub(crate) trait Dialect: Sink + Send {
    /// Answers what the client says, or ends it with a code and a reason.
    fn answer(
        &mut self,
        talk: &mut Talk,
        said: Said<'_>,
    ) -> impl Future<Output = Result<Frame, (u16, &'static str)>> + Send;

    /// What was made, a frame at a time.
    fn next_frame(&mut self) -> Option<Frame>;
}

/// What a client says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// One conversation, as its dialect has it.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) plane: Arc<Plane>,
    pub(crate) teller: Teller,
    /// Keeps the connection counted as open.
    pub(crate) info: Arc<ConnectionInfo>,
}

type Outgoing = SplitSink<WebSocket, Frame>;

/// The client is gone.
struct Gone;

impl From<axum::Error> for Gone {
    fn from(_: axum::Error) -> Gone {
        Gone
    }
}

impl Talk {
    /// Converses to the end. A client that takes nothing when the server stops is cut off.
    pub(crate) async fn run(self, socket: WebSocket, dialect: impl Dialect) {
        let plane = Arc::clone(&self.plane);
        tokio::select! {
            () = self.converse(socket, dialect) => {}
            () = plane.goodbyes_over() => {}
        }
    }

    async fn converse(mut self, socket: WebSocket, mut dialect: impl Dialect) {
        let (mut out, mut incoming) = socket.split();
        let Patience { head, ping_interval, silence, .. } = self.plane.config.patience;
        let mut ping = tokio::time::interval(ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        let mut heard = Instant::now();
        let token_due = tokio::time::sleep(head);
        tokio::pin!(token_due);
        loop {
            let awaits_token = self.teller.awaits_token;
            let told = std::future::poll_fn(|cx| self.teller.poll(cx, &mut dialect));
            let outcome = tokio::select! {
                biased;
                frame = incoming.next() => match frame {
                    Some(Ok(frame)) => {
                        heard = Instant::now();
                        self.hear(frame, &mut dialect, &mut out).await
                    }
                    Some(Err(error)) => {
                        tracing::debug!("{}: closed: {error}", self.info.peer);
                        match fault(error) {
                            Some((why, code, reason)) => self.end(&mut out, why, (code, reason)).await,
                            None => Err(Gone),
                        }
                    }
                    None => Err(Gone),
                },
                goes_on = told => match send(&mut dialect, &mut out, &self.teller.stream.info.unsent).await {
                    Ok(()) if !goes_on => close(&mut out, close_code::AWAY, "the server stops").await,
                    outcome => outcome,
                },
                () = token_due.as_mut(), if awaits_token => {
                    let said = (close_code::POLICY, "no token was shown in time");
                    self.end(&mut out, Closed::NoToken, said).await
                }
                _ = ping.tick() => match heard.elapsed() > silence {
                    true => {
                        let said = (close_code::POLICY, "no answer to a ping");
                        self.end(&mut out, Closed::Silent, said).await
                    }
                    false => out.send(Frame::Ping(Default::default())).await.map_err(Gone::from),
                },
            };
            if outcome.is_err() {
                break;
            }
        }
        // What the client has sent meanwhile is read: closing on unread bytes destroys the last frames.
        let said_all = async { while incoming.next().await.is_some_and(|frame| frame.is_ok()) {} };
        let _ = tokio::time::timeout(LINGER_TIMEOUT, said_all).await;
    }

    /// Ends it, since the client has broken a bound or a rule.
    async fn end(
        &mut self,
        out: &mut Outgoing,
        why: Closed,
        (code, reason): (u16, &'static str),
    ) -> Result<(), Gone> {
        self.plane.traffic.note_closed(why);
        close(out, code, reason).await
    }

    async fn hear(
        &mut self,
        frame: Frame,
        dialect: &mut impl Dialect,
        out: &mut Outgoing,
    ) -> Result<(), Gone> {
        let answered = match &frame {
            Frame::Text(text) => dialect.answer(self, Said::Text(text.as_str())).await,
            Frame::Binary(bytes) => dialect.answer(self, Said::Binary(bytes)).await,
            Frame::Close(_) => {
                // Answers it, and has that sent.
                out.close().await?;
                return Err(Gone);
            }
            // Pings are answered beneath.
            Frame::Ping(_) | Frame::Pong(_) => return Ok(()),
        };
        match answered {
            Ok(answer) => Ok(out.send(answer).await?),
            Err(said) => self.end(out, Closed::ProtocolError, said).await,
        }
    }

    /// The client shows a token, and perhaps whose it is.
    pub(crate) async fn authenticate(
        &mut self,
        user: Option<&str>,
        token: &str,
    ) -> Result<(), Refused> {
        let authority = self.plane.observer.authority();
        let before = self.teller.stream.identity();
        let shown = match authority.is_open() {
            true => Some(before.clone()),
            false => authority.show_token(before, user, token.as_bytes()),
        };
        match shown {
            Some(identity) => {
                self.teller.awaits_token = false;
                self.teller.stream.identify(identity);
                Ok(())
            }
            None => Err(refuse_token(&self.plane, Some(&self.info)).await),
        }
    }
}

/// Sends all that was made, and waits until the system has it. Until then it is noted as unsent.
async fn send(
    dialect: &mut impl Dialect,
    out: &mut Outgoing,
    unsent: &AtomicU64,
) -> Result<(), Gone> {
    while let Some(frame) = dialect.next_frame() {
        unsent.fetch_add(bytes_of(&frame), Relaxed);
        out.feed(frame).await?;
    }
    out.flush().await?;
    unsent.store(0, Relaxed);
    Ok(())
}

fn bytes_of(frame: &Frame) -> u64 {
    match frame {
        Frame::Text(text) => text.len() as u64,
        Frame::Binary(bytes) => bytes.len() as u64,
        Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => 0,
    }
}

/// What is wrong with a message, its close code (RFC 6455, section 7.4.1), and the reason; `None` where the client has gone
/// without a word.
fn fault(error: axum::Error) -> Option<(Closed, u16, &'static str)> {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    Some(match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => {
            (Closed::MessageTooLong, close_code::SIZE, "the message is too large")
        }
        Some(tungstenite::Error::Utf8(_)) => {
            (Closed::ProtocolError, close_code::INVALID, "the text is no UTF-8")
        }
        Some(
            tungstenite::Error::Io(_) | tungstenite::Error::Protocol(ResetWithoutClosingHandshake),
        ) => return None,
        _ => (Closed::ProtocolError, close_code::PROTOCOL, "this breaks the protocol"),
    })
}

/// Says why it is over. The client is gone then.
async fn close(out: &mut Outgoing, code: u16, reason: &'static str) -> Result<(), Gone> {
    out.send(Frame::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
    Err(Gone)
}
