//! The feed of market data that a connection is, if it is one: `FEED` and its subcommands.
//!
//! Invariant: while a feed is open, every write of the connection is tied to it, however it is executed.

use std::time::Instant;

use stockd_engine::{FeedHandle, FeedReport, Opening};
use stockd_model::Request;
use stockd_wire::resp::{CommandError, Encoder, FeedCommand};

use crate::turn::Turn;

/// The feed that the connection has opened.
#[derive(Debug, Default)]
pub(super) struct Source(Option<Box<FeedHandle>>);

impl Source {
    /// Ties a request to the feed, if it is a write and there is one.
    #[inline]
    pub(super) fn tie(&self, request: &mut Request, now: Instant) {
        if let Some(feed) = &self.0 {
            feed.tie(request, now);
        }
    }

    /// Answers a command of `FEED`.
    pub(super) fn perform(
        &mut self,
        command: &FeedCommand<'_>,
        encoder: &Encoder,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now;
        match (command, &self.0) {
            (FeedCommand::List, _) => return list(encoder, turn),
            (&FeedCommand::Open { name, ttl, halts_when_stale, halts_on_gap }, _) => {
                let opening = Opening { name, ttl, halts_when_stale, halts_on_gap };
                let (user, access) = (turn.identity.user(), turn.identity.access());
                match turn.executor.engine().open_feed(&opening, user, access, now) {
                    Ok(feed) => self.0 = Some(Box::new(feed)),
                    Err(refused) => {
                        let code = refused.problem().resp_code();
                        return encoder.error(&format_args!("{code} {refused}"), turn.replies.out);
                    }
                }
            }
            (_, None) => return encoder.error(&CommandError::NoFeed, turn.replies.out),
            (FeedCommand::Beat, Some(feed)) => feed.beat(now),
            (FeedCommand::Gap, Some(feed)) => feed.gap(now),
            (FeedCommand::End, Some(feed)) => {
                feed.end(now);
                self.0 = None;
            }
        }
        encoder.ok(turn.replies.out);
    }
}

fn list(encoder: &Encoder, turn: &mut Turn<'_>) {
    let feeds = turn.executor.engine().feed_reports(turn.now);
    let out = &mut *turn.replies.out;
    encoder.array(feeds.len(), out);
    for report in feeds {
        let FeedReport { feed, ttl, age, data_age, stocks, connections, gaps, halts_on_gap } =
            report;
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let halts = |halts: bool| if halts { "halt" } else { "mark" };
        encoder.map(10, out);
        for (name, text) in [
            ("name", feed.name.as_str()),
            ("state", feed.state.as_str()),
            ("onstale", halts(feed.halts_when_stale)),
            ("ongap", halts(halts_on_gap)),
        ] {
            encoder.text(name.as_bytes(), out);
            encoder.text(text.as_bytes(), out);
        }
        for (name, number) in [
            ("ttl-ms", ttl.map(ms)),
            ("age-ms", age.map(ms)),
            ("data-age-ms", data_age.map(ms)),
            ("stocks", Some(stocks as u64)),
            ("connections", Some(connections as u64)),
            ("gaps", Some(gaps)),
        ] {
            encoder.text(name.as_bytes(), out);
            match number {
                Some(number) => encoder.integer(number, out),
                None => encoder.nil(out),
            }
        }
    }
}
