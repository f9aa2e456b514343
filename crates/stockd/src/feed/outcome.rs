//! What a feed has brought and what became of it, for people and for machines.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stockd_feeds::Counts;

use super::counted::Counted;
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
        let mut line = format!(
            "{}, {}, {} in {:.1} s",
            Counted(*records, "message"),
            Counted(*trades, "trade"),
            Counted(self.stocks as u64, "stock"),
            self.seconds
        );
        if let Some(tally) = self.tally.filter(|_| self.wrote) {
            let Tally { listed, updated, late, refused, reconnects, .. } = tally;
            let _ = write!(line, ": {listed} listed, {updated} updated, {conflated} conflated");
            for (count, what) in [(late, "late"), (refused, "refused")] {
                if *count > 0 {
                    let _ = write!(line, ", {count} {what}");
                }
            }
            if *reconnects > 0 {
                let _ = write!(line, ", {} connected again", Counted(*reconnects, "time"));
            }
        }
        if self.counts.orders_max > 0 {
            let _ = write!(line, "; up to {} kept", Counted(self.counts.orders_max, "order"));
        }
        if *gaps > 0 {
            let (gaps, missing) = (Counted(*gaps, "gap"), Counted(*missing, "message"));
            let _ = write!(line, "; {gaps}, {missing} missing");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_one_thing() {
        let line = |count: u64| {
            let counts = Counts {
                records: count,
                trades: count,
                orders_max: count,
                gaps: count,
                missing: count,
                ..Counts::default()
            };
            let tally = Tally { listed: count, reconnects: count, ..Tally::default() };
            let (stocks, tally) = (count as usize, Some(&tally));
            Outcome { counts, stocks, tally, seconds: 0.0, error: None, wrote: true }.line()
        };
        assert_eq!(
            line(1),
            "1 message, 1 trade, 1 stock in 0.0 s: 1 listed, 0 updated, 0 conflated, \
             1 time connected again; up to 1 order kept; 1 gap, 1 message missing"
        );
        assert_eq!(
            line(2),
            "2 messages, 2 trades, 2 stocks in 0.0 s: 2 listed, 0 updated, 0 conflated, \
             2 times connected again; up to 2 orders kept; 2 gaps, 2 messages missing"
        );
    }
}
