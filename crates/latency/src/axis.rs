//! The axes of charts: from where to where, and which places have labels.
//!
//! Positions on an axis are linear. Where an axis is logarithmic, its positions are logarithms.

use crate::numbers::{digits, round_duration, short, trimmed};

/// An axis from one end to the other.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// The position of its beginning.
    pub low: f64,
    /// The position of its end.
    pub high: f64,
    /// Positions that have a line and a label.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis for decimal logarithms of nanoseconds.
    pub fn latency(label: &str, logarithms: impl Iterator<Item = f64> + Clone) -> Axis {
        let low = logarithms.clone().fold(f64::INFINITY, f64::min);
        let high = logarithms.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() { (low, high) } else { (3.0, 6.0) };
        let (low, high) = (low - 0.05, high + 0.08);
        let digits: &[f64] = match high - low {
            ..1.2 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            ..3.5 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let ticks = (0..19)
            .flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)))
            .map(|ns| (ns.log10(), round_duration(ns)))
            .filter(|(at, _)| (low..=high).contains(at));
        Axis { label: label.to_owned(), low, high, ticks: ticks.collect() }
    }

    /// An axis from 0 to a little above the highest value, with round numbers.
    pub fn linear(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        Axis::from_zero(label, values, short_beside)
    }

    /// As [`linear`](Axis::linear), for nanoseconds.
    pub fn time(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        Axis::from_zero(label, values, |ns, _| round_duration(ns))
    }

    fn from_zero(
        label: &str,
        values: impl Iterator<Item = f64>,
        show: impl Fn(f64, f64) -> String,
    ) -> Axis {
        /// Labels, at most.
        const TICKS_MAX: f64 = 6.0;
        let highest = values.fold(0.0, f64::max).max(1.0);
        let decade = 10_f64.powf((highest / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade);
        let step = step.into_iter().find(|step| highest / step <= TICKS_MAX).unwrap_or(highest);
        let high = highest * 1.05;
        let ticks = (0..10).map(|n| f64::from(n) * step).filter(|at| *at <= high);
        let label_of = |at: f64| if at == 0.0 { "0".to_owned() } else { show(at, high) };
        let ticks = ticks.map(|at| (at, label_of(at))).collect();
        Axis { label: label.to_owned(), low: 0.0, high, ticks }
    }

    /// An axis for the decimal logarithms of these values, each with a label that has room for one. The
    /// first and the last stand a little inside, so that no point lies on the frame.
    pub fn logarithmic(label: &str, values: &[f64]) -> Axis {
        Axis::of_values(label, values, f64::log10)
    }

    /// An axis with a label for each of these values that has room for one, as
    /// [`logarithmic`](Axis::logarithmic).
    pub fn steps(label: &str, values: &[f64]) -> Axis {
        Axis::of_values(label, values, |value| value)
    }

    fn of_values(label: &str, values: &[f64], place: impl Fn(f64) -> f64) -> Axis {
        let mut places: Vec<(f64, f64)> = values.iter().map(|&at| (place(at), at)).collect();
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        places.dedup();
        let highest = places.last().map_or(0.0, |(_, value)| *value);
        let low = places.first().map_or(0.0, |(at, _)| *at);
        let high = places.last().map_or(1.0, |(at, _)| *at);
        let margin = if high > low { (high - low) / 40.0 } else { 0.5 };
        // Where values lie close together, not every one has room for its label.
        let room = (high - low) / 14.0;
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (at, value) in places {
            if ticks.last().is_none_or(|(before, _)| at - before >= room) {
                ticks.push((at, short_beside(value, highest)));
            }
        }
        Axis { label: label.to_owned(), low: low - margin, high: high + margin, ticks }
    }

    /// Where a position lies between the two ends, from 0 to 1.
    pub(crate) fn place(&self, position: f64) -> f64 {
        match self.high - self.low {
            span if span > 0.0 => ((position - self.low) / span).clamp(0.0, 1.0),
            _ => 0.5,
        }
    }
}

/// As [`short`], beside others up to the highest: `5 k`, where that is `20 k`, so that all have one unit.
fn short_beside(number: f64, highest: f64) -> String {
    match number {
        1e3..1e4 if highest >= 1e4 => format!("{} k", trimmed(&digits(number / 1e3))),
        _ => short(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| &**label).collect()
    }

    #[test]
    fn numbers_beside_large_ones_have_their_unit() {
        let beside = [500.0, 5e3, 1e4].map(|number| short_beside(number, 1e4));
        assert_eq!(beside, ["500", "5 k", "10 k"]);
        assert_eq!(short_beside(5e3, 8e3), "5000");
    }

    #[test]
    fn axes_have_few_round_labels() {
        assert_eq!(labels(&Axis::linear("", [130_000.0].into_iter())), ["0", "50 k", "100 k"]);
        let rate = Axis::linear("", [20_000.0].into_iter());
        assert_eq!(labels(&rate), ["0", "5 k", "10 k", "15 k", "20 k"]);
        let time = Axis::time("", [32_000.0].into_iter());
        assert_eq!(labels(&time), ["0", "10 µs", "20 µs", "30 µs"]);
        let latency = Axis::latency("", [4.3, 5.9].into_iter());
        assert_eq!(labels(&latency), ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs"]);
        let clients = Axis::logarithmic("", &[1.0, 10.0, 100.0, 101.0]);
        assert_eq!(labels(&clients), ["1", "10", "100"]);
    }

    #[test]
    fn no_value_lies_on_the_frame() {
        let axis = Axis::steps("", &[1.0, 5.0]);
        assert!(axis.place(1.0) > 0.02 && axis.place(5.0) < 0.98);
        assert_eq!(Axis::steps("", &[3.0]).place(3.0), 0.5);
    }
}
