//! The charts of a report: the curve of percentiles, and latency and throughput over a sweep.
//!
//! Knows documents and what to show of them; `stockd_latency` draws. Figures are the medians of the table,
//! and bands go from the lowest to the highest of the runs that count.

use stockd_latency::{Axis, COLOURS, Chart, Drawing, LINES_MAX, Line, Stroke, short};

use super::document::{CurvePoint, Document, Point, Repetition};

/// Draws all charts that these reports have figures for; the reports share the charts.
///
/// # Errors
///
/// When there is nothing to draw, or drawing fails.
pub fn plot(documents: &[Document]) -> Result<Vec<Drawing>, String> {
    let charts = charts(documents);
    if charts.is_empty() {
        return Err("there is nothing to draw: no request was answered".to_owned());
    }
    let mut drawings = Vec::new();
    for chart in charts {
        drawings.extend(chart.draw()?);
    }
    Ok(drawings)
}

/// All charts that these reports have figures for.
pub(super) fn charts(documents: &[Document]) -> Vec<Chart> {
    percentiles(documents).into_iter().chain(sweeps(documents)).collect()
}

/// What legends call each report: the label that it was given; else, where all ask one server, what they
/// differ in, which is the protocol; and nothing where there is nothing to tell apart.
fn names(documents: &[&Document]) -> Vec<String> {
    let first = documents.first().map(|document| &document.parameters);
    let is_one_server =
        documents.iter().all(|it| Some(&it.parameters.server) == first.map(|first| &first.server));
    let name = |document: &&Document| match document.own_label() {
        Some(label) => label.to_owned(),
        None if documents.len() == 1 => String::new(),
        None if is_one_server => document.parameters.protocol.to_string(),
        None => document.label.clone(),
    };
    documents.iter().map(name).collect()
}

/// Two parts of a label.
fn joined(name: &str, part: &str) -> String {
    let parts = [name, part].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

/// The curve of percentiles of every load; if there are many, of the first, middle and last one of each
/// report.
fn percentiles(documents: &[Document]) -> Option<Chart> {
    let documents: Vec<&Document> = documents.iter().collect();
    let all: usize = documents.iter().map(|document| document.points.len()).sum();
    let mut lines: Vec<Line> = Vec::new();
    for (document, name) in documents.iter().zip(names(&documents)) {
        let points = &document.points;
        let few = [0, points.len() / 2, points.len().saturating_sub(1)];
        for (at, point) in points.iter().enumerate() {
            let curve = point.curve();
            if (all > COLOURS && !few.contains(&at)) || curve.is_empty() {
                continue;
            }
            let swept = point.swept.as_ref();
            let part = swept.map_or_else(String::new, |it| value_of(&it.parameter, it.value));
            let is_band = point.counted().nth(1).is_some();
            lines.push(Line {
                label: joined(&name, &part),
                colour: lines.len(),
                points: curve.iter().map(|at| (nines(at), at.median.max(1.0).log10())).collect(),
                band: match is_band {
                    true => curve.iter().map(band_point).collect(),
                    false => Vec::new(),
                },
                ..Line::default()
            });
        }
    }
    lines.truncate(COLOURS);
    let high_x = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).reduce(f64::max)?;
    let ticks = (0..=high_x.ceil() as i32).map(|nines| (f64::from(nines), percent(nines)));
    let margin = high_x / 50.0;
    Some(Chart {
        name: "percentiles".to_owned(),
        title: "Latency by percentile".to_owned(),
        subtitle: subtitle(&documents),
        x: Axis {
            label: "share of requests that were at most so slow".to_owned(),
            low: 0.0,
            high: high_x + margin,
            ticks: ticks.filter(|(at, _)| *at <= high_x).collect(),
        },
        y: Axis::latency("latency", heights(&lines)),
        lines,
    })
}

/// A percentile to the right, by its nines.
fn nines(point: &CurvePoint) -> f64 {
    -point.share_left.log10()
}

fn band_point(point: &CurvePoint) -> (f64, f64, f64) {
    (nines(point), point.low.max(1.0).log10(), point.high.max(1.0).log10())
}

/// Everything that has to have room between the ends of the y axis.
fn heights(lines: &[Line]) -> impl Iterator<Item = f64> + Clone {
    lines.iter().flat_map(|line| {
        let bands = line.band.iter().flat_map(|(_, low, high)| [*low, *high]);
        line.points.iter().map(|(_, height)| *height).chain(bands)
    })
}

/// Latency, throughput and server CPU time over the values of a sweep.
fn sweeps(documents: &[Document]) -> Vec<Chart> {
    let Some(sweep) = Sweep::of(documents) else {
        return Vec::new();
    };
    let latency = sweep.lines(&[
        ("p50", |run| run.latency.quantile_ns(0.5).map(logarithm)),
        ("p99", |run| run.latency.quantile_ns(0.99).map(logarithm)),
    ]);
    let mut throughput = sweep.lines(&[("", |run| Some(run.requests_a_second))]);
    let cpu = sweep.lines(&[("", |run| run.server_cpu_ns_per_request)]);
    let mut charts = Vec::new();
    if !latency.is_empty() {
        let axis = Axis::latency("latency", heights(&latency));
        charts.push(sweep.chart("latency", "Latency", axis, latency));
    }
    throughput.splice(0..0, sweep.line_of_equality());
    let axis = Axis::linear("requests a second", heights(&throughput));
    charts.push(sweep.chart("throughput", "Throughput", axis, throughput));
    if !cpu.is_empty() {
        let axis = Axis::time("CPU time of the server for a request", heights(&cpu));
        charts.push(sweep.chart("server-cpu", "CPU time of the server", axis, cpu));
    }
    charts
}

fn logarithm(ns: f64) -> f64 {
    ns.max(1.0).log10()
}

/// Reports that have swept the same parameter.
struct Sweep<'a> {
    documents: Vec<&'a Document>,
    parameter: String,
    /// The highest value.
    highest: f64,
    x: Axis,
    /// Where a value lies on the x axis.
    place: fn(f64) -> f64,
}

/// A figure of one run, where it was measured.
type Figure = fn(&Repetition) -> Option<f64>;

impl<'a> Sweep<'a> {
    /// The reports that sweep what the first sweep does.
    fn of(documents: &'a [Document]) -> Option<Sweep<'a>> {
        let swept = |document: &Document| match &document.points[..] {
            [first, _, ..] => first.swept.as_ref().map(|swept| swept.parameter.clone()),
            _ => None,
        };
        let parameter = documents.iter().find_map(swept)?;
        let documents: Vec<&Document> =
            documents.iter().filter(|one| swept(one).as_ref() == Some(&parameter)).collect();
        let points = documents.iter().flat_map(|document| &document.points);
        let values: Vec<f64> =
            points.filter_map(|point| Some(point.swept.as_ref()?.value)).collect();
        let lowest = values.iter().copied().reduce(f64::min)?;
        let highest = values.iter().copied().reduce(f64::max)?;
        let label = match &*parameter {
            "rate" => "offered load, requests a second",
            "pipeline" => "requests at once on a connection",
            other => other,
        };
        let linear: fn(f64) -> f64 = |value| value;
        let (x, place) = match &*parameter {
            // From 0 and linear, as the rate of answers is, so that as many are a straight line.
            "rate" => (Axis::linear(label, values.into_iter()), linear),
            _ if highest / lowest >= 8.0 => {
                (Axis::logarithmic(label, &values), f64::log10 as fn(f64) -> f64)
            }
            _ => (Axis::steps(label, &values), linear),
        };
        Some(Sweep { documents, parameter, highest, x, place })
    }

    /// A line for each report and figure: medians over repetitions. The last figure is the main
    /// one.
    fn lines(&self, figures: &[(&str, Figure)]) -> Vec<Line> {
        let mut lines = Vec::new();
        for (colour, (document, name)) in
            self.documents.iter().zip(names(&self.documents)).enumerate()
        {
            for (at, (part, figure)) in figures.iter().enumerate() {
                let mut points: Vec<&Point> = document.points.iter().collect();
                let value = |point: &Point| point.swept.as_ref().map_or(0.0, |swept| swept.value);
                points.sort_by(|one, other| value(one).total_cmp(&value(other)));
                let x = |point: &Point| (self.place)(value(point));
                let stroke = if at + 1 < figures.len() { Stroke::Pale } else { Stroke::Main };
                let medians = points.iter().filter_map(|it| Some((x(it), it.median(figure)?)));
                let ranges = points.iter().filter_map(|it| {
                    let (low, high) = it.range(figure)?;
                    Some((x(it), low, high))
                });
                lines.push(Line {
                    label: joined(&name, part),
                    colour,
                    stroke,
                    marked: true,
                    points: medians.collect(),
                    band: ranges.collect(),
                });
            }
        }
        lines.retain(|line| !line.points.is_empty());
        lines.truncate(LINES_MAX);
        lines
    }

    /// Where everything that is offered is answered; over a sweep of rates alone.
    fn line_of_equality(&self) -> Option<Line> {
        (self.parameter == "rate").then(|| Line {
            label: "all that is offered".to_owned(),
            stroke: Stroke::Reference,
            points: vec![(0.0, 0.0), (self.highest, self.highest)],
            ..Line::default()
        })
    }

    fn chart(&self, name: &str, what: &str, y: Axis, lines: Vec<Line>) -> Chart {
        let swept = match &*self.parameter {
            "rate" => "load",
            "pipeline" => "pipeline depth",
            other => other,
        };
        Chart {
            name: format!("{name}-by-{}", self.parameter),
            title: format!("{what} by {swept}"),
            subtitle: subtitle(&self.documents),
            x: self.x.clone(),
            y,
            lines,
        }
    }
}

/// A value of a sweep, in words.
fn value_of(parameter: &str, value: f64) -> String {
    match parameter {
        "rate" => format!("{} requests/s", short(value)),
        "pipeline" => format!("{} at a time", short(value)),
        other => counted(value, other.strip_suffix('s').unwrap_or(other)),
    }
}

/// How it was measured, as far as that is the same for all.
fn subtitle(documents: &[&Document]) -> String {
    let mut described = documents.iter().map(|document| describe(document));
    let first = described.next().unwrap_or_default();
    let mut parts = vec![match described.all(|other| other == first) {
        true => first,
        false => "runs of different loads; see their reports".to_owned(),
    }];
    let points = || documents.iter().flat_map(|document| &document.points);
    let runs = points().map(|point| point.counted().count()).max().unwrap_or(0);
    if runs > 1 {
        parts.push(format!("medians of {runs} runs, bands from lowest to highest"));
    }
    if points().any(Point::is_disturbed) {
        parts.push("DISTURBED by others".to_owned());
    }
    parts.join(" · ")
}

fn describe(document: &Document) -> String {
    let parameters = &document.parameters;
    let swept = document.points.first().and_then(|point| point.swept.as_ref());
    let swept = swept.map_or("", |swept| &swept.parameter);
    let mut parts = Vec::new();
    if let Some(load) = document.points.first().map(|point| &point.load) {
        let loop_of = match load.rate {
            Some(_) if swept == "rate" => format!("open loop, {:?} arrivals", load.arrivals),
            Some(rate) => {
                format!("open loop, {} requests/s, {:?} arrivals", short(rate), load.arrivals)
            }
            None => "closed loop".to_owned(),
        };
        parts.push(loop_of.to_lowercase());
        if swept != "connections" {
            parts.push(counted(load.connections as f64, "connection"));
        }
        if load.rate.is_none() && swept != "pipeline" {
            parts.push(format!("{} at a time", load.pipeline));
        }
    }
    if parameters.mget > 1 {
        parts.push(format!("MGET of {}", parameters.mget));
    }
    if parameters.updates_percent > 0.0 {
        parts.push(format!("{} % updates", parameters.updates_percent));
    }
    parts.push(counted(parameters.stocks as f64, "stock"));
    parts.push(document.machine.cpu.clone());
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

fn counted(count: f64, what: &str) -> String {
    let ending = if count == 1.0 { "" } else { "s" };
    format!("{} {what}{ending}", short(count))
}

/// `0 %`, `90 %`, `99 %`, `99.9 %` by the number of nines.
fn percent(nines: i32) -> String {
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Swept;
    use crate::report::table::tests::{document, load, run};

    fn sweep_of(parameter: &str) -> Document {
        let point = |value: f64| {
            let runs = [1.0, 3.0, 2.0, 4.0].map(|times| {
                let mut run = run();
                run.requests_a_second = value * times * 1000.0;
                run.latency.p50_ns = (10_000.0 * times) as u64;
                run
            });
            let swept = Some(Swept { parameter: parameter.into(), value });
            Point { swept, load: load(), repetitions: runs.to_vec() }
        };
        document([1.0, 10.0, 100.0].map(point).to_vec())
    }

    fn labels(chart: &Chart) -> Vec<&str> {
        chart.lines.iter().map(|line| &*line.label).collect()
    }

    #[test]
    fn a_sweep_has_its_charts_with_medians_and_bands() {
        let charts = super::charts(&[sweep_of("connections"), sweep_of("connections")]);
        let names: Vec<&str> = charts.iter().map(|chart| &*chart.name).collect();
        assert_eq!(
            names,
            [
                "percentiles",
                "latency-by-connections",
                "throughput-by-connections",
                "server-cpu-by-connections"
            ]
        );
        let throughput = &charts[2];
        assert_eq!(throughput.lines.len(), 2);
        let line = &throughput.lines[0];
        assert_eq!(line.points, [(0.0, 2e3), (1.0, 2e4), (2.0, 2e5)]);
        assert_eq!(line.band, [(0.0, 1e3, 4e3), (1.0, 1e4, 4e4), (2.0, 1e5, 4e5)]);
        assert!(throughput.subtitle.ends_with("medians of 4 runs, bands from lowest to highest"));
        let plain = document(vec![Point { swept: None, load: load(), repetitions: vec![run()] }]);
        let charts = super::charts(&[plain]);
        assert_eq!((charts.len(), charts[0].lines[0].band.len()), (1, 0));
    }

    /// The table, the curve and the chart of a sweep say the same of a percentile, of even repetitions too.
    #[test]
    fn table_curve_and_chart_have_one_median() {
        let document = sweep_of("connections");
        let charts = super::charts(std::slice::from_ref(&document));
        let of_curve =
            charts[0].lines[0].points.iter().find(|(x, _)| (*x - 2_f64.log10()).abs() < 1e-9);
        let of_chart = charts[1].lines[0].points[0];
        assert_eq!(of_curve.unwrap().1, 20_000_f64.log10());
        assert_eq!(of_chart.1, 20_000_f64.log10());
        let table = crate::report::table(&document);
        assert!(table.lines().nth(2).unwrap().contains("  20.0 µs  "), "{table}");
    }

    #[test]
    fn rates_are_linear_and_beside_what_is_offered() {
        let charts = super::charts(&[sweep_of("rate")]);
        let throughput = charts.iter().find(|chart| chart.name == "throughput-by-rate").unwrap();
        assert_eq!(labels(throughput), ["all that is offered", "stockd"]);
        assert_eq!(throughput.lines[0].stroke, Stroke::Reference);
        assert_eq!(throughput.lines[0].points, [(0.0, 0.0), (100.0, 100.0)]);
        assert_eq!(throughput.lines[1].points[1].0, 10.0);
        assert_eq!((throughput.x.low, throughput.y.low), (0.0, 0.0));
    }

    #[test]
    fn legends_tell_apart_and_no_more() {
        let own = sweep_of("connections");
        let alone = Document { label: "line 127.0.0.1:7878".into(), ..own.clone() };
        let charts = super::charts(std::slice::from_ref(&alone));
        assert_eq!(labels(&charts[0]), ["1 connection", "10 connections", "100 connections"]);
        assert_eq!(labels(&charts[1]), ["p50", "p99"]);
        assert_eq!(labels(&charts[2]), [""]);
        let mut resp = alone.clone();
        resp.parameters.protocol = crate::Protocol::Resp;
        resp.label = "resp 127.0.0.1:7878".into();
        assert_eq!(labels(&super::charts(&[alone.clone(), resp.clone()])[2]), ["line", "resp"]);
        resp.parameters.server = "127.0.0.1:6379".into();
        resp.label = "resp 127.0.0.1:6379".into();
        let two = super::charts(&[alone, resp]);
        assert_eq!(labels(&two[2]), ["line 127.0.0.1:7878", "resp 127.0.0.1:6379"]);
        assert_eq!(labels(&super::charts(&[own])[1]), ["stockd, p50", "stockd, p99"]);
    }

    #[test]
    fn the_unit_of_cpu_time_is_that_of_latency() {
        let charts = super::charts(&[sweep_of("connections")]);
        let ticks: Vec<&str> = charts[3].y.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(ticks, ["0", "2 µs", "4 µs", "6 µs"]);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(plot(&[document(Vec::new())]).is_err());
    }

    #[test]
    fn percentiles_are_named_by_their_nines() {
        assert_eq!([0, 1, 2, 4].map(percent), ["0 %", "90 %", "99 %", "99.99 %"]);
    }
}
