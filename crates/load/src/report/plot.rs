//! The charts of a report: the curve of percentiles, and latency and throughput over a sweep.
//!
//! Knows documents and what to show of them; `chart` draws.

use super::chart::{Axis, COLOURS, Chart, Drawing, LINES_MAX, Line};
use super::document::{Document, Percentile, Point, Repetition};

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

fn charts(documents: &[Document]) -> Vec<Chart> {
    percentiles(documents).into_iter().chain(sweeps(documents)).collect()
}

/// The curve of percentiles of every run; if there are many, of the first, middle and last run of
/// each report.
fn percentiles(documents: &[Document]) -> Option<Chart> {
    let all: usize = documents.iter().map(|document| document.points.len()).sum();
    let mut lines = Vec::new();
    for document in documents {
        let points = &document.points;
        let few = [0, points.len() / 2, points.len().saturating_sub(1)];
        for (at, point) in points.iter().enumerate() {
            if all > COLOURS && !few.contains(&at) {
                continue;
            }
            let Some(run) = typical(point) else {
                continue;
            };
            let label = match &point.swept {
                Some(swept) => format!("{}, {} {}", document.label, swept.parameter, swept.value),
                None => document.label.clone(),
            };
            let colour = lines.len();
            let points = run.percentiles.iter().map(curve_point).collect();
            lines.push(Line { label, colour, pale: false, marked: false, points });
        }
    }
    lines.truncate(COLOURS);
    let values = lines.iter().flat_map(|line| &line.points);
    let high_x = values.clone().map(|(x, _)| *x).reduce(f64::max)?;
    let ticks = (0..=high_x.ceil() as i32).map(|nines| (f64::from(nines), percent(nines)));
    Some(Chart {
        name: "percentiles".to_owned(),
        title: "Latency by percentile".to_owned(),
        subtitle: subtitle(&documents.iter().collect::<Vec<_>>()),
        x: Axis {
            label: "share of requests that were at most so slow".to_owned(),
            low: 0.0,
            high: high_x,
            ticks: ticks.filter(|(at, _)| *at <= high_x).collect(),
        },
        y: latency_axis("latency", values.map(|(_, y)| *y)),
        lines,
    })
}

/// A point of the curve: nines to the right, the logarithm of the latency upwards. What is beyond
/// the last sample lies where the sample does.
fn curve_point(point: &Percentile) -> (f64, f64) {
    let left = (1.0 - point.quantile).max(1.0 / (point.count.max(1) as f64) / 2.0);
    (-left.log10(), logarithm(point.latency_ns))
}

/// The repetition with the median 99th percentile.
fn typical(point: &Point) -> Option<&Repetition> {
    let mut runs: Vec<&Repetition> =
        point.repetitions.iter().filter(|run| !run.percentiles.is_empty()).collect();
    runs.sort_by_key(|run| run.latency.p99_ns);
    runs.get(runs.len() / 2).copied()
}

/// Latency, throughput and server CPU time over the values of a sweep.
fn sweeps(documents: &[Document]) -> Vec<Chart> {
    let Some(sweep) = Sweep::of(documents) else {
        return Vec::new();
    };
    let latency = sweep.lines(&[
        (" p50", |run| Some(logarithm(run.latency.p50_ns))),
        (" p99", |run| Some(logarithm(run.latency.p99_ns))),
    ]);
    let throughput = sweep.lines(&[("", |run| Some(run.requests_a_second))]);
    let cpu = sweep.lines(&[("", |run| run.server_cpu_ns_per_request)]);
    let mut charts = vec![
        sweep.chart("latency", "Latency", latency_axis("latency", heights(&latency)), latency),
        sweep.chart(
            "throughput",
            "Throughput",
            linear_axis("requests a second", heights(&throughput)),
            throughput,
        ),
    ];
    if !cpu.is_empty() {
        let axis = linear_axis("CPU time of the server for a request, ns", heights(&cpu));
        charts.push(sweep.chart("server-cpu", "CPU time of the server", axis, cpu));
    }
    charts
}

fn logarithm(ns: u64) -> f64 {
    (ns.max(1) as f64).log10()
}

fn heights(lines: &[Line]) -> impl Iterator<Item = f64> + Clone {
    lines.iter().flat_map(|line| &line.points).map(|(_, height)| *height)
}

/// Reports that have swept the same parameter.
struct Sweep<'a> {
    documents: Vec<&'a Document>,
    parameter: String,
    x: SweepAxis,
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
        let x = sweep_axis(&parameter, &documents)?;
        Some(Sweep { documents, parameter, x })
    }

    /// A line for each report and figure: medians over repetitions. The last figure is the main
    /// one.
    fn lines(&self, figures: &[(&str, Figure)]) -> Vec<Line> {
        let mut lines = Vec::new();
        for (colour, document) in self.documents.iter().enumerate() {
            for (at, (suffix, figure)) in figures.iter().enumerate() {
                let measured = document
                    .points
                    .iter()
                    .filter(|point| point.repetitions.iter().all(|run| figure(run).is_some()));
                let mut points: Vec<(f64, f64)> = measured
                    .filter_map(|point| {
                        let value = point.swept.as_ref()?.value;
                        Some((self.x.place(value), point.median(|run| figure(run).unwrap_or(0.0))))
                    })
                    .collect();
                points.sort_by(|one, other| one.0.total_cmp(&other.0));
                let label = format!("{}{suffix}", document.label);
                let pale = at + 1 < figures.len();
                lines.push(Line { label, colour, pale, marked: true, points });
            }
        }
        lines.retain(|line| !line.points.is_empty());
        lines.truncate(LINES_MAX);
        lines
    }

    fn chart(&self, name: &str, what: &str, y: Axis, lines: Vec<Line>) -> Chart {
        Chart {
            name: format!("{name}-by-{}", self.parameter),
            title: format!("{what} by {}", self.x.name),
            subtitle: subtitle(&self.documents),
            x: self.x.axis.clone(),
            y,
            lines,
        }
    }
}

struct SweepAxis {
    /// What a title calls it.
    name: String,
    axis: Axis,
    logarithmic: bool,
}

impl SweepAxis {
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }
}

fn sweep_axis(parameter: &str, documents: &[&Document]) -> Option<SweepAxis> {
    let mut values: Vec<f64> = documents
        .iter()
        .flat_map(|document| &document.points)
        .filter_map(|point| Some(point.swept.as_ref()?.value))
        .collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let (low, high) = (*values.first()?, *values.last()?);
    let logarithmic = high / low >= 8.0;
    let (label, axis_label) = match parameter {
        "rate" => ("load", "offered load, requests a second"),
        "pipeline" => ("pipeline depth", "requests at once on a connection"),
        other => (other, other),
    };
    let place = |value: f64| if logarithmic { value.log10() } else { value };
    // Where values lie close together, not every one has room for its label.
    let room = (place(high) - place(low)) / 14.0;
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for value in values {
        if ticks.last().is_none_or(|(before, _)| place(value) - before >= room) {
            ticks.push((place(value), short(value)));
        }
    }
    let axis = Axis { label: axis_label.to_owned(), low: place(low), high: place(high), ticks };
    Some(SweepAxis { name: label.to_owned(), axis, logarithmic })
}

/// An axis for logarithms of nanoseconds.
fn latency_axis(label: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low.is_finite() { (low, high) } else { (3.0, 6.0) };
    let (low, high) = (low - 0.05, high + 0.08);
    let digits: &[f64] = match high - low {
        ..1.2 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ..3.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let ticks = (0..19)
        .flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)))
        .map(|ns| (ns.log10(), duration(ns)))
        .filter(|(at, _)| (low..=high).contains(at));
    Axis { label: label.to_owned(), low, high, ticks: ticks.collect() }
}

/// An axis from 0 with round numbers.
fn linear_axis(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    let highest = values.fold(0.0, f64::max).max(1.0);
    let decade = 10_f64.powf((highest / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade);
    let step = step.into_iter().find(|step| highest / step <= 6.0).unwrap_or(highest);
    let high = highest * 1.05;
    let ticks = (0..10).map(|n| f64::from(n) * step).filter(|at| *at <= high);
    let ticks = ticks.map(|at| (at, short(at))).collect();
    Axis { label: label.to_owned(), low: 0.0, high, ticks }
}

/// How it was measured, as far as that is the same for all.
fn subtitle(documents: &[&Document]) -> String {
    let describe = |document: &Document| {
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
                parts.push(counted(load.connections, "connection"));
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
        parts.push(counted(parameters.stocks, "stock"));
        parts.push(document.machine.cpu.clone());
        parts.retain(|part| !part.is_empty());
        parts.join(" · ")
    };
    let mut described = documents.iter().map(|document| describe(document));
    let first = described.next().unwrap_or_default();
    match described.all(|other| other == first) {
        true => first,
        false => "runs of different loads; see their reports".to_owned(),
    }
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", short(count as f64))
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

fn duration(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e6 => format!("{} µs", rounded(ns / 1e3)),
        ..1e9 => format!("{} ms", rounded(ns / 1e6)),
        _ => format!("{} s", rounded(ns / 1e9)),
    }
}

/// A number in few characters: `250`, `20 k`, `1.5 M`.
fn short(number: f64) -> String {
    match number {
        ..1e4 => rounded(number),
        ..1e6 => format!("{} k", rounded(number / 1e3)),
        _ => format!("{} M", rounded(number / 1e6)),
    }
}

/// At most two places, without zeros at the end.
fn rounded(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Swept;
    use crate::report::chart::THEMES;
    use crate::report::table::tests::{document, load, run};

    fn sweep() -> Document {
        let point = |value: f64| {
            let mut run = run();
            run.requests_a_second = value * 1000.0;
            let swept = Some(Swept { parameter: "connections".into(), value });
            Point { swept, load: load(), repetitions: vec![run] }
        };
        document([1.0, 10.0, 100.0].map(point).to_vec())
    }

    #[test]
    fn a_sweep_has_its_charts() {
        let charts = super::charts(&[sweep(), sweep()]);
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
        let points = [(0.0, 1e3), (1.0, 1e4), (2.0, 1e5)];
        assert_eq!(throughput.lines[0].points, points);
        let plain = document(vec![Point { swept: None, load: load(), repetitions: vec![run()] }]);
        assert_eq!(super::charts(&[plain]).len(), 1);
    }

    #[test]
    fn an_svg_has_its_size_and_its_text() {
        let svg = charts(&[sweep()])[2].svg(&THEMES[0]).unwrap();
        assert!(svg.starts_with(r#"<svg width="960" height="540""#), "{svg:.80}");
        assert!(svg.contains("\nThroughput by connections\n"), "{svg:.800}");
    }

    /// Text is of our own font, so a picture has ink where its title is.
    #[test]
    fn text_appears_without_fonts_on_the_machine() {
        let picture = charts(&[sweep()])[0].png(&THEMES[0]).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (1920, 1080));
        let row = |y: usize| &pixels[y * frame.line_size..(y + 1) * frame.line_size];
        let dark = (50..90).flat_map(row).filter(|channel| **channel < 90).count();
        assert!(dark > 1000, "{dark}");
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(plot(&[document(Vec::new())]).is_err());
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0, 1, 2, 4].map(percent), ["0 %", "90 %", "99 %", "99.99 %"]);
        assert_eq!(
            [200.0, 1_500.0, 5e5, 2e6, 1e9].map(duration),
            ["200 ns", "1.5 µs", "500 µs", "2 ms", "1 s"]
        );
        assert_eq!(
            [1.0, 9_999.0, 20_000.0, 1_250_000.0].map(short),
            ["1", "9999", "20 k", "1.25 M"]
        );
        let axis = linear_axis("", [130_000.0].into_iter());
        let labels: Vec<&str> = axis.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(labels, ["0", "50 k", "100 k"]);
    }
}
