//! The file of percentiles that HdrHistogram's plotters read (`.hgrm`), in milliseconds.

use std::fmt::Write;

use super::Repetition;

/// One run as such a file (HdrHistogram, `outputPercentileDistribution`).
pub fn percentile_file(run: &Repetition) -> String {
    let ms = |ns: f64| ns / 1e6;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for point in &run.percentiles {
        let value = ms(point.latency_ns as f64);
        let _ = write!(text, "{value:12.6} {:2.12} {:10}", point.quantile, point.count);
        let _ = match point.quantile < 1.0 {
            true => writeln!(text, " {:14.2}", 1.0 / (1.0 - point.quantile)),
            false => writeln!(text),
        };
    }
    let latency = &run.latency;
    let _ = writeln!(
        text,
        "#[Mean    = {:12.6}, StdDeviation   = {:12.6}]",
        ms(latency.mean_ns),
        ms(latency.deviation_ns)
    );
    let _ = writeln!(
        text,
        "#[Max     = {:12.6}, Total count    = {:12}]",
        ms(latency.max_ns as f64),
        latency.count
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LatencyFigures, Percentile};

    #[test]
    fn the_file_is_as_plotters_read_it() {
        let mut run = crate::report::table::tests::run();
        run.percentiles = vec![
            Percentile { quantile: 0.0, latency_ns: 1000, count: 1 },
            Percentile { quantile: 0.75, latency_ns: 123_456, count: 3 },
            Percentile { quantile: 1.0, latency_ns: 2_000_000, count: 4 },
        ];
        run.latency = LatencyFigures {
            count: 4,
            mean_ns: 250_000.0,
            deviation_ns: 1000.0,
            max_ns: 2_000_000,
            ..LatencyFigures::default()
        };
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)

    0.001000 0.000000000000          1           1.00
    0.123456 0.750000000000          3           4.00
    2.000000 1.000000000000          4
#[Mean    =     0.250000, StdDeviation   =     0.001000]
#[Max     =     2.000000, Total count    =            4]
";
        assert_eq!(percentile_file(&run), expected);
    }
}
