//! Tables in plain text.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

/// A rule under the headings and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Spaces between two columns.
const GAP: usize = 2;

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

/// A column: what it shows, and that for each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub heading: String,
    /// A text for each row.
    pub cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.width());
        cells.chain([self.heading.width()]).max().unwrap_or(0)
    }
}

/// The lines of a table that is at most `width` wide: columns without room follow in another table below
/// it, behind the first `keys` columns again. A column that is too wide by itself stands alone.
pub fn tables(columns: &[Column], keys: usize, width: usize) -> Vec<String> {
    let (keys, others) = columns.split_at(keys.min(columns.len()));
    let keys: Vec<&Column> = keys.iter().collect();
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let total = |columns: &[&Column]| -> usize {
        columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    let mut lines: Vec<String> = Vec::new();
    let mut begin = |shown: &[&Column]| {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let cell =
            |column: &&Column, row: usize| column.cells.get(row).cloned().unwrap_or_default();
        let of_row = |row| shown.iter().map(|column| cell(column, row)).collect();
        let headings = shown.iter().map(|column| column.heading.as_str());
        lines.extend(table(headings, (0..rows).map(of_row), 0));
    };
    let mut shown = keys.clone();
    for column in others {
        shown.push(column);
        // The rule is one wider than the last column.
        if shown.len() > keys.len() + 1 && total(&shown) + 1 > width {
            shown.pop();
            begin(&shown);
            shown.clone_from(&keys);
            shown.push(column);
        }
    }
    if !shown.is_empty() {
        begin(&shown);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_left_or_right_under_a_rule() {
        let rows = [["牛来", "1"], ["A", "1000"]].map(|row| row.map(str::to_owned).to_vec());
        let lines = table(["name", "p50 µs"], rows, 1);
        assert_eq!(lines[0], "name  p50 µs");
        assert!(lines[1].chars().all(|character| character == '─'));
        assert_eq!(lines[2..], ["牛来       1", "A       1000"]);
    }

    fn column(heading: &str, cells: [&str; 2]) -> Column {
        Column { heading: heading.into(), cells: cells.map(str::to_owned).to_vec() }
    }

    #[test]
    fn what_has_no_room_follows_below() {
        let columns = [
            column("clients", ["1", "10"]),
            column("requests/s", ["1,234", "12"]),
            column("p50", ["43.2 µs", "1 ms"]),
            column("errors", ["0", "0"]),
        ];
        assert_eq!(
            tables(&columns, 1, 29).join("\n"),
            "\
clients  requests/s      p50
─────────────────────────────
      1       1,234  43.2 µs
     10          12     1 ms

clients  errors
────────────────
      1       0
     10       0"
        );
        assert_eq!(tables(&columns, 1, 100).len(), 4);
        assert_eq!(tables(&columns, 0, 1).iter().filter(|line| line.is_empty()).count(), 3);
        assert!(tables(&[], 0, 100).is_empty());
    }
}
