//! Every US stock of one day, where that file is at hand. It may not be published, so it is not
//! part of the repository.

use std::path::PathBuf;

use crate::process::{ServerProcess, report, stockd};

/// `us_catalog.csv` in the directory that `STOCKD_DATA` names, or beside the repository.
fn us_catalog() -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into();
    let dir = std::env::var_os("STOCKD_DATA").map_or_else(beside, PathBuf::from);
    Some(dir.join("us_catalog.csv")).filter(|path| path.exists())
}

/// The shortest form of a decimal, from its text alone.
fn shortest(price: &str) -> &str {
    match price.contains('.') {
        true => price.trim_end_matches('0').trim_end_matches('.'),
        false => price,
    }
}

#[test]
fn every_us_stock_answers_exactly_its_price() {
    let Some(path) = us_catalog() else {
        report(
            "skipped: every_us_stock_answers_exactly_its_price: no us_catalog.csv; name its directory in STOCKD_DATA",
        );
        return;
    };
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 7182);

    let path = path.to_str().unwrap();
    let server =
        ServerProcess::spawn(&mut stockd(["serve", "--line", "127.0.0.1:0", "--catalog", path]));
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let answers = server.lookup(&names);
    for (row, answer) in rows.iter().zip(&answers) {
        let price = if row[2] == "0" { "0" } else { shortest(row[1]) };
        assert_eq!(answer, price, "{row:?}");
    }
    assert_eq!(server.lookup(&["BRK/A", "XYZ NOT LISTED"]), ["743500", "-1"]);
    let distinct: std::collections::HashSet<_> = answers.iter().collect();
    assert!(distinct.len() > 3000, "{}", distinct.len());
}
