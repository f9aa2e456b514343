//! The client of the demo: it measures every lookup and checks every reply.

use std::time::Instant;

use stockd_client::{Client, ClientError};
use stockd_latency::nanoseconds;

use super::history::History;
use super::names;
use super::playback::Playback;
use super::screen::{Row, quoted_where_padded};
use crate::report::LatencyReport;

/// A client over TCP that sends one request at a time, and its results.
#[derive(Debug)]
pub(crate) struct CheckingClient<'a> {
    client: Client,
    history: &'a History,
    /// The latencies of all lookups.
    pub(crate) report: LatencyReport,
    /// The wrong answers, a sentence each.
    pub(crate) wrong: Vec<String>,
}

impl<'a> CheckingClient<'a> {
    /// Looks up through this connection, and checks against this history.
    pub(crate) fn new(client: Client, history: &'a History) -> CheckingClient<'a> {
        CheckingClient { client, history, report: LatencyReport::default(), wrong: Vec::new() }
    }

    /// Looks up one name while the history plays.
    ///
    /// # Errors
    ///
    /// When there is no reply. A wrong reply is recorded, and is no error.
    pub(crate) fn look_up(
        &mut self,
        name: &'a str,
        playback: &Playback,
    ) -> Result<Row<'a>, ClientError> {
        let applied = playback.applied();
        let sent = Instant::now();
        let answer = self.client.lookup(name)?;
        let latency = sent.elapsed();
        let begun = playback.begun();
        self.report.record(&quoted_where_padded(name), answer, latency);
        let meaning = names::meaning(name, answer, self.history, applied, begun);
        if let Err(right) = &meaning {
            self.wrong.push(format!("'{name}' was answered {answer}, not {right}"));
        }
        let date = self.history.date_of_last(begun);
        Ok(Row { date, name, answer, meaning, latency_ns: nanoseconds(latency) })
    }
}
