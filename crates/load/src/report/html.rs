//! The report as one page of HTML: the table, what has to be known of it, the charts and every run.

use stockd_latency::{Block, Page, duration, grouped};
use stockd_model::rfc3339;

use super::document::{Document, Point, Repetition};
use super::plot::charts;
use super::table::{NOTHING, columns, notes};

/// The page of a report.
///
/// # Errors
///
/// When drawing fails.
pub fn html(document: &Document) -> Result<String, String> {
    let title = format!("stockd load: {}", document.label);
    let machine = &document.machine;
    let began = rfc3339::encode(document.began_unix_seconds.saturating_mul(1_000_000_000));
    let began = String::from_utf8_lossy(&began).replace('T', " ");
    let began = began.split('.').next().unwrap_or_default();
    let mut blocks = vec![
        Block::Text(format!(
            "{began} UTC · server {} · {} · {} cores · {} · {:.1} GiB · stockd {}",
            document.parameters.server,
            machine.cpu,
            machine.cores,
            machine.kernel,
            machine.memory_bytes as f64 / 1_073_741_824.0,
            document.version
        )),
        Block::Code(document.command.join(" ")),
    ];
    let warns = document.points.iter().any(Point::is_disturbed);
    for note in notes(document) {
        let warns = warns && note.contains("disturbed");
        blocks.push(if warns { Block::Warning(note) } else { Block::Text(note) });
    }
    let columns = columns(document);
    blocks.push(Block::Table {
        headings: columns.iter().map(|column| column.heading.clone()).collect(),
        rows: (0..document.points.len())
            .map(|row| columns.iter().map(|column| column.cells[row].clone()).collect())
            .collect(),
        left: 0,
    });
    blocks.push(Block::Text(
        "Figures are medians over the runs that count, and the highest maximum. A percentile has at least ten \
         requests beyond it, or a dash."
            .to_owned(),
    ));
    blocks.extend(charts(std::slice::from_ref(document)).into_iter().map(Block::Chart));
    blocks.push(Block::Heading("Every run".to_owned()));
    blocks.push(runs(document));
    Page { title, blocks }.html()
}

fn runs(document: &Document) -> Block {
    let headings = [
        "load",
        "run",
        "requests",
        "requests/s",
        "mean",
        "p50",
        "p99",
        "max",
        "waited for a core",
        "others' cores",
        "",
    ];
    let rows = document.points.iter().flat_map(|point| {
        let load = point
            .swept
            .as_ref()
            .map_or_else(String::new, |swept| format!("{} {}", swept.parameter, swept.value));
        let runs = point.repetitions.iter().enumerate();
        runs.map(move |(at, run)| [vec![load.clone(), (at + 1).to_string()], cells(run)].concat())
    });
    Block::Table { headings: headings.map(str::to_owned).to_vec(), rows: rows.collect(), left: 1 }
}

fn cells(run: &Repetition) -> Vec<String> {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let latency = &run.latency;
    let measured = |ns: f64| (latency.count > 0).then(|| duration(ns));
    let disturbance = &run.disturbance;
    vec![
        grouped(run.requests),
        grouped(run.requests_a_second.round() as u64),
        or_nothing(measured(latency.mean_ns)),
        or_nothing(latency.quantile_ns(0.5).map(duration)),
        or_nothing(latency.quantile_ns(0.99).map(duration)),
        or_nothing(measured(latency.max_ns as f64)),
        format!("{:.1} %", 100.0 * disturbance.run_delay()),
        or_nothing(disturbance.others_cores.map(|cores| format!("{cores:.2}"))),
        if run.disturbed { "disturbed".to_owned() } else { String::new() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::tests::{document, load, run};

    #[test]
    fn a_page_has_the_table_the_charts_and_the_runs() {
        let mut disturbed = run();
        disturbed.disturbed = true;
        disturbed.disturbance.others_cores = Some(1.5);
        let point = Point { swept: None, load: load(), repetitions: vec![run(), disturbed] };
        let mut document = document(vec![point]);
        document.label = "a <b> & c".to_owned();
        document.began_unix_seconds = 1_789_999_200;
        let page = html(&document).unwrap();
        for part in [
            "<h1>stockd load: a &lt;b&gt; &amp; c</h1>",
            "2026-09-21 14:00:00 UTC",
            "<th>requests/s</th>",
            "disturbed: 1 of 2 runs do not count",
            "Latency by percentile",
            "<td>1.50</td><td>disturbed</td>",
        ] {
            assert!(page.contains(part), "{part}: {page:.6000}");
        }
        assert_eq!(page.matches("<svg ").count(), 2);
    }
}
