//! Tables in plain text, and numbers as people read them.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// A rule under the headings and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The lines of a table: the headings, a rule, and a line for each row. The first `left` columns stand
/// left, the others right.
pub fn table<'a>(
    headings: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = Vec<String>>,
    left: usize,
) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
        if column.index >= left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let numbers = [0, 999, 1000, 12_154, u64::MAX].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "12,154", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn columns_stand_left_or_right_under_a_rule() {
        let rows = [["牛来", "1"], ["A", "1000"]].map(|row| row.map(str::to_owned).to_vec());
        let lines = table(["name", "p50 µs"], rows, 1);
        assert_eq!(lines[0], "name  p50 µs");
        assert!(lines[1].chars().all(|character| character == '─'));
        assert_eq!(lines[2..], ["牛来       1", "A       1000"]);
    }
}
