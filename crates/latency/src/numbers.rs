//! Numbers as people read them: one style for terminals, charts and pages.

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Nanoseconds as microseconds with one decimal place, without the unit.
pub fn microseconds(ns: f64) -> String {
    format!("{:.1}", ns / 1e3)
}

/// Nanoseconds in three digits and the unit that fits: `850 ns`, `43.2 µs`, `1.25 ms`, `2.00 s`.
pub fn duration(ns: f64) -> String {
    in_unit(ns, digits)
}

/// A round time without zeros at the end: `10 µs`, `1.5 ms`.
pub fn round_duration(ns: f64) -> String {
    in_unit(ns, |number| trimmed(&digits(number)))
}

fn in_unit(ns: f64, show: impl Fn(f64) -> String) -> String {
    const UNITS: [(f64, &str); 4] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];
    // What rounds to a thousand of a unit is one of the next.
    let unit = UNITS.iter().find(|(scale, _)| ns / scale < 999.5);
    let (scale, name) = *unit.unwrap_or(&UNITS[3]);
    match (ns / scale, name) {
        (value, "ns") => format!("{value:.0} ns"),
        (value @ 999.5.., _) => format!("{} {name}", grouped(value.round() as u64)),
        (value, _) => format!("{} {name}", show(value)),
    }
}

/// A number in few characters: `250`, `20 k`, `1.25 M`.
pub fn short(number: f64) -> String {
    let digits = |number| trimmed(&digits(number));
    match number {
        ..1e4 => digits(number),
        ..1e6 => format!("{} k", digits(number / 1e3)),
        _ => format!("{} M", digits(number / 1e6)),
    }
}

/// Three digits, or all of a whole number.
pub(crate) fn digits(number: f64) -> String {
    let places = match number.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.places$}")
}

/// Without zeros behind a point.
pub(crate) fn trimmed(digits: &str) -> String {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 999, 1000, 12_154, u64::MAX].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,154", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let ns = [0.0, 200.0, 999.4, 999.6, 1_500.0, 43_210.0, 5e5, 999_999.0, 1e9, 3.6e12];
        assert_eq!(
            ns.map(duration),
            [
                "0 ns", "200 ns", "999 ns", "1.00 µs", "1.50 µs", "43.2 µs", "500 µs", "1.00 ms",
                "1.00 s", "3,600 s"
            ]
        );
        let round = [200.0, 1_500.0, 10_000.0, 5e5, 2e6, 1e9];
        assert_eq!(
            round.map(round_duration),
            ["200 ns", "1.5 µs", "10 µs", "500 µs", "2 ms", "1 s"]
        );
    }

    #[test]
    fn large_numbers_are_short() {
        let numbers = [1.0, 0.5, 9_999.0, 20_000.0, 125_000.0, 1_250_000.0];
        assert_eq!(numbers.map(short), ["1", "0.5", "9999", "20 k", "125 k", "1.25 M"]);
    }
}
