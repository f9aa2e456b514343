//! That the tables of docs/http.md are those of the code. With `STOCKD_WRITE_DOCUMENTS` set they are written.

use stockd_model::Problem;

use crate::metrics::TABLE;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md");

fn problems() -> String {
    let mut table =
        "| type | HTTP | gRPC | RESP | what it is |\n|---|---|---|---|---|\n".to_owned();
    for problem in Problem::ALL {
        let (name, title, remedy) = (problem.name(), problem.title(), problem.remedy());
        let (status, code, resp) =
            (problem.status(), problem.grpc_code().name(), problem.resp_code());
        let row = format!("| `{name}` | {status} | {code} | `{resp}` | {title}. {remedy} |\n");
        table.push_str(&row);
    }
    table
}

fn metrics() -> String {
    let mut table = "| metric | is | what |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        let suffix = if row.kind.to_string() == "counter" { "_total" } else { "" };
        table.push_str(&format!("| `{}{suffix}` | {} | {} |\n", row.name, row.kind, row.help));
    }
    table
}

/// The document with this table between its marks.
fn with_table(document: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- {name} -->\n");
    let (before, rest) = document.split_once(&begin).expect("the mark is there");
    let (_, after) = rest.split_once("<!-- end -->").expect("the end is there");
    format!("{before}{begin}{table}<!-- end -->{after}")
}

#[test]
fn the_tables_of_the_document_are_those_of_the_code() {
    let document = std::fs::read_to_string(PATH).unwrap();
    let expected = with_table(&document, "problems", &problems());
    let expected = with_table(&expected, "metrics", &metrics());
    if std::env::var_os("STOCKD_WRITE_DOCUMENTS").is_some() {
        std::fs::write(PATH, &expected).unwrap();
    }
    assert!(
        document == expected || std::env::var_os("STOCKD_WRITE_DOCUMENTS").is_some(),
        "docs/http.md is not up to date: STOCKD_WRITE_DOCUMENTS=1 cargo test -p stockd-web documents"
    );
}

#[test]
fn names_of_metrics_are_as_openmetrics_has_them() {
    for row in TABLE {
        assert!(row.name.starts_with("stockd_") && row.help.ends_with('.'), "{}", row.name);
        assert!(row.unit.is_empty() || row.name.ends_with(row.unit), "{}", row.name);
        assert!(!row.name.ends_with("_total"), "{}", row.name);
        assert_eq!(TABLE.iter().filter(|other| other.name == row.name).count(), 1);
    }
}
