//! Lists of names to ask for.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use stockd_load::Texts;
use stockd_model::limits::{LINE_BYTES_MAX, LOAD_STOCKS_MAX};

/// Reads a list of names: one a line, or the first column of a CSV file.
pub(super) fn read(path: &Path) -> anyhow::Result<Texts> {
    let source = match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let lines: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(std::io::stdin().lock()),
        false => {
            let file = File::open(path).with_context(|| format!("cannot read {source}"))?;
            Box::new(BufReader::new(file))
        }
    };
    parse(lines, &source)
}

fn parse(mut list: impl BufRead, source: &str) -> anyhow::Result<Texts> {
    let mut names = Texts::default();
    let mut line = Vec::new();
    let mut is_csv = false;
    for number in 1_u64.. {
        line.clear();
        // With its line end, and one byte that tells when it is too long.
        let mut bounded = list.by_ref().take(LINE_BYTES_MAX as u64 + 2);
        let bytes = bounded.read_until(b'\n', &mut line);
        if bytes.with_context(|| format!("cannot read {source}"))? == 0 {
            break;
        }
        ensure!(
            line.len() <= LINE_BYTES_MAX + 1,
            "{source}:{number}: the line is longer than {LINE_BYTES_MAX} bytes, the limit; write one name a line"
        );
        let text = line.trim_ascii();
        if number == 1 && text.starts_with(b"symbol,") {
            is_csv = true;
            continue;
        }
        let name = match is_csv {
            true => first_field(text),
            false => text.to_vec(),
        };
        if name.is_empty() || (!is_csv && name.starts_with(b"#")) {
            continue;
        }
        ensure!(
            names.len() < LOAD_STOCKS_MAX,
            "{source}:{number}: more than {LOAD_STOCKS_MAX} names, the limit; split the list"
        );
        names.push(&name);
    }
    ensure!(!names.is_empty(), "{source} has no names; write one a line");
    Ok(names)
}

/// The first field of a line of CSV.
fn first_field(line: &[u8]) -> Vec<u8> {
    let Some(quoted) = line.strip_prefix(b"\"") else {
        let field = line.split(|byte| *byte == b',').next().unwrap_or_default();
        return field.trim_ascii().to_vec();
    };
    let mut field = Vec::new();
    let mut bytes = quoted.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'"', Some(b'"')) => {
                field.push(b'"');
                bytes.next();
            }
            (b'"', _) => break,
            (byte, _) => field.push(byte),
        }
    }
    field.trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let names = parse(text.as_bytes(), "names").unwrap();
        names.iter().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
    }

    #[test]
    fn names_are_lines_or_a_first_column() {
        assert_eq!(names("AAPL\r\n\n# no\n BRK/A \nA,B"), ["AAPL", "BRK/A", "A,B"]);
        let csv = "symbol,price\nAAPL,1\n\"Big, \"\"Dear\"\"\",2\n#X,3\n";
        assert_eq!(names(csv), ["AAPL", "Big, \"Dear\"", "#X"]);
        let error = parse(&b"\n"[..], "names").unwrap_err();
        assert_eq!(error.to_string(), "names has no names; write one a line");
    }
}
