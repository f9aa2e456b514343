//! What the feed is called at the server, and what its silence and its gaps mean there.

use std::str::FromStr;
use std::time::Duration;

use stockd_client::FeedOptions;
use stockd_model::FeedName;
use stockd_model::limits::{FEED_TTL_MAX, FEED_TTL_MIN};

/// The options of a feed that readers see.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Freshness {
    /// What the feed is called: quotes say it, and so does FEED LIST. Without it, its format.
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,

    /// How long the feed may be silent before its quotes are stale.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    stale_after: Ttl,

    /// What a feed that is stale does to its stocks: its quotes say so, or it halts them too.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnStale::Mark)]
    on_stale: OnStale,

    /// What missing messages do to its stocks: its quotes say so, it halts them too, or the command ends.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnGap::Mark)]
    on_gap: OnGap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnStale {
    Mark,
    Halt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnGap {
    Mark,
    Halt,
    Exit,
}

/// How long a feed may be silent.
#[derive(Clone, Copy, Debug)]
struct Ttl(Duration);

impl Freshness {
    /// How the feed is opened at the server.
    pub(super) fn options(&self, format: &str) -> FeedOptions {
        FeedOptions {
            name: self.name.clone().unwrap_or_else(|| format.to_owned()),
            ttl: self.stale_after.0,
            halts_when_stale: self.on_stale == OnStale::Halt,
            halts_on_gap: self.on_gap == OnGap::Halt,
        }
    }

    /// Whether missing messages end the command.
    pub(super) fn ends_on_gap(&self) -> bool {
        self.on_gap == OnGap::Exit
    }

    /// How often a source is to show that it lives, in whole seconds.
    pub(super) fn heartbeat(&self) -> Duration {
        let third = self.stale_after.0.as_secs() / 3;
        Duration::from_secs(third.clamp(5, 30))
    }

    pub(super) fn stale_after(&self) -> Duration {
        self.stale_after.0
    }
}

fn name(text: &str) -> Result<String, String> {
    match FeedName::check(text.as_bytes()) {
        Ok(name) => Ok(name.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Ttl, String> {
        let ttl = crate::settings::duration(text)?;
        match (FEED_TTL_MIN..=FEED_TTL_MAX).contains(&ttl) {
            true => Ok(Ttl(ttl)),
            false => Err(format!(
                "write a time from {} ms to {} h",
                FEED_TTL_MIN.as_millis(),
                FEED_TTL_MAX.as_secs() / 3600
            )),
        }
    }
}
