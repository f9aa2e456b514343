//! Bounds that a run has to keep, as `--assert` writes them: `p99<5ms`, `rate>=20000`, `errors<=0`.
//!
//! Invariant: a bound holds or it does not; what cannot be told, for want of requests, does not.

use std::fmt;
use std::str::FromStr;

use stockd_latency::{duration, grouped};
use stockd_model::limits::PERCENTILE_LATENCIES_BEYOND_MIN;

use super::document::{Document, Point};

/// A bound on a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// As it was written.
    text: String,
    figure: Figure,
    comparison: Comparison,
    /// Nanoseconds, requests a second, or a count.
    bound: f64,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// Requests answered a second.
    Rate,
    /// Error replies, wrong replies and lost connections.
    Errors,
    Mean,
    Percentile(f64),
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

const FIGURES: [(&str, Figure); 9] = [
    ("rate", Figure::Rate),
    ("errors", Figure::Errors),
    ("mean", Figure::Mean),
    ("p50", Figure::Percentile(0.5)),
    ("p90", Figure::Percentile(0.9)),
    ("p99", Figure::Percentile(0.99)),
    ("p99.9", Figure::Percentile(0.999)),
    ("p99.99", Figure::Percentile(0.9999)),
    ("max", Figure::Max),
];

/// The longer ones first, since they begin with the shorter ones.
const COMPARISONS: [(&str, Comparison); 4] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

const UNITS: [(&str, f64); 5] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

impl FromStr for Assertion {
    type Err = String;

    fn from_str(text: &str) -> Result<Assertion, String> {
        let sign = COMPARISONS.iter().find_map(|(sign, comparison)| {
            let (figure, bound) = text.split_once(sign)?;
            Some((figure.trim(), *comparison, bound.trim()))
        });
        let (name, comparison, bound) = sign.ok_or_else(|| {
            "write a figure, <, <=, > or >=, and a bound, as in p99<5ms".to_owned()
        })?;
        let figure = FIGURES.iter().find(|(known, _)| *known == name).map(|(_, figure)| *figure);
        let figure = figure.ok_or_else(|| {
            let names = FIGURES.map(|(name, _)| name).join(", ");
            format!("'{name}' is no figure; there are {names}")
        })?;
        let bound = figure.bound(bound)?;
        Ok(Assertion { text: text.to_owned(), figure, comparison, bound })
    }
}

impl Figure {
    fn bound(self, text: &str) -> Result<f64, String> {
        let number = |text: &str| {
            let number = text.replace('_', "").parse().ok();
            number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
        };
        if matches!(self, Figure::Rate | Figure::Errors) {
            return number(text)
                .ok_or_else(|| format!("'{text}' is no number; write one from 0, without a unit"));
        }
        let unit_at = text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(unit_at);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| scale);
        let ns = number(digits.trim_end()).zip(scale).map(|(number, scale)| number * scale);
        ns.ok_or_else(|| {
            format!("'{text}' is no latency; write a number with ns, us, ms or s, as in 5ms")
        })
    }

    /// The figure of a point; `None` where there were too few requests for it.
    fn of(self, point: &Point) -> Option<f64> {
        match self {
            Figure::Rate => point.median(|run| Some(run.requests_a_second)),
            Figure::Errors => {
                Some(point.repetitions.iter().map(|run| run.counts.failures()).sum::<u64>() as f64)
            }
            Figure::Mean => {
                point.median(|run| (run.latency.count > 0).then_some(run.latency.mean_ns))
            }
            Figure::Percentile(quantile) => point.median(|run| run.latency.quantile_ns(quantile)),
            Figure::Max => point.max_ns(),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Figure::Rate => format!("{} requests/s", grouped(value.round() as u64)),
            Figure::Errors => grouped(value as u64),
            Figure::Mean | Figure::Percentile(_) | Figure::Max => duration(value),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Assertion {
    /// Why it does not hold of a report, a line for each load; nothing where it holds.
    pub fn failures(&self, document: &Document) -> Vec<String> {
        let mut failures: Vec<String> =
            document.points.iter().filter_map(|point| self.failure(point)).collect();
        if document.points.is_empty() {
            failures.push(format!("'{self}' cannot be told: nothing was measured"));
        }
        failures
    }

    fn failure(&self, point: &Point) -> Option<String> {
        let place = match &point.swept {
            Some(swept) => format!("{} {}: ", swept.parameter, swept.value),
            None => String::new(),
        };
        let Some(value) = self.figure.of(point) else {
            let requests = point.counted().map(|run| run.latency.count).max().unwrap_or(0);
            let needed = match self.figure {
                Figure::Percentile(quantile) => {
                    (PERCENTILE_LATENCIES_BEYOND_MIN as f64 / (1.0 - quantile)).round() as u64
                }
                _ => 1,
            };
            let (requests, needed) = (grouped(requests), grouped(needed));
            return Some(format!(
                "{place}'{self}' cannot be told of {requests} requests; it takes {needed}"
            ));
        };
        let holds = match self.comparison {
            Comparison::Below => value < self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::Above => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
        };
        // Others only make figures worse: what holds beside them holds.
        let doubt = match point.is_disturbed() {
            true => ", in runs that others disturbed: it may not be the server's fault",
            false => "",
        };
        (!holds).then(|| {
            format!("{place}'{self}' does not hold: it is {}{doubt}", self.figure.show(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Swept;
    use crate::report::table::tests::{document, load, run};

    fn failures(text: &str, document: &Document) -> Vec<String> {
        text.parse::<Assertion>().unwrap().failures(document)
    }

    fn measured() -> Document {
        document(vec![Point { swept: None, load: load(), repetitions: vec![run()] }])
    }

    /// A thousand requests of 50 µs in a second.
    #[test]
    fn bounds_hold_or_not() {
        for right in [
            "p50<=50us",
            "p50<51µs",
            "p99<5ms",
            "p90 < 0.1 ms",
            "mean>=50_000ns",
            "max<1s",
            "rate>=1000",
            "rate>999.5",
            "errors<=0",
            "errors<1",
        ] {
            assert!(failures(right, &measured()).is_empty(), "{right}");
        }
        for (wrong, why) in [
            ("p50<50us", "'p50<50us' does not hold: it is 50.0 µs"),
            ("p99>5ms", "'p99>5ms' does not hold: it is 50.0 µs"),
            ("max<0s", "'max<0s' does not hold: it is 50.0 µs"),
            ("rate>1_000", "'rate>1_000' does not hold: it is 1,000 requests/s"),
            ("errors>0", "'errors>0' does not hold: it is 0"),
            ("p99.9<1s", "'p99.9<1s' cannot be told of 1,000 requests; it takes 10,000"),
        ] {
            assert_eq!(failures(wrong, &measured()), [why]);
        }
    }

    #[test]
    fn every_load_is_looked_at_and_doubt_is_said() {
        let mut disturbed = run();
        disturbed.disturbed = true;
        disturbed.counts.errors = 3;
        let swept = |value| Some(Swept { parameter: "connections".into(), value });
        let mut points = document(vec![
            Point { swept: swept(1.0), load: load(), repetitions: vec![run()] },
            Point { swept: swept(10.0), load: load(), repetitions: vec![disturbed] },
        ]);
        assert_eq!(
            failures("errors<=0", &points),
            [
                "connections 10: 'errors<=0' does not hold: it is 3, in runs that others disturbed: it may not be the \
              server's fault"
            ]
        );
        assert_eq!(failures("max<1ns", &points).len(), 2);
        points.points.clear();
        assert_eq!(failures("max<1s", &points), ["'max<1s' cannot be told: nothing was measured"]);
    }

    #[test]
    fn what_is_no_bound_is_refused_with_a_remedy() {
        for (text, why) in [
            ("", "write a figure"),
            ("p99", "write a figure"),
            ("p98<5ms", "'p98' is no figure; there are rate, errors"),
            ("p99<5", "as in 5ms"),
            ("p99<ms", "as in 5ms"),
            ("p99<5min", "as in 5ms"),
            ("p99<-5ms", "as in 5ms"),
            ("rate>1k", "without a unit"),
            ("rate>inf", "without a unit"),
            ("errors<=", "without a unit"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
