//! `CLIENT TRACKING`: a client that keeps what it reads is told when that is out of date.
//!
//! What is tracked, and what has changed of it, is the [feed's](stockd_engine::Feed) to know; here is which
//! reads count.
//!
//! Invariant: a stock is tracked before it is read, and nothing is told between a read and its reply. So
//! whatever changes after a read is told after its reply.

use stockd_engine::{Access, Feed, SubscriberId};
use stockd_model::{Pattern, Reply, Request};
use stockd_wire::resp::{CommandError, Encoder, Tracking, TrackingMode, Version};

use crate::memory::Memory;
use crate::turn::Turn;

/// How a connection tracks what it reads, if it does.
#[derive(Debug, Default)]
pub(super) struct Tracker(Option<Box<State>>);

#[derive(Debug)]
struct State {
    mode: TrackingMode,
    no_loop: bool,
    /// Of which all changes are told.
    prefixes: Vec<Box<[u8]>>,
    /// What `CLIENT CACHING` has said of the next command.
    caching: Option<bool>,
    /// The command that this was said of has been executed, or is being executed.
    has_begun: bool,
    /// Something was read under a name that is not told: the client is to forget all.
    misnamed: bool,
}

impl Tracker {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether all changes of some prefixes are told.
    pub(super) fn is_broadcast(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.mode == TrackingMode::Broadcast)
    }

    /// Bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        let prefixes =
            |state: &State| state.prefixes.iter().map(|prefix| prefix.len() + 16).sum::<usize>();
        self.0.as_ref().map_or(0, |state| size_of::<State>() + prefixes(state))
    }

    /// `CLIENT TRACKING`.
    pub(super) fn switch(
        &mut self,
        tracking: Option<Tracking<'_>>,
        encoder: &Encoder,
        turn: &mut Turn<'_>,
    ) {
        let switched = match tracking {
            None => {
                self.end(turn);
                Ok(())
            }
            Some(_) if encoder.version() == Version::Resp2 => {
                Err(CommandError::TrackingNeedsResp3.to_string())
            }
            Some(tracking) => self.begin(&tracking, turn),
        };
        match switched {
            Ok(()) => encoder.ok(turn.replies.out),
            Err(error) => encoder.error(&error, turn.replies.out),
        }
    }

    fn begin(&mut self, tracking: &Tracking<'_>, turn: &mut Turn<'_>) -> Result<(), String> {
        let Tracking { mode, no_loop, .. } = *tracking;
        if self.0.as_ref().is_some_and(|state| state.mode != mode) {
            return Err(CommandError::TrackingModeSwitched.to_string());
        }
        turn.check_memory().map_err(|full| full.to_string())?;
        let mut prefixes = self.0.take().map_or_else(Vec::new, |state| state.prefixes);
        let has_prefixes = tracking.prefixes().next().is_some();
        let every = (mode == TrackingMode::Broadcast && !has_prefixes).then_some(b"".as_slice());
        let mut tracked = Ok(());
        for prefix in tracking.prefixes().chain(every) {
            if prefixes.iter().any(|own| **own == *prefix) {
                continue;
            }
            let access = turn.identity.access();
            tracked = turn.feed.track_pattern(turn.id.into(), access, &beginning_with(prefix));
            if tracked.is_err() {
                break;
            }
            prefixes.push(prefix.into());
        }
        let (caching, has_begun, misnamed) = (None, false, false);
        self.0 = Some(Box::new(State { mode, no_loop, prefixes, caching, has_begun, misnamed }));
        tracked.map_err(|refused| format!("ERR {refused}"))
    }

    /// Tracks nothing any more.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>) {
        if self.0.take().is_some() {
            turn.feed.untrack(turn.id.into());
        }
    }

    /// `CLIENT CACHING`.
    pub(super) fn caching(&mut self, yes: bool, encoder: &Encoder, out: &mut Vec<u8>) {
        let error = match self.0.as_deref_mut() {
            Some(state) if state.mode == TrackingMode::OptIn && yes => {
                state.caching = Some(true);
                None
            }
            Some(state) if state.mode == TrackingMode::OptOut && !yes => {
                state.caching = Some(false);
                None
            }
            Some(State { mode: TrackingMode::OptIn | TrackingMode::OptOut, .. }) => {
                Some(CommandError::CachingOtherMode)
            }
            _ => Some(CommandError::CachingWithoutTracking),
        };
        match error {
            None => encoder.ok(out),
            Some(error) => encoder.error(&error, out),
        }
    }

    /// `CLIENT TRACKINGINFO`.
    pub(super) fn describe(&self, encoder: &Encoder, out: &mut Vec<u8>) {
        let Some(state) = &self.0 else { return encoder.tracking(&["off"], &[], out) };
        let mode = match (state.mode, state.caching) {
            (TrackingMode::All, _) => [None, None],
            (TrackingMode::Broadcast, _) => [Some("bcast"), None],
            (TrackingMode::OptIn, None) => [Some("optin"), None],
            (TrackingMode::OptIn, Some(_)) => [Some("optin"), Some("caching-yes")],
            (TrackingMode::OptOut, None) => [Some("optout"), None],
            (TrackingMode::OptOut, Some(_)) => [Some("optout"), Some("caching-no")],
        };
        let no_loop = state.no_loop.then_some("noloop");
        let modes = mode.into_iter().flatten();
        let flags: Vec<_> = ["on"].into_iter().chain(modes).chain(no_loop).collect();
        let prefixes: Vec<_> = state.prefixes.iter().map(|prefix| &**prefix).collect();
        encoder.tracking(&flags, &prefixes, out);
    }

    /// A request is about to be executed. Where the memory of all connections is nearly full the client is
    /// to forget what it has read, and this.
    pub(super) fn reads(
        &self,
        request: &Request,
        id: SubscriberId,
        access: &Access,
        feed: &mut Feed,
        memory: &Memory,
    ) {
        let (Some(state), Request::Lookup(Ok(symbol))) = (&self.0, request) else { return };
        let tracks = match state.mode {
            TrackingMode::All => true,
            TrackingMode::OptIn => state.caching == Some(true),
            TrackingMode::OptOut => state.caching != Some(false),
            TrackingMode::Broadcast => false,
        };
        match memory.check() {
            _ if !tracks => {}
            Ok(()) => feed.track(id, access, symbol),
            Err(_) => feed.forget_tracked(id),
        }
    }

    /// A request was executed, with this reply.
    pub(super) fn wrote(&self, reply: &Reply, id: SubscriberId, feed: &mut Feed) {
        if self.0.as_ref().is_some_and(|state| state.no_loop) {
            feed.spare(id, reply);
        }
    }

    /// The command behind `CLIENT CACHING` has begun: what was said of it counts until its end.
    pub(super) fn begun(&mut self) {
        if let Some(state) = &mut self.0 {
            state.has_begun = true;
        }
    }

    /// Something was read under a name that is not told.
    pub(super) fn misnamed(&mut self) {
        if let Some(state) = &mut self.0 {
            state.misnamed = true;
        }
    }

    /// What has begun has ended, too.
    pub(super) fn ended(&mut self, id: SubscriberId, feed: &mut Feed) {
        if let Some(state) = &mut self.0 {
            if std::mem::take(&mut state.has_begun) {
                state.caching = None;
            }
            if std::mem::take(&mut state.misnamed) {
                feed.tell_to_forget(id);
            }
        }
    }
}

/// What fits all symbols that begin so.
fn beginning_with(prefix: &[u8]) -> Pattern {
    let mut pattern = Vec::with_capacity(2 * prefix.len() + 1);
    for &byte in prefix {
        if b"*?[]^\\".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    Pattern::new(&pattern)
}
