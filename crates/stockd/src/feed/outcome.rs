//! What a feed has brought and what became of it, for people and for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stockd_feeds::Counts;

use super::tally::Tally;
use crate::output;

pub(super) struct Outcome<'a> {
    pub(super) counts: Counts,
    pub(super) stocks: usize,
    /// `None` where the writing failed.
    pub(super) tally: Option<&'a Tally>,
    pub(super) seconds: f64,
    pub(super) error: Option<&'a anyhow::Error>,
    /// Whether anything was to be written.
    pub(super) wrote: bool,
}

impl Outcome<'_> {
    /// Prints one line, or one JSON object, and the first problems on standard error.
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return output::all(format!("{}\n", self.json()).as_bytes());
        }
        for skipped in &self.counts.first_skipped {
            output::problem(format_args!("skipped {skipped}"));
        }
        for refused in self.tally.iter().flat_map(|tally| &tally.first_refused) {
            output::problem(format_args!("{refused}"));
        }
        output::line(format_args!("{}", self.line()))
    }

    fn line(&self) -> String {
        let Counts { records, trades, conflated, gaps, missing, skipped, .. } = &self.counts;
        let (stocks, seconds) = (self.stocks, self.seconds);
        let mut line =
            format!("{records} messages, {trades} trades, {stocks} stocks in {seconds:.1} s");
        if let Some(tally) = self.tally.filter(|_| self.wrote) {
            let Tally { listed, updated, late, refused, reconnects, .. } = tally;
            let _ = write!(line, ": {listed} listed, {updated} updated, {conflated} conflated");
            for (count, what) in
                [(late, "late"), (refused, "refused"), (reconnects, "times connected again")]
            {
                if *count > 0 {
                    let _ = write!(line, ", {count} {what}");
                }
            }
        }
        if self.counts.orders_max > 0 {
            let _ = write!(line, "; up to {} orders kept", self.counts.orders_max);
        }
        if *gaps > 0 {
            let _ = write!(line, "; {gaps} gaps, {missing} messages missing");
        }
        let causes: Vec<String> =
            skipped.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        if !causes.is_empty() {
            let _ = write!(line, "; skipped: {}", causes.join(", "));
        }
        line
    }

    fn json(&self) -> Value {
        let Counts { records, trades, conflated, gaps, missing, skipped, .. } = &self.counts;
        let causes: Map<String, Value> =
            skipped.iter().map(|(cause, count)| (cause.to_string(), json!(count))).collect();
        let mut outcome = json!({
            "messages": records,
            "trades": trades,
            "stocks": self.stocks,
            "conflated": conflated,
            "gaps": gaps,
            "missing": missing,
            "orders_max": self.counts.orders_max,
            "skipped": causes,
            "seconds": self.seconds,
        });
        if let (Some(tally), Some(object)) =
            (self.tally.filter(|_| self.wrote), outcome.as_object_mut())
        {
            let Tally { listed, updated, late, refused, reconnects, .. } = tally;
            object.insert("listed".to_owned(), json!(listed));
            object.insert("updated".to_owned(), json!(updated));
            object.insert("late".to_owned(), json!(late));
            object.insert("refused".to_owned(), json!(refused));
            object.insert("reconnects".to_owned(), json!(reconnects));
        }
        if let (Some(error), Some(object)) = (self.error, outcome.as_object_mut()) {
            object.insert("error".to_owned(), json!(format!("{error:#}")));
        }
        outcome
    }
}
