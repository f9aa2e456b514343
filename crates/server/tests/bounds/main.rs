//! One client cannot stop, swell or silence a server: not by what it asks, holds, leaves unread or
//! leaves unfinished, nor by leaving, and not with many of its kind.
//!
//! What is promised is shown by the order of events and by counted bytes, never by a time.

#[path = "../tcp/awaiting.rs"]
mod awaiting;
mod crowd;
mod leaving;
mod memory;
mod stage;
mod stopping;
mod turns;
