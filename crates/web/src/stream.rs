//! Streams of quotes, whatever they are carried by: one feed for all of them.
//!
//! ```text
//!   engine ── marks ──► hub: one Feed behind a lock ── wakes ──► the task of a stream
//!                        │ pass_on, in slices                      │ where its socket has room:
//!                        │ FEED_PASS_WORK, FEED_TIDY_WORK          ▼
//!                        │                            teller: hello, quotes as they are now, synced,
//!                        ◄──────────── tell ───────── heartbeat, goodbye
//!                                FEED_TELL_WORK,                   │ into a sink of STREAM_BYTES_MAX
//!                                STREAM_BYTES_MAX                  ▼
//!                                               text.rs (SSE, JSON lines), websocket.rs, grpc, alpaca
//! ```
//!
//! Invariant: what is told is read from the catalog when there is room for it, so a slow reader gets newer
//! quotes and not more of them.

pub(crate) mod clock;
pub(crate) mod conversation;
pub(crate) mod hub;
pub(crate) mod subscription;
pub(crate) mod teller;
pub(crate) mod text;
pub(crate) mod websocket;
